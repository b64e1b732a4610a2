"""The outbox: jobs are written with the change that needs them, claimed by workers and closed with their own work."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute

from fastapi_application.core.request_id import request_id_var
from fastapi_application.crud.action import AfterCommit, on_commit
from fastapi_application.jobs.models import OutboxJob

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.jobs.registry import RegisteredJob

WAKE_UP = "wake_up"
"""Where a session keeps what tells the workers that there is something to do; see `wake_up.WakeUps`."""

MAX_ATTEMPTS = 30
"""A day: the waits add up to 22 hours."""
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 3600.0
_LONGEST_ERROR = 200
_MARGIN_S = 5

_is_open = OutboxJob.done_at.is_(None) & OutboxJob.given_up_at.is_(None)
# now() is the beginning of the transaction, which a long job has left far behind.
_now = func.clock_timestamp()


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that one worker has taken for one attempt."""

    id: uuid.UUID
    name: str
    payload: Mapping[str, Any]
    request_id: str | None
    attempt: int
    created_at: datetime


async def enqueue(session: AsyncSession, job: str, payload: Mapping[str, Any], *, run_at: datetime | None = None) -> uuid.UUID:
    """Leave a job with the change that the session's transaction makes; return its id.

    It exists if and only if the transaction commits, and runs at least once after that.

    Args:
        session: the session of the action.
        job: the name of a registered handler.
        payload: JSON, without secrets; kept until the job is done.
        run_at: not before this moment; at once if not given.

    """
    identifier = uuid.uuid4()
    values: dict[str, Any] = {"id": identifier, "name": job, "payload": dict(payload), "request_id": request_id_var.get() or None}
    await session.execute(insert(OutboxJob).values(**values, **({} if run_at is None else {"run_at": run_at})))
    wake_up = session.info.get(WAKE_UP)
    if wake_up is not None:
        on_commit(session, wake_up, AfterCommit.JOB_WAKE_UP)
    return identifier


def _wait(attempts: ColumnElement[int] | InstrumentedAttribute[int], longest_s: float = LONGEST_WAIT_S) -> ColumnElement[Any]:
    """How long to wait after so many attempts: doubled each time, with a quarter of chance to either side."""
    doubled = FIRST_WAIT_S * func.power(2, func.least(attempts - 1, 20))
    return func.make_interval(0, 0, 0, 0, 0, 0, func.least(doubled, longest_s) * (0.75 + func.random() / 2))


class Outbox:
    """What workers do with the rows. Every method is part of an action."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind it to the action's session."""
        self.session = session

    async def claim(self, names: Collection[str]) -> ClaimedJob | None:
        """Take the job of these names that has been due for longest, if there is one.

        The attempt is counted before it begins, and the next one set to its time: so a job that kills its worker is not
        tried for ever.
        """
        due = (
            select(OutboxJob.id)
            .where(_is_open, OutboxJob.run_at <= _now, OutboxJob.name.in_(names))
            .order_by(OutboxJob.run_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        statement = (
            update(OutboxJob)
            .where(OutboxJob.id == due)
            .values(attempts=OutboxJob.attempts + 1, run_at=_now + _wait(OutboxJob.attempts + 1))
            .returning(OutboxJob.id, OutboxJob.name, OutboxJob.payload, OutboxJob.request_id, OutboxJob.attempts, OutboxJob.created_at)
            .execution_options(synchronize_session=False)
        )
        row = (await self.session.execute(statement)).one_or_none()
        return None if row is None else ClaimedJob(*row)

    async def lock(self, job: ClaimedJob) -> bool:
        """Hold the row until the action ends; false when somebody else has it, or a later attempt has begun."""
        mine = select(OutboxJob.id).where(_is_open, OutboxJob.id == job.id, OutboxJob.attempts == job.attempt)
        return await self.session.scalar(mine.with_for_update(skip_locked=True)) is not None

    async def allow_seconds(self, seconds: float) -> None:
        """Let the action's statements, and the pauses between them, take so long, and a little more: the caller is to stop first."""
        limit = str(int((seconds + _MARGIN_S) * 1000))
        names = ("statement_timeout", "idle_in_transaction_session_timeout")
        await self.session.execute(select(*(func.set_config(name, limit, True) for name in names)))  # noqa: FBT003 - "for this transaction"

    async def finish(self, identifier: uuid.UUID) -> None:
        """Close a job. What it was about is forgotten, that it was done is kept for a while."""
        await self._set(identifier, done_at=_now, payload={}, last_error=None)

    async def rearm(self, identifier: uuid.UUID, every_s: float) -> None:
        """Let a periodic task run again."""
        await self._set(identifier, run_at=_now + func.make_interval(0, 0, 0, 0, 0, 0, every_s), attempts=0, last_error=None)

    async def fail(self, job: ClaimedJob, reason: str, *, longest_wait_s: float = LONGEST_WAIT_S) -> None:
        """Keep why the attempt failed; the next one waits from now on."""
        wait = _wait(OutboxJob.attempts, longest_wait_s)
        await self._set(job.id, job.attempt, last_error=reason[:_LONGEST_ERROR], run_at=_now + wait)

    async def give_up(self, job: ClaimedJob, reason: str) -> bool:
        """Try no more; the row stays for the operator. False when a later attempt has begun."""
        return await self._set(job.id, job.attempt, last_error=reason[:_LONGEST_ERROR], given_up_at=_now)

    async def arm(self, tasks: Iterable[RegisteredJob]) -> None:
        """Make the row of each periodic task that has none yet; it is due at once."""
        rows = [{"id": task.periodic_id, "name": task.name, "payload": {}} for task in tasks]
        if rows:
            await self.session.execute(insert(OutboxJob).values(rows).on_conflict_do_nothing())

    async def backlog(self, overdue_s: float) -> tuple[int, int]:
        """Count the jobs that have been due for so many seconds, and those that nobody tries any more."""
        late = _is_open & (OutboxJob.run_at < _now - func.make_interval(0, 0, 0, 0, 0, 0, overdue_s))
        row = (
            await self.session.execute(
                select(
                    select(func.count()).select_from(OutboxJob).where(late).scalar_subquery(),
                    select(func.count()).select_from(OutboxJob).where(OutboxJob.given_up_at.is_not(None)).scalar_subquery(),
                )
            )
        ).one()
        return row[0], row[1]

    async def forget_finished(self, days: int) -> None:
        """Delete the jobs that were done more than so many days ago."""
        await self.session.execute(delete(OutboxJob).where(OutboxJob.done_at < _now - func.make_interval(0, 0, 0, days)))

    async def _set(self, identifier: uuid.UUID, attempt: int | None = None, **values: Any) -> bool:
        statement = update(OutboxJob).where(OutboxJob.id == identifier).values(**values).returning(OutboxJob.id)
        if attempt is not None:  # a later attempt may have begun meanwhile, and knows better
            statement = statement.where(OutboxJob.attempts == attempt)
        return await self.session.scalar(statement.execution_options(synchronize_session=False)) is not None
