"""A worker: claims jobs from the outbox and runs some at a time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from fastapi_application.core import metrics
from fastapi_application.core.db import DATABASE_ERRORS, create_engine, create_session_factory
from fastapi_application.core.errors import AppError
from fastapi_application.core.request_id import request_id_var
from fastapi_application.core.sampler import resident_bytes, watch_statements
from fastapi_application.core.version import VERSION
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.cache_outbox import PUBLISHER, CachePublisher
from fastapi_application.jobs.outbox import MAX_ATTEMPTS, WAKE_UP, ClaimedJob, Outbox
from fastapi_application.jobs.registry import JOBS, JobContext, JobError, PermanentJobError
from fastapi_application.jobs.wake_up import listening, wake_ups
from fastapi_application.redis_conf.read_path import ReadPath

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from fastapi_application.core.config import Settings
    from fastapi_application.jobs.registry import RegisteredJob

SWEEP_S = 3.0
"""How long a job whose wake-up was lost waits at most, in a worker that has a place for it."""
BACKLOG_S = 15.0
OVERDUE_S = 300.0
STOP_S = 20.0
"""How long the jobs in hand may go on after a stop; then they are cut off, and tried again later."""
_CLEAN_UP_S = 3.0
_REDIS_PATIENCE_S = 1.0
_SERVER_TIMEOUT_S = 10.0
_UNAVAILABLE = (*DATABASE_ERRORS, AppError)
_logger = structlog.get_logger(__name__)


class Worker:
    """Runs jobs until it is stopped. It starts without its servers and finds them when they come."""

    def __init__(
        self, settings: Settings, *, concurrency: int, heartbeat: Path | None = None, jobs: Mapping[str, RegisteredJob] = JOBS
    ) -> None:
        """Connect to nothing yet.

        Args:
            settings: where the servers are.
            concurrency: jobs at a time; each holds a connection to the database while it runs.
            heartbeat: a file that is touched every few seconds while the worker can work.
            jobs: what it can do; jobs of other names are left to newer workers.

        """
        self._settings = settings
        self._concurrency = concurrency
        self._heartbeat = heartbeat
        self._jobs = {name: job for name, job in jobs.items() if job.can_run(settings)}
        # One connection for claiming; no time-out per statement, as every action gets its own.
        self._engine = create_engine(settings.db.model_copy(update={"pool_size": concurrency + 1}), bounded=False)
        self._sessions = create_session_factory(self._engine)
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._is_armed = False
        self._has_database = True
        self._measured_at = float("-inf")

    def stop(self) -> None:
        """Claim no more; `run` returns when the jobs in hand are finished or have been cut off."""
        self._is_stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped."""
        _logger.info("worker_started", jobs=sorted(self._jobs), concurrency=self._concurrency)
        try:
            async with (
                listening(self._settings, self._wake),
                wake_ups(self._settings) as alarm,
                publishing(self._settings) as publisher,
            ):
                self._sessions.configure(info={WAKE_UP: alarm.ask, PUBLISHER: publisher})
                _start_measuring(self._engine)
                await self._work()
        finally:
            await self._engine.dispose()
            _logger.info("worker_stopped")

    async def _work(self) -> None:
        try:
            while not self._is_stopping:
                self._wake.clear()
                if not await self._start_next():
                    await self._rest()
        finally:
            await self._finish_or_cut_off()

    async def _rest(self) -> None:
        """Until a wake-up, the end of a job, a stop, or the next sweep."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_S):
                await self._wake.wait()

    async def _start_next(self) -> bool:
        """Take a job and begin it, if there is one and a place for it."""
        if len(self._running) >= self._concurrency:
            self._beat()
            return False
        claimed = await self._claim()
        if claimed is None:
            return False
        task = asyncio.create_task(self._attempt(claimed))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _claim(self) -> ClaimedJob | None:
        try:
            async with asyncio.timeout(_SERVER_TIMEOUT_S), self._sessions() as session:
                claimed = await run_crud_action(session, self._arm_and_claim, session)
        except _UNAVAILABLE as error:
            if self._has_database:
                _logger.warning("worker_waits_for_database", error=type(error).__name__)
            self._has_database = False
            return None
        if not self._has_database:
            _logger.info("worker_has_database_again")
        self._has_database = self._is_armed = True
        self._beat()
        return claimed

    async def _arm_and_claim(self, session: AsyncSession) -> ClaimedJob | None:
        outbox = Outbox(session)
        await outbox.allow_seconds(_SERVER_TIMEOUT_S)
        if not self._is_armed:
            await outbox.arm(job for job in self._jobs.values() if job.every_s is not None)
        claimed = await outbox.claim(self._jobs.keys())
        await self._measure_backlog(outbox)
        return claimed

    async def _measure_backlog(self, outbox: Outbox) -> None:
        """Note now and then what is left undone."""
        to = metrics.instruments()
        if to is not None:
            to.flush()
            to.resident_memory.set(resident_bytes())
        if to is not None and time.monotonic() > self._measured_at + BACKLOG_S:
            self._measured_at = time.monotonic()
            overdue, given_up = await outbox.backlog(OVERDUE_S)
            to.jobs_overdue.set(overdue)
            to.jobs_given_up.set(given_up)

    def _beat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.touch()

    async def _attempt(self, claimed: ClaimedJob) -> None:
        """Run a job once, and keep what became of it."""
        request_id_var.set(claimed.request_id or "")
        job = self._jobs[claimed.name]
        started = time.monotonic()
        outcome = "failed"
        with structlog.contextvars.bound_contextvars(job=claimed.name, job_id=str(claimed.id), attempt=claimed.attempt):
            try:
                await self._run(job, claimed)
                outcome = "done"
            except TimeoutError:
                outcome = await self._keep_failure(job, claimed, JobError(f"cut off after {job.timeout_s:g} s"))
            except JobError as error:
                outcome = await self._keep_failure(job, claimed, error)
            except Exception as error:  # noqa: BLE001 - of the database, most likely; the worker goes on
                outcome = await self._keep_failure(job, claimed, _as_job_error(error))
            finally:
                metrics.job_ended(claimed.name, outcome, time.monotonic() - started)

    async def _run(self, job: RegisteredJob, claimed: ClaimedJob) -> None:
        if claimed.attempt > MAX_ATTEMPTS and job.every_s is None:
            raise PermanentJobError("the worker died in the last attempt")
        async with asyncio.timeout(job.timeout_s), self._sessions() as session:
            if await run_crud_action(session, self._handle, session, job, claimed):
                _logger.info("job_done")

    async def _handle(self, session: AsyncSession, job: RegisteredJob, claimed: ClaimedJob) -> bool:
        outbox = Outbox(session)
        await outbox.allow_seconds(job.timeout_s)
        if not await outbox.lock(claimed):
            return False
        try:
            await job.handler(self._context(session, claimed), claimed.payload)
        except (SQLAlchemyError, JobError):
            raise
        except Exception as error:
            # Not to be taken for an error of the database: a refused SMTP connection is an OSError as well.
            raise _as_job_error(error) from error
        if job.every_s is None:
            await outbox.finish(claimed.id)
        else:
            await outbox.rearm(claimed.id, job.every_s)
        return True

    def _context(self, session: AsyncSession, claimed: ClaimedJob) -> JobContext:
        return JobContext(session, self._settings, claimed.id, claimed.attempt, claimed.created_at)

    async def _keep_failure(self, job: RegisteredJob, claimed: ClaimedJob, error: JobError) -> str:
        """Keep why an attempt failed, and say how it ended: failed or given_up."""
        is_final = job.every_s is None and (isinstance(error, PermanentJobError) or claimed.attempt >= MAX_ATTEMPTS)
        if is_final:
            _logger.error("job_given_up", error=str(error), exc_info=error.__cause__)
        else:
            _logger.warning("job_failed", error=str(error), exc_info=error.__cause__)
        try:
            async with asyncio.timeout(_SERVER_TIMEOUT_S), self._sessions() as session:
                await run_crud_action(session, self._write_failure, session, job, claimed, str(error), is_final)
        except _UNAVAILABLE:  # the next attempt has its time since the claim
            _logger.warning("job_failure_not_kept")
        return "given_up" if is_final else "failed"

    async def _write_failure(self, session: AsyncSession, job: RegisteredJob, claimed: ClaimedJob, reason: str, is_final: bool) -> None:
        outbox = Outbox(session)
        await outbox.allow_seconds(_SERVER_TIMEOUT_S)
        if is_final:
            if await outbox.give_up(claimed, reason) and job.given_up is not None:
                await job.given_up(self._context(session, claimed), claimed.payload)
        elif job.every_s is None:
            await outbox.fail(claimed, reason)
        else:
            await outbox.fail(claimed, reason, longest_wait_s=job.every_s)

    async def _finish_or_cut_off(self) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=STOP_S)
        for task in late:
            task.cancel()
        if late:
            _logger.warning("jobs_cut_off", count=len(late))
            await asyncio.wait(late, timeout=_CLEAN_UP_S)


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[CachePublisher]:
    """Publish what jobs write to the read cache while the block runs: the first read after a job's commit is fresh.

    What a worker that has lost Redis leaves, the processes that serve find in the table, as always.
    """
    engine = create_engine(settings.db, pool_size=1, isolation_level="AUTOCOMMIT", durable=False)
    generations = ReadPath.of(settings).generations
    publisher = CachePublisher(engine, generations)
    await generations.link.start(_REDIS_PATIENCE_S)
    try:
        yield publisher
    finally:
        await publisher.stop()
        await generations.link.stop()
        await engine.dispose()


def _as_job_error(error: Exception) -> JobError:
    """Keep the type only: the text may hold what the job is about."""
    wrapped = JobError(type(error).__name__)
    wrapped.__cause__ = error
    return wrapped


def _start_measuring(engine: AsyncEngine) -> None:
    to = metrics.instruments()
    if to is not None:
        watch_statements(engine)
        to.info.labels(VERSION).set(1)
