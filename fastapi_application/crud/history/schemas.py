"""Answers and parameters of the history."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from fastapi_pagination import Params
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from fastapi_application.crud.schemas import RequestSchema, Schema, Timestamp

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
MAX_NUMBER = 2**31 - 1


def _rfc_3339(value: object) -> object:
    """Refuse what pydantic would take besides: a number of seconds, a date, a time without a zone."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        return value
    code = "invalid_time"
    raise PydanticCustomError(code, "Expected an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z.")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        code = "invalid_time"
        raise PydanticCustomError(code, "The time lies outside the years 1 to 9999.") from None


Moment = Annotated[datetime, BeforeValidator(_rfc_3339), AfterValidator(_in_utc), Field(strict=False)]
RevisionNumber = Annotated[int, Field(ge=1, le=MAX_NUMBER)]


class RevisionActor(Schema):
    """Who made a change; an account that is gone has no name."""

    id: uuid.UUID
    display_name: str | None


class RevisionItem(Schema):
    """A revision in a list."""

    number: Annotated[int, Field(description="The version of the entry after the change")]
    action: Annotated[str, Field(description="`create`, `update`, `revert`, `delete`, or a step of the workflow", examples=["update"])]
    actor: Annotated[RevisionActor | None, Field(description="Null: the system itself")]
    comment: str | None
    at: Timestamp
    pending: Annotated[bool, Field(description="Whether it waits, or waited, beside a published text")]


class RevisionDetail(RevisionItem):
    """A revision with everything that the entry was."""

    snapshot: Annotated[dict[str, Any], Field(description="The write document: a body for PUT")]


class TextPiece(Schema):
    """A piece of a text, in the order of reading."""

    op: Literal["equal", "delete", "insert"]
    text: str


class RevisionDiff(Schema):
    """What differs between two revisions."""

    from_: Annotated[int, Field(alias="from")]
    to: int
    patch: Annotated[list[dict[str, Any]], Field(description="RFC 6902: applied to the snapshot of `from` it gives that of `to`")]
    text: Annotated[dict[str, list[TextPiece]], Field(description="The words of each Markdown field that differs")]


class RevertBody(RequestSchema):
    """Which revision to go back to."""

    revision: RevisionNumber


class RevisionParams(Params):
    """The parameters of a list of revisions."""

    model_config = ConfigDict(extra="forbid")
    cursor: ClassVar[None] = None

    page: Annotated[int, Field(ge=1, le=10_000, description="Page number; page × size is at most 10000")] = 1
    size: Annotated[int, Field(ge=1, le=100, description="Revisions on a page")] = 20


class EntityQuery(BaseModel):
    """The parameter of a detail page."""

    model_config = ConfigDict(extra="forbid")

    as_of: Annotated[Moment | None, Field(description="The entry as it was at this time (RFC 3339)")] = None


class ChangesQuery(BaseModel):
    """The parameters of the feed."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[int, Field(ge=0, le=2**63 - 1, description="`next_since` of the answer before; 0 starts")] = 0
    limit: Annotated[int, Field(ge=1, le=1000, description="Changes in the answer, at most")] = 100


class ChangeItem(Schema):
    """A public change."""

    seq: int
    kind: str
    id: uuid.UUID
    slug: Annotated[str | None, Field(description="Null: the entry is there, but no longer public")]
    action: Literal["create", "update", "delete"]
    version: int
    at: Timestamp


class ChangePage(BaseModel):
    """Changes in the order of their numbers."""

    items: list[ChangeItem]
    next_since: Annotated[int, Field(description="`since` of the next request")]
