"""Queueing mails, and the job that sends them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from fastapi_application.core import metrics
from fastapi_application.jobs.outbox import enqueue
from fastapi_application.jobs.registry import JobContext, JobError, job
from fastapi_application.mail.messages import compose
from fastapi_application.mail.senders import can_send, create_sender
from fastapi_application.mail.templates import DEFAULT_LANGUAGE, MailTemplate, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

MAIL_JOB = "mail"
_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """To whom a mail goes, and the values of its template: strings, or times that it shows."""

    address: str
    language: str = DEFAULT_LANGUAGE
    values: Mapping[str, object] = field(default_factory=dict)


class LetterWriter(Protocol):
    """Looks up, when a mail is about to be sent, what is true then: tokens are signed now and stored nowhere."""

    async def __call__(
        self, session: AsyncSession, template: MailTemplate, user_id: uuid.UUID, extra: Mapping[str, str], /
    ) -> Letter | None:
        """Return the letter, or None when nobody wants it any more (the account is gone, the address verified)."""


_writers: list[LetterWriter] = []


def register_letter_writer(writer: LetterWriter) -> LetterWriter:
    """Let this function write the letters, instead of one that was registered before. Also a decorator."""
    _writers[:] = [writer]
    return writer


async def queue_mail(session: AsyncSession, template: MailTemplate, user_id: uuid.UUID, **extra: str) -> uuid.UUID:
    """Leave a mail to an account with the change that the session's transaction makes; return the job's id.

    Args:
        session: the session of the action.
        template: what it says.
        user_id: whose account it is about.
        extra: values that only this moment knows, for example the device of a sign-in; never a secret.

    """
    return await enqueue(session, MAIL_JOB, {"template": str(template), "user_id": str(user_id), "extra": extra})


@job(MAIL_JOB, can_run=can_send)
async def send_mail(context: JobContext, payload: Mapping[str, Any]) -> None:
    """Write and send one mail."""
    if not _writers:
        raise JobError("nobody writes letters")
    template = MailTemplate(payload["template"])
    extra: dict[str, str] = payload["extra"]
    letter = await _writers[0](context.session, template, uuid.UUID(payload["user_id"]), extra)
    if letter is None:
        _logger.info("mail_not_wanted", template=template)
        metrics.mail(template, "not_wanted")
        return
    mail = render(template, letter.language, {**extra, **letter.values}, context.settings.app.public_url)
    try:
        await create_sender(context.settings).send(compose(context, letter.address, mail))
    except Exception:
        metrics.mail(template, "failed")
        raise
    metrics.mail(template, "sent")
    _logger.info("mail_sent", template=template)
