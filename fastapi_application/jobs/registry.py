"""What can be done in the background: handlers by name, registered where they are defined."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from fastapi_application.core.config import Settings
from fastapi_application.crud.cache_outbox import PUBLISHER
from fastapi_application.jobs.outbox import WAKE_UP

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    type Handler = Callable[[JobContext, Mapping[str, Any]], Awaitable[None]]
    type Condition = Callable[[Settings], bool]

TIMEOUT_S = 60.0
PERIODIC_NAMESPACE = uuid.UUID("5d0b1b52-6f0a-4b0e-9d0e-0f4d6f6a7c11")


class JobError(Exception):
    """The job failed and may succeed later. The text is kept with the job: never put a value of the payload into it."""


class PermanentJobError(JobError):
    """The job cannot succeed, however often it is tried."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a handler works with. The session's transaction also closes the job: both are committed, or neither."""

    session: AsyncSession
    settings: Settings
    id: uuid.UUID
    attempt: int
    created_at: datetime

    def sessions(self) -> async_sessionmaker[AsyncSession]:
        """Return sessions for transactions of the handler's own; what they write is told to the read cache and the workers too."""
        told = {name: self.session.info[name] for name in (PUBLISHER, WAKE_UP) if name in self.session.info}
        return async_sessionmaker(self.session.bind, expire_on_commit=False, info=told)


@dataclass(frozen=True, slots=True)
class RegisteredJob:
    """A handler and how it is run."""

    name: str
    handler: Handler
    timeout_s: float
    every_s: float | None
    can_run: Condition
    given_up: Handler | None = None

    @property
    def periodic_id(self) -> uuid.UUID:
        """The one row of a periodic task: the same in every worker, so that there is never a second one."""
        return uuid.uuid5(PERIODIC_NAMESPACE, self.name)


JOBS: dict[str, RegisteredJob] = {}


def job(
    name: str,
    *,
    timeout_s: float = TIMEOUT_S,
    every_s: float | None = None,
    can_run: Condition = lambda _: True,
    given_up: Handler | None = None,
) -> Callable[[Handler], Handler]:
    """Register a handler of the jobs with this name.

    It may run more than once: a worker can die after the work and before the commit. Services may be called with the
    context's session; they do not commit here either.

    Args:
        name: of the jobs, as `enqueue` names them; part of the database, so it outlives releases.
        timeout_s: after so many seconds an attempt is cut off and counts as failed.
        every_s: see `periodic`.
        can_run: whether the settings allow it; if not, its jobs wait without being tried.
        given_up: called in the transaction that gives a job up: what the job was about must not wait for it for ever.

    """

    def register(handler: Handler) -> Handler:
        if name in JOBS:
            raise ValueError(f"There is a job {name!r} already.")
        JOBS[name] = RegisteredJob(name, handler, timeout_s, every_s, can_run, given_up)
        return handler

    return register


def periodic(name: str, *, every_s: float, timeout_s: float = TIMEOUT_S) -> Callable[[Handler], Handler]:
    """Register a handler that runs again `every_s` seconds after it has succeeded, in one of the workers.

    Its row is locked while it runs, like that of any job, and is never done; failures back off, at most to `every_s`.
    """
    return job(name, timeout_s=timeout_s, every_s=every_s)
