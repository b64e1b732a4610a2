"""Workers in the test's own process, with jobs of the test's own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi_application.core.config import get_settings
from fastapi_application.crud.action import run_crud_action
from fastapi_application.jobs.outbox import enqueue
from fastapi_application.jobs.registry import JobContext, RegisteredJob
from fastapi_application.jobs.worker import Worker

if TYPE_CHECKING:
    import uuid
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import asyncpg

    from fastapi_application.core.config import Settings
    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]

PATIENCE_S = 120


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = PATIENCE_S) -> Any:
    """Ask until the answer is true; return it."""
    async with asyncio.timeout(seconds):
        while not (answer := await condition()):  # noqa: ASYNC110 - what is waited for happens in the database
            await asyncio.sleep(0.02)
        return answer


def a_job(name: str, handler: Callable[[JobContext, Mapping[str, Any]], Awaitable[None]], **options: Any) -> dict[str, RegisteredJob]:
    """Return a registry of one job."""
    settings: dict[str, Any] = {"timeout_s": 60.0, "every_s": None, "can_run": lambda _: True, **options}
    return {name: RegisteredJob(name, handler, **settings)}


async def leave(application: Application, job: str, /, **payload: Any) -> uuid.UUID:
    """Enqueue a job in an action of its own."""
    async with application.fastapi.state.session_factory() as session:
        return await run_crud_action(session, enqueue, session, job, payload)


@asynccontextmanager
async def working(*registries: dict[str, RegisteredJob], settings: Settings | None = None, concurrency: int = 2) -> AsyncIterator[Worker]:
    """Run a worker for each registry; yield the first."""
    workers = [Worker(settings or get_settings(), concurrency=concurrency, jobs=jobs) for jobs in registries]
    async with AsyncExitStack() as stack:
        for worker in workers:
            task = asyncio.create_task(worker.run())
            stack.push_async_callback(_end, worker, task)
        yield workers[0]


async def _end(worker: Worker, task: asyncio.Task[None]) -> None:
    worker.stop()
    async with asyncio.timeout(PATIENCE_S):
        await task


async def row_of(db: Connection, identifier: uuid.UUID) -> asyncpg.Record:
    """Read a job as it is committed."""
    row = await db.fetchrow("SELECT *, run_at - clock_timestamp() AS wait FROM outbox_job WHERE id = $1", identifier)
    assert row is not None
    return row


async def until_done(db: Connection, identifier: uuid.UUID) -> asyncpg.Record:
    """Wait for the end of a job; return its row."""

    async def is_done() -> bool:
        return (await row_of(db, identifier))["done_at"] is not None

    await until(is_done)
    return await row_of(db, identifier)


async def until_given_up(db: Connection, identifier: uuid.UUID) -> asyncpg.Record:
    """Wait until nobody will try a job again; return its row."""

    async def is_given_up() -> bool:
        return (await row_of(db, identifier))["given_up_at"] is not None

    await until(is_given_up)
    return await row_of(db, identifier)


async def until_failed(db: Connection, identifier: uuid.UUID) -> asyncpg.Record:
    """Wait until an attempt has left its error; return the row."""

    async def has_error() -> bool:
        return (await row_of(db, identifier))["last_error"] is not None

    await until(has_error)
    return await row_of(db, identifier)
