"""How a write reaches the read cache, whatever happens between its commit and its answer.

The tags of a write are a row of its own transaction. After the commit the writer advances the clock in Redis and the row
has done its work. If Redis does not answer, every worker whose Redis does finds the row within a second and advances the
clock for it; a worker that has lost Redis looks here before it trusts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import BigInteger, DateTime, Identity, Text, func, insert, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from fastapi_application.core.db import DATABASE_ERRORS, Base
from fastapi_application.crud.cache_tags import TAGS
from fastapi_application.redis_conf.generations import EVERYTHING
from fastapi_application.redis_conf.link import RedisAwayError, RedisReplyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.sql.dml import ReturningInsert

    from fastapi_application.redis_conf.generations import Generations
    from fastapi_application.redis_conf.link import RedisLink

PUBLISHER = "cache_publisher"
"""Where a session has the publisher of its process."""
MAX_TAGS_OF_A_WRITE = 500
SWEEP_S = 0.5
# A row that is younger belongs to a writer who is about to do the work.
PATIENCE_S = 0.5
# After this, every worker has found the row, or has lost Redis and will look before it trusts it again.
RELAYED_AFTER_S = 1.5
_POLL_S = 0.1
_BATCH = 500
_ROWS = "SELECT id, tags FROM cache_invalidation WHERE created_at <= clock_timestamp() - make_interval(secs => $1) ORDER BY id LIMIT $2"
_IS_THERE = "SELECT EXISTS (SELECT FROM cache_invalidation WHERE id = $1)"
_DELETE = "DELETE FROM cache_invalidation WHERE id = ANY($1)"
_COMPACT = text("SELECT compact_entity_counts()")
_FAILURES = (*DATABASE_ERRORS, RedisAwayError, RedisReplyError)
_logger = structlog.get_logger(__name__)


class CacheInvalidation(Base):
    """The tags of a write that the clock may not know of yet."""

    __tablename__ = "cache_invalidation"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())


def take_tags(session: AsyncSession) -> frozenset[str] | None:
    """Return the tags of everything that this transaction has flushed; None if that is nothing."""
    tags: set[str] = session.info.pop(TAGS, None) or set()
    if not tags:
        return None
    return frozenset(tags if len(tags) <= MAX_TAGS_OF_A_WRITE else {EVERYTHING})


def insert_tags(tags: frozenset[str]) -> ReturningInsert[tuple[int]]:
    """Return the statement that writes down the tags of a transaction, and returns the id of their row."""
    return insert(CacheInvalidation).values(tags=sorted(tags)).returning(CacheInvalidation.id)


async def forget_everything(session: AsyncSession) -> None:
    """Let this transaction end everything that is kept: for commands that write beside the services."""
    session.info.setdefault(TAGS, set()).add(EVERYTHING)


class CachePublisher:
    """Publishes the writes of this process, and those that others have left in the table."""

    def __init__(self, engine: AsyncEngine, generations: Generations) -> None:
        """Bind it.

        Args:
            engine: of its own few connections: a full pool must not keep a write from the cache.
            generations: the clock.

        """
        self._engine = engine
        self._generations = generations
        self._done: list[int] = []
        self._tidying: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        generations.link.when_mended(self._catch_up)

    async def publish(self, row: int, tags: Iterable[str]) -> None:
        """Advance the clock for a committed write; if Redis is away, wait until others have, or until nobody can."""
        try:
            await self._generations.advance(tags)
        except (RedisAwayError, RedisReplyError) as error:
            if isinstance(error, RedisReplyError):  # full, or read only: it still answers those who only ask
                self._generations.link.cut()
            await self._wait_until_relayed(row)
            return
        self._done.append(row)
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy())

    async def _wait_until_relayed(self, row: int) -> None:
        deadline = time.monotonic() + RELAYED_AFTER_S
        with contextlib.suppress(*DATABASE_ERRORS):
            while time.monotonic() < deadline and (await self._fetch(_IS_THERE, row))[0][0]:  # noqa: ASYNC110 - another process deletes it
                await asyncio.sleep(_POLL_S)
            return
        await asyncio.sleep(max(0.0, deadline - time.monotonic()))

    async def _tidy(self) -> None:
        """Delete the rows that have done their work, several at once; a row that stays is only published twice."""
        await asyncio.sleep(_POLL_S)
        rows, self._done = self._done, []
        with contextlib.suppress(*DATABASE_ERRORS):
            await self._fetch(_DELETE, rows)

    # --- what others have left --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """Finish what was begun."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        if self._tidying is not None:
            await self._tidying

    async def relay(self, link: RedisLink, older_than_s: float) -> int:
        """Publish the rows of this age: first the clock, then the row; return how many there were."""
        rows = await self._fetch(_ROWS, older_than_s, _BATCH)
        rows = [row for row in rows if row[0] not in self._done]
        if rows:
            tags = {tag for row in rows for tag in row[1]}
            await self._generations.advance_on(link, tags if len(tags) <= MAX_TAGS_OF_A_WRITE else {EVERYTHING})
            await self._fetch(_DELETE, [row[0] for row in rows])
        return len(rows)

    async def _catch_up(self, link: RedisLink) -> None:
        """Publish everything before the link is trusted.

        Raises:
            RedisAwayError: the table cannot be read: nobody knows what was missed.

        """
        try:
            while await self.relay(link, 0) == _BATCH:
                pass
        except DATABASE_ERRORS as error:
            if _has_no_table(error):
                return
            message = "the outbox cannot be read"
            raise RedisAwayError(message) from error

    async def _sweep(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(SWEEP_S)
            turn += 1
            with contextlib.suppress(*_FAILURES):
                if self._generations.link.is_up:
                    try:
                        await self.relay(self._generations.link, PATIENCE_S)
                    except RedisReplyError:
                        self._generations.link.cut()
                if turn % 60 == 0:
                    await self._compact()

    async def _compact(self) -> None:
        async with self._engine.connect() as connection:
            await connection.execute(_COMPACT)

    async def _fetch(self, statement: str, *parameters: Any) -> list[Any]:
        """Run one statement by itself."""
        async with self._engine.connect() as connection:
            result = await connection.exec_driver_sql(statement, parameters)
            return list(result) if result.returns_rows else []


def _has_no_table(error: BaseException) -> bool:
    """Whether this database was never migrated: then nothing was written either."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) == "42P01"
