"""What cannot be counted as it happens is looked at now and then: queues, pools, memory, dependencies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from fastapi_application.core import metrics
from fastapi_application.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine

    from fastapi_application.core.gate import Gate
    from fastapi_application.core.metrics import Instruments

    type Look = Callable[[], Awaitable[Mapping[str, bool]]]

SAMPLE_S = 1.0
LOOK_S = 5.0
_STATM = Path("/proc/self/statm")


@asynccontextmanager
async def sampling(engine: AsyncEngine, gate: Gate, look: Look) -> AsyncIterator[None]:
    """Sample while the block runs, if metrics are on.

    Args:
        engine: whose pool and statements are measured.
        gate: whose queue is measured.
        look: asks the dependencies which of them answer.

    """
    to = metrics.instruments()
    if to is None:
        yield
        return
    watch_statements(engine)
    to.workers.set(1)
    to.info.labels(VERSION).set(1)
    tasks = [asyncio.create_task(_sample(to, engine, gate)), asyncio.create_task(_look(to, look))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        to.flush()


async def _sample(to: Instruments, engine: AsyncEngine, gate: Gate) -> None:
    loop = asyncio.get_running_loop()
    lags = [0.0] * round(LOOK_S / SAMPLE_S)
    while True:
        due = loop.time() + SAMPLE_S
        await asyncio.sleep(SAMPLE_S)
        lags = [*lags[1:], max(0.0, loop.time() - due)]
        to.flush()
        to.loop_lag.set(max(lags))
        to.in_flight.set(gate.at_work)
        to.queued.set(gate.waiting)
        to.resident_memory.set(resident_bytes())
        if isinstance(pool := engine.pool, QueuePool):
            to.pool_connections.labels("in_use").set(pool.checkedout())
            to.pool_connections.labels("allowed").set(pool.size())


async def _look(to: Instruments, look: Look) -> None:
    while True:
        for name, answers in (await look()).items():
            to.dependency_up.labels(name).set(answers)
        await asyncio.sleep(LOOK_S)


def resident_bytes() -> int:
    """Return the memory of this process; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def watch_statements(engine: AsyncEngine) -> None:
    """Measure every statement of an engine."""
    event.listen(engine.sync_engine, "before_cursor_execute", _note_start)
    event.listen(engine.sync_engine, "after_cursor_execute", _note_end)
    event.listen(engine.sync_engine, "handle_error", _note_failure)


def _note_start(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    context.frankenjet_started = time.perf_counter()


def _note_end(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    metrics.query_done(statement, time.perf_counter() - context.frankenjet_started)


def _note_failure(context: ExceptionContext) -> None:
    """Count it, and its time: the slowest statements are those that a time-out ends."""
    metrics.query_failed()
    started = getattr(context.execution_context, "frankenjet_started", None)
    if started is not None:
        metrics.query_done(context.statement or "", time.perf_counter() - started)
