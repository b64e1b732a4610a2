"""Waking workers through the broker. Nobody waits for the broker: a lost wake-up costs the seconds until the next look."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from taskiq.acks import AcknowledgeType
from taskiq.receiver import Receiver

from fastapi_application.jobs.broker import create_broker, on_wake_up, send_wake_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskiq import AsyncBroker

    from fastapi_application.core.config import Settings

SEND_TIMEOUT_S = 1.0
PAUSE_S = 2.0
"""After a failure, before the broker is tried again."""
_logger = structlog.get_logger(__name__)


class _Health:
    """One line when the broker goes, one when it is back."""

    def __init__(self) -> None:
        self._is_away = False

    def back(self) -> None:
        if self._is_away:
            _logger.info("broker_back")
        self._is_away = False

    def away(self, error: BaseException) -> None:
        if not self._is_away:
            # Neither the text nor the traceback: some clients put the URL with its password there.
            _logger.warning("broker_away", error=type(error).__name__)
        self._is_away = True


class WakeUps:
    """Sends wake-ups from a task of its own; those of one burst are one."""

    def __init__(self, settings: Settings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._asked = asyncio.Event()
        self._broker: AsyncBroker | None = None
        self._health = _Health()

    async def ask(self) -> None:
        """Let a worker look into the outbox soon; returns at once."""
        self._asked.set()

    async def run(self) -> None:
        """Send what is asked for until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._send()
            except Exception as error:  # noqa: BLE001 - whatever a broker's client may raise
                self._health.away(error)
                await self.close()
                await asyncio.sleep(PAUSE_S)
            else:
                self._health.back()

    async def close(self) -> None:
        """Let go of the broker."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await _shut_down(broker)

    async def _send(self) -> None:
        if self._broker is None:
            self._broker = create_broker(self._settings)
            await self._broker.startup()
        await send_wake_up(self._broker)


@asynccontextmanager
async def wake_ups(settings: Settings) -> AsyncIterator[WakeUps]:
    """Run a sender while the block runs."""
    sender = WakeUps(settings)
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        await _cancel(task)
        await sender.close()


@asynccontextmanager
async def listening(settings: Settings, wake: asyncio.Event) -> AsyncIterator[None]:
    """Set the event at each wake-up while the block runs."""
    task = asyncio.create_task(_listen(settings, wake))
    try:
        yield
    finally:
        await _cancel(task)


async def _listen(settings: Settings, wake: asyncio.Event) -> None:
    health = _Health()
    while True:
        broker = create_broker(settings)
        broker.is_worker_process = True
        on_wake_up(broker, wake.set)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S * 5):
                await broker.startup()
            health.back()
            receiver = Receiver(broker, max_async_tasks=1, run_startup=False, ack_type=AcknowledgeType.WHEN_RECEIVED)
            await receiver.listen(asyncio.Event())
        except Exception as error:  # noqa: BLE001 - whatever a broker's client may raise
            health.away(error)
        finally:
            await _shut_down(broker)
        await asyncio.sleep(PAUSE_S)


async def _shut_down(broker: AsyncBroker) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await broker.shutdown()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
