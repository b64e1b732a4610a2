"""Fixtures of the tests with workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fastapi_application.jobs import outbox, wake_up, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.jobs import Connection


@pytest.fixture(autouse=True)
async def quick(monkeypatch: pytest.MonkeyPatch, db: Connection) -> AsyncIterator[None]:
    """Look into the outbox often; find nothing in it, and leave nothing."""
    monkeypatch.setattr(worker, "SWEEP_S", 0.05)
    monkeypatch.setattr(wake_up, "PAUSE_S", 0.05)
    await db.execute("DELETE FROM outbox_job")
    yield
    await db.execute("DELETE FROM outbox_job")


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a failed job again at once. Only with one job at a time: a claimed job is not locked yet."""
    monkeypatch.setattr(outbox, "FIRST_WAIT_S", 0.0)
