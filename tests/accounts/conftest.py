"""Fixtures of the account tests."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from fastapi_application.core.config import get_settings
from fastapi_application.jobs import worker
from fastapi_application.jobs.worker import Worker
from fastapi_application.mail import service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from email.message import EmailMessage

    import asyncpg

PATIENCE_S = 60


@dataclass
class Mailbox:
    """What workers have sent."""

    db: asyncpg.Connection[asyncpg.Record]
    messages: list[EmailMessage] = field(default_factory=list)

    async def send(self, message: EmailMessage) -> None:
        """Take over a message: the interface of a sender."""
        self.messages.append(message)

    async def of(self, address: str) -> list[EmailMessage]:
        """Return all mails to an address, once nothing is left to be sent."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.db.fetchval("SELECT count(*) FROM outbox_job WHERE done_at IS NULL AND name LIKE 'mail%'"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return [message for message in self.messages if message["To"] == address]

    async def token(self, address: str, path: str) -> str:
        """Return the token of the last mail with a link to this path."""
        pattern = rf"/{path}\?token=([\w.-]+)"
        found = [match[1] for message in await self.of(address) if (match := re.search(pattern, text_of(message)))]
        return found[-1]


def text_of(message: EmailMessage) -> str:
    """Return the plain text of a mail."""
    part = message.get_body(("plain",))
    assert part is not None
    content: str = part.get_content()
    return content


@pytest.fixture
async def mailbox(application: object, db: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mailbox]:
    """Run a worker whose mails end up here."""
    await db.execute("DELETE FROM outbox_job WHERE name LIKE 'mail%'")
    box = Mailbox(db)
    monkeypatch.setattr(worker, "SWEEP_S", 0.05)
    monkeypatch.setattr(service, "create_sender", lambda _: box)
    running = Worker(get_settings(), concurrency=2)
    task = asyncio.create_task(running.run())
    yield box
    running.stop()
    async with asyncio.timeout(PATIENCE_S):
        await task


@pytest.fixture
def address(number: int) -> str:
    """Name an account of this test."""
    return f"account-{number}@example.org"
