"""The outbox's own periodic task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi_application.jobs.outbox import Outbox
from fastapi_application.jobs.registry import JobContext, periodic

if TYPE_CHECKING:
    from collections.abc import Mapping

KEEP_FINISHED_DAYS = 7
_EVERY_S = 3600


@periodic("forget_finished_jobs", every_s=_EVERY_S)
async def forget_finished_jobs(context: JobContext, _payload: Mapping[str, Any]) -> None:
    """Delete the rows of jobs that were done a week ago."""
    await Outbox(context.session).forget_finished(KEEP_FINISHED_DAYS)
