"""A read replica that never shows less than the primary has acknowledged.

Who reads from it first asks the primary how far its log is (in one query for all who ask at once), and then the replica, on the
connection that reads, whether it has replayed that much. If it has not, the primary is read. A prober keeps readers from a
replica that is away or far behind, so that nobody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import text

from fastapi_application.core.db import DATABASE_ERRORS, create_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from fastapi_application.core.config import DatabaseSettings

REPLICA = "replica"
"""In a session's info where what it reads may come from the replica."""
MAX_LAG_S = 1.0
"""A replica that has not replayed what the primary had written so long ago is not asked at all."""
PROBE_S = 0.5
PATIENCE_S = 0.3
"""How long a reader waits for a replica that the prober has not yet found silent."""
AWAY, BEHIND, ANOTHER = "replica_unavailable", "replica_behind", "not_a_replica"
_PROBE_TIMEOUT_S = 0.5
_SYSTEM = "(SELECT system_identifier FROM pg_control_system())"
# What is inserted counts, flushed or not: whoever was answered, and be it without waiting for the disk, is in it.
_WRITTEN = text("SELECT pg_current_wal_insert_lsn()::text")
_PRIMARY = text(f"SELECT pg_current_wal_insert_lsn()::text, {_SYSTEM}")
_REPLAYED = text(f"SELECT pg_last_wal_replay_lsn()::text, {_SYSTEM}, pg_is_in_recovery()")
_SHOWS = text("SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= CAST(CAST(:written AS text) AS pg_lsn)")
_logger = structlog.get_logger(__name__)


class ReplicaError(Exception):
    """The replica cannot be read from now: the primary has to be."""


class Replica:
    """The replica as one process sees it."""

    def __init__(self, settings: DatabaseSettings, primary: AsyncEngine) -> None:
        """Connect to nothing yet.

        Args:
            settings: of the replica.
            primary: an engine that is not the one of requests: its pool may be full.

        """
        self.engine = create_engine(settings)
        self.fault = AWAY
        """What keeps readers from it; empty if nothing does."""
        self._primary = primary
        self._own = create_engine(settings, pool_size=1, isolation_level="AUTOCOMMIT")
        self._history: deque[tuple[float, int]] = deque()
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[str] | None = None
        self._prober: asyncio.Task[None] | None = None
        self._is_known = False

    @property
    def is_near(self) -> bool:
        """Whether it may be asked."""
        return not self.fault

    def start(self) -> None:
        """Begin to probe."""
        self._prober = asyncio.create_task(self._probe_on())

    async def stop(self) -> None:
        """Close every connection."""
        if self._prober is not None:
            self._prober.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._prober
        await self._own.dispose()
        await self.engine.dispose()

    # --- reading ------------------------------------------------------------------------------------------------------

    async def written(self) -> str:
        """Return how far the primary's log is, at a moment after this was asked.

        Raises:
            DATABASE_ERRORS: the primary does not say.

        """
        if self._next is None:
            self._next = asyncio.create_task(self._ask_primary())
            self._next.add_done_callback(_retrieve)
        return await asyncio.shield(self._next)

    async def _ask_primary(self) -> str:
        async with self._turn:
            self._next = None  # who comes from now on needs a later moment
            async with self._primary.connect() as connection:
                return str(await connection.scalar(_WRITTEN))

    @contextlib.contextmanager
    def serving(self, session: AsyncSession) -> Iterator[None]:
        """Lead a session that has done nothing yet to the replica while the block runs.

        Raises:
            ReplicaError: the replica does not answer. A query that it cancels for its replay is one for the primary, too.

        """
        primary, session.sync_session.bind = session.sync_session.bind, self.engine.sync_engine
        try:
            yield
        except DATABASE_ERRORS as error:
            raise ReplicaError from error
        finally:
            session.sync_session.bind = primary

    async def admit(self, session: AsyncSession, written: str) -> None:
        """Make sure that the connection of a session shows what was written.

        Raises:
            ReplicaError: it does not.

        """
        if not await session.scalar(_SHOWS, {"written": written}):
            raise ReplicaError

    # --- probing ------------------------------------------------------------------------------------------------------

    async def _probe_on(self) -> None:
        while True:
            probe = asyncio.create_task(self._probe())
            try:
                done, _ = await asyncio.wait([probe], timeout=_PROBE_TIMEOUT_S)
                if not done:
                    self._note(AWAY)
            finally:
                probe.cancel()
                # Where a server hangs, a query that is cancelled takes its time to end.
                await asyncio.gather(probe, return_exceptions=True)
            await asyncio.sleep(PROBE_S)

    async def _probe(self) -> None:
        try:
            async with self._primary.connect() as connection:
                written, system = (await connection.execute(_PRIMARY)).one()
        except DATABASE_ERRORS:
            return  # nobody knows how far it should be; readers meet the same error
        try:
            async with self._own.connect() as connection:
                replayed, its_system, is_replica = (await connection.execute(_REPLAYED)).one()
        except DATABASE_ERRORS:
            self._note(AWAY)
            return
        if not is_replica or its_system != system:
            self._note(ANOTHER)
        else:
            self._note(BEHIND if _position(replayed) < self._due(_position(written)) else "")

    def _due(self, written: int) -> int:
        """Return how far the replica must be at least: where the primary was `MAX_LAG_S` ago, so that no two clocks are compared."""
        now = time.monotonic()
        self._history.append((now, written))
        while len(self._history) > 1 and now - self._history[1][0] >= MAX_LAG_S:
            self._history.popleft()
        since, position = self._history[0]
        return position if now - since >= MAX_LAG_S else written

    def _note(self, fault: str) -> None:
        if fault == self.fault and self._is_known:
            return
        self.fault, self._is_known = fault, True
        if fault:
            _logger.warning("replica_not_used", reason=fault)
        else:
            _logger.info("replica_used")


def _position(lsn: str) -> int:
    """Return a place in the log as the number of bytes before it."""
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def _retrieve(task: asyncio.Task[str]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
