"""Where messages go: to an SMTP server, or into a folder."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol

import aiosmtplib

from fastapi_application.jobs.registry import JobError, PermanentJobError

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

    from fastapi_application.core.config import MailSettings, Settings

STEP_TIMEOUT_S = 15.0
"""For each answer of the server."""
_PERMANENT = 500


class MailSender(Protocol):
    """Hands over a message."""

    async def send(self, message: EmailMessage) -> None:
        """Return when the other side has taken responsibility for the message.

        Raises:
            PermanentJobError: it never will.
            JobError: it may later.

        """


class SmtpSender:
    """Sends through the configured server, each message over a connection of its own."""

    def __init__(self, settings: MailSettings) -> None:
        """Connect to nothing yet."""
        self._settings = settings

    async def send(self, message: EmailMessage) -> None:
        """Send; see `MailSender`. Errors carry the server's code only: its text may repeat the recipient."""
        try:
            async with self._client() as client:
                await client.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(error.recipients[0].code) from None
        except aiosmtplib.SMTPDataError as error:
            raise _refusal(error.code) from None
        except aiosmtplib.SMTPNotSupported:
            raise PermanentJobError("the SMTP server does not support this address, or not what the settings ask for") from None
        except aiosmtplib.SMTPResponseException as error:  # of our login, our address: the operator will put it right
            raise JobError(f"SMTP {error.code} ({type(error).__name__})") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise JobError(f"SMTP server not reached ({type(error).__name__})") from None

    async def check(self) -> None:
        """Connect, encrypt and log in as for a message, and send none.

        Raises:
            JobError: the server is not reached, or does not let us in.

        """
        try:
            async with self._client() as client:
                await client.noop()
        except aiosmtplib.SMTPResponseException as error:
            raise JobError(f"SMTP {error.code} ({type(error).__name__})") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise JobError(f"SMTP server not reached ({type(error).__name__})") from None

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.user or None,
            password=settings.password.get_secret_value() or None,
            use_tls=settings.tls == "tls",
            # Never as it comes: without an answer to STARTTLS there is no mail.
            start_tls=settings.tls == "starttls",
            timeout=STEP_TIMEOUT_S,
        )


class DirectorySender:
    """Writes files for a mail reader, readable by the owner only: they hold tokens."""

    def __init__(self, directory: Path) -> None:
        """Create nothing yet."""
        self._directory = directory

    async def send(self, message: EmailMessage) -> None:
        """Write `<time>-<job id>.eml`; a repetition replaces the same file."""
        await asyncio.to_thread(self._write, message)

    def _write(self, message: EmailMessage) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        moment = parsedate_to_datetime(message["Date"]).astimezone(UTC)
        identifier = message["Message-ID"].strip("<>").partition("@")[0]
        path = self._directory / f"{moment:%Y%m%dT%H%M%SZ}-{identifier}.eml"
        draft = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(message.as_bytes())
        draft.replace(path)


def can_send(settings: Settings) -> bool:
    """Whether mails have somewhere to go; in production a folder is nowhere."""
    return settings.mail.host is not None or settings.app.mode == "local"


def create_sender(settings: Settings) -> MailSender:
    """Choose by the settings."""
    return SmtpSender(settings.mail) if settings.mail.host else DirectorySender(settings.local.dir / "mail")


def _refusal(code: int) -> JobError:
    return PermanentJobError(f"refused: SMTP {code}") if code >= _PERMANENT else JobError(f"put off: SMTP {code}")
