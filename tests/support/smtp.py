"""A real SMTP server in the test's loop."""

from __future__ import annotations

import asyncio
import email
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.policy import default
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, Envelope, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Mailbox:
    """What the server was given, and how it answers."""

    def __init__(self) -> None:
        """Accept everything."""
        self.port = 0
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers = {"RCPT": "250 OK", "DATA": "250 OK"}
        self.data_begun = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer RCPT."""
        if self.answers["RCPT"].startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answers["RCPT"]

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer the end of DATA, when the test allows it."""
        self.data_begun.set()
        await self.may_answer.wait()
        if self.answers["DATA"].startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = email.message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
            self.recipients += envelope.rcpt_tos
        return self.answers["DATA"]


@asynccontextmanager
async def mailbox(make: Callable[..., SMTP] = SMTP, **options: Any) -> AsyncIterator[Mailbox]:
    """Run a server on a port of its own."""
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: make(box, hostname="localhost", **options), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None


def parts_of(message: EmailMessage) -> tuple[str, str]:
    """Return the text and the HTML of a message."""
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()
