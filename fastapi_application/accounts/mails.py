"""Which mails accounts get, and what they say when they are sent.

Tokens are signed at that moment and stored nowhere; who no longer wants a mail gets none.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from fastapi_application.accounts import throttle
from fastapi_application.accounts.links import Link, make_token
from fastapi_application.accounts.models import User
from fastapi_application.accounts.sweep import sweep_expired
from fastapi_application.accounts.user_database import UserDatabase
from fastapi_application.core.errors import LoginThrottledError
from fastapi_application.jobs.outbox import enqueue
from fastapi_application.jobs.registry import job, periodic
from fastapi_application.mail.service import Letter, queue_mail, register_letter_writer
from fastapi_application.mail.templates import MailTemplate

if TYPE_CHECKING:
    import uuid
    from collections.abc import Mapping
    from typing import Any

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.jobs.registry import JobContext

ADDRESS_JOB = "mail_to_address"
SWEEP_EVERY_S = 600
FREE_MAILS = 5
"""Of one kind to one address; after these, the wait between two doubles."""
_LINKS = {MailTemplate.VERIFICATION: Link.VERIFY, MailTemplate.PASSWORD_RESET: Link.RESET}
_logger = structlog.get_logger(__name__)


async def mail_to_account(session: AsyncSession, template: MailTemplate, user_id: uuid.UUID, **extra: str) -> None:
    """Leave a mail to an account with the change that it is about."""
    await queue_mail(session, template, user_id, at=datetime.now(UTC).isoformat(), **extra)


async def mail_to_address(session: AsyncSession, template: MailTemplate, address: str) -> None:
    """Leave a mail to whoever has this address. The request does the same work whether anybody has it or not."""
    await enqueue(session, ADDRESS_JOB, {"template": str(template), "address": address})


@job(ADDRESS_JOB)
async def find_recipient(context: JobContext, payload: Mapping[str, Any]) -> None:
    """Pass a mail on to the account that has the address, unless it has got too many of them."""
    user = await UserDatabase(context.session).get_by_email(payload["address"])
    if user is None or not user.is_active:
        return
    key = f"mail:{payload['template']}:{hashlib.sha256(user.email.encode()).hexdigest()}"
    try:
        await throttle.count(context.session, key, FREE_MAILS)
    except LoginThrottledError:
        _logger.warning("mail_withheld", template=payload["template"], user_id=str(user.id))
        return
    await mail_to_account(context.session, MailTemplate(payload["template"]), user.id)


@register_letter_writer
async def write_letter(session: AsyncSession, template: MailTemplate, user_id: uuid.UUID, extra: Mapping[str, str]) -> Letter | None:
    """Look up the account and sign what the mail needs."""
    user = await session.get(User, user_id)
    if user is None or not user.is_active or (template is MailTemplate.VERIFICATION and user.is_verified):
        return None
    values: dict[str, object] = {"display_name": user.display_name or ""}
    if (link := _LINKS.get(template)) is not None:
        values |= {"token": make_token(link, user), "expires_at": datetime.now(UTC) + timedelta(seconds=link.lifetime_s)}
    return Letter(extra.get("recipient", user.email), user.language, values)


@periodic("sweep_expired_tokens", every_s=SWEEP_EVERY_S)
async def sweep(context: JobContext, _payload: Mapping[str, Any]) -> None:
    """Delete what has expired."""
    await sweep_expired(context.session)
