"""`run_crud_action`: one handler, one action, one transaction."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import DBAPIError

from fastapi_application.core.db import AUTOCOMMIT_READS, DATABASE_ERRORS
from fastapi_application.core.replica import PATIENCE_S, REPLICA, ReplicaError
from fastapi_application.crud.cache_outbox import PUBLISHER
from fastapi_application.crud.cache_tags import TAGS
from fastapi_application.crud.db_errors import is_retryable, translate_db_error
from fastapi_application.crud.epilogue import forget_deferred, write_epilogue
from fastapi_application.crud.history.changes import forget_changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.replica import Replica
    from fastapi_application.crud.cache_outbox import CachePublisher

MAX_ATTEMPTS = 3
_CALLBACKS = "on_commit"
_logger = structlog.get_logger(__name__)


class AfterCommit(IntEnum):
    """When a callback runs after the commit: readers see the change before anybody is told of it."""

    CACHE_TAGS = 1
    LIMITER_IDENTITY = 2
    JOB_WAKE_UP = 3
    FILE_DELETION = 4


def on_commit(session: AsyncSession, callback: Callable[[], Awaitable[Any]], phase: AfterCommit) -> None:
    """Run `callback` after the action's commit, never after a rollback, in the order of the phases."""
    session.info.setdefault(_CALLBACKS, []).append((phase, callback))


async def run_crud_action[**P, R](
    session: AsyncSession,
    service_method: Callable[P, Awaitable[R]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Run one service method in a transaction of its own and return what it returned.

    The commit is over when this returns, so a response never precedes it. A session that already has a transaction
    is refused: joining it would silently lose the write. Serialisation failures and deadlocks repeat the whole action.

    Raises:
        AppError: what the service raised, or what an error of the database means to a client.

    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        session.info[_CALLBACKS] = []
        forget_changes(session)
        forget_deferred(session)
        session.info.pop(TAGS, None)
        try:
            async with session.begin():
                result = await service_method(*args, **kwargs)
                kept = await write_epilogue(session)
                _tell_read_cache(session, kept)
        except DATABASE_ERRORS as error:
            session.expunge_all()
            if attempt < MAX_ATTEMPTS and isinstance(error, DBAPIError) and is_retryable(error):
                await asyncio.sleep(random.uniform(0.005, 0.03) * attempt)  # noqa: S311 - jitter, not a secret
                continue
            raise translate_db_error(error) from error
        await _run_callbacks(session)
        return result
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


async def run_read_action[**P, R](
    session: AsyncSession,
    service_method: Callable[P, Awaitable[R]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Run a service method that only reads: each statement by itself, without the round trips of BEGIN and COMMIT.

    Behind PgBouncer in transaction mode it is a transaction all the same: statements of one must not part ways.
    A session that was offered the replica reads there, if that shows all that was written before.

    Raises:
        AppError: what the service raised, or what an error of the database means to a client.

    """
    replica: Replica | None = session.info.pop(REPLICA, None)
    try:
        if replica is not None and replica.is_near:
            written = await replica.written()
            with suppress(ReplicaError), replica.serving(session):
                async with session.begin():
                    async with asyncio.timeout(PATIENCE_S):
                        await _spare_begin(session)
                        await replica.admit(session, written)
                    return await service_method(*args, **kwargs)
            session.expunge_all()
        async with session.begin():
            await _spare_begin(session)
            return await service_method(*args, **kwargs)
    except DATABASE_ERRORS as error:
        session.expunge_all()
        raise translate_db_error(error) from error


async def _spare_begin(session: AsyncSession) -> None:
    if AUTOCOMMIT_READS in session.info:
        await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})


def _tell_read_cache(session: AsyncSession, kept: tuple[int, frozenset[str]] | None) -> None:
    """Publish the tags of this write once it is saved."""
    publisher: CachePublisher | None = session.info.get(PUBLISHER)
    if kept is not None and publisher is not None:
        on_commit(session, partial(publisher.publish, *kept), AfterCommit.CACHE_TAGS)


@asynccontextmanager
async def taken_back(session: AsyncSession) -> AsyncIterator[None]:
    """Undo what the block writes: it was an attempt, to see what would come of it."""
    async with session.begin_nested() as attempt:
        yield
        await attempt.rollback()


async def _run_callbacks(session: AsyncSession) -> None:
    for _, callback in sorted(session.info.pop(_CALLBACKS), key=lambda item: item[0]):
        try:
            await callback()
        except Exception:  # noqa: BLE001 - the change is saved: no error here may tell the client otherwise
            await _logger.aexception("on_commit_failed", callback=getattr(callback, "__qualname__", repr(callback)))
