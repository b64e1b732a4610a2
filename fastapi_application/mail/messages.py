"""The message that goes over the wire (RFC 5322)."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING

from email_validator import EmailNotValidError, validate_email

from fastapi_application.jobs.registry import PermanentJobError

if TYPE_CHECKING:
    from fastapi_application.jobs.registry import JobContext
    from fastapi_application.mail.templates import RenderedMail

# Servers that take only 7 bits get what all others get.
_POLICY = SMTP.clone(cte_type="7bit")


def compose(context: JobContext, recipient: str, mail: RenderedMail) -> EmailMessage:
    """Make the message of a job: the same in each attempt, so that a receiver can tell a repetition.

    Raises:
        PermanentJobError: the recipient is no address.

    """
    name, sender = parseaddr(context.settings.mail.sender)
    message = EmailMessage(_POLICY)
    message["From"] = Address(name, addr_spec=sender)
    user, _, domain = _on_the_wire(recipient).rpartition("@")
    message["To"] = Address(username=user, domain=domain)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(context.created_at)
    message["Message-ID"] = f"<{context.id}@{sender.rpartition('@')[2]}>"
    # RFC 3834: nobody's absence note answers this.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    message["Content-Language"] = mail.language
    return message


def _on_the_wire(address: str) -> str:
    """Return the address in ASCII, where that is possible: not every server knows SMTPUTF8."""
    try:
        checked = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise PermanentJobError("the recipient is not an address") from None
    return checked.ascii_email or checked.normalized
