"""Bodies of the steps of the workflow."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fastapi_application.crud.history.schemas import Moment
from fastapi_application.crud.schemas import Comment, RequestSchema, Schema, Timestamp
from fastapi_application.encyclopedia.vocabulary import ReviewStatus


class RejectBody(RequestSchema):
    """Why a text goes back to its author."""

    reason: Annotated[Comment, Field(description="For the author")]


class ScheduleBody(RequestSchema):
    """When a text is to be published."""

    publish_at: Annotated[Moment, Field(description="RFC 3339; a time that has passed means at once")]


class Review(Schema):
    """Where a text stands that the public does not see yet. Only editors see it."""

    status: ReviewStatus
    pending_revision: Annotated[int | None, Field(description="The newest revision of a change that waits beside the published text")]
    publish_at: Timestamp | None
    reason: Annotated[str | None, Field(description="Why it was sent back")]


WORKFLOW_BODIES = (RejectBody, ScheduleBody)
