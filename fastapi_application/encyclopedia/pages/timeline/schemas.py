"""Parameters and answers of timeline and on this day."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fastapi_application.core.dates import Edtf
from fastapi_application.crud.list_query import MAX_DEPTH, Ref, any_of

EventKind = Literal["aircraft", "designers", "design-bureaus", "manufacturers", "engines"]
Event = Literal["first_flight", "introduced", "retired", "first_run", "born", "died", "founded", "dissolved"]
Precision = Literal["day", "month", "season", "year", "decade", "century", "interval"]
_MONTH_DAY = re.compile(r"[0-9]{2}-[0-9]{2}")
_LEAP_YEAR = 2000


def _day_of_year(value: str) -> str:
    if not _MONTH_DAY.fullmatch(value):
        message = "expected MM-DD"
        raise ValueError(message)
    date(_LEAP_YEAR, int(value[:2]), int(value[3:]))
    return value


class TimelineParams(BaseModel):
    """What a timeline takes."""

    model_config = ConfigDict(extra="forbid")

    from_: Annotated[Edtf | None, Field(alias="from", description="Nothing that is certainly before this date (EDTF)")] = None
    to: Annotated[Edtf | None, Field(description="Nothing that is certainly after this date (EDTF)")] = None
    country: Annotated[any_of(Ref) | None, Field(description="Any of these countries, by code, slug or id")] = None  # type: ignore[valid-type]
    kind: Annotated[
        any_of(Literal[EventKind, Event]) | None,  # type: ignore[valid-type]
        Field(description="Any of these events, or all events of these kinds of entries"),
    ] = None
    page: Annotated[int, Field(ge=1, le=MAX_DEPTH, description="Page number; page × size is at most 10000")] = 1
    size: Annotated[int, Field(ge=1, le=100, description="Items on a page")] = 50


class OnThisDayParams(BaseModel):
    """Which day."""

    model_config = ConfigDict(extra="forbid")

    date: Annotated[
        str | None,
        AfterValidator(lambda value: value and _day_of_year(value)),
        Field(description="MM-DD; today in UTC if absent", examples=["12-17"], json_schema_extra={"pattern": "^[0-9]{2}-[0-9]{2}$"}),
    ] = None


class TimelineItem(BaseModel):
    """An event, dated as precisely as history knows it."""

    event: Event
    kind: EventKind
    slug: str
    name: str
    url: str
    date: Annotated[str, Field(description="EDTF, as written")]
    precision: Precision
    certain: Annotated[bool, Field(description="Whether the date has no `?`, `~` or `%`")]


class TimelinePage(BaseModel):
    """Events in their order."""

    items: list[TimelineItem]
    total: int
    total_exact: bool
    page: int
    size: int
    pages: int


class OnThisDay(BaseModel):
    """What happened on a day of the year, the oldest first."""

    date: str
    items: list[TimelineItem]
