"""The route of the statistics."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from fastapi_application.accounts.authentication import ViewerDep
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.bodies import refuse_query
from fastapi_application.crud.cache_tags import tags_of_kinds
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.responses import bytes_response
from fastapi_application.encyclopedia.pages.routing import page_responses
from fastapi_application.encyclopedia.pages.statistics.service import RENDERS, StatisticsService

router = APIRouter(tags=["statistics"])


class Group(BaseModel):
    """How many have a value; null: it is unknown, or not known well enough."""

    value: str | None
    count: int


class CountryGroup(Group):
    """How many are of a country."""

    name: str


class AircraftStatistics(BaseModel):
    """Aircraft by what they are."""

    total: int
    by_decade: Annotated[list[Group], Field(description="Of the first flight, where it lies in one decade for certain")]
    by_country: Annotated[list[CountryGroup], Field(description="An aircraft of several countries counts for each")]
    by_category: list[Group]
    by_engine_type: list[Group]


class Statistics(BaseModel):
    """The encyclopedia in numbers."""

    entries: Annotated[dict[str, int], Field(description="What everybody sees, by kind")]
    aircraft: AircraftStatistics


@router.get("/statistics", operation_id="statistics", summary="Numbers", responses=page_responses(Statistics, "Numbers."))
async def statistics(request: Request, _viewer: ViewerDep, session: SessionDep, _query: Annotated[None, Depends(refuse_query)]) -> Response:
    """Count entries by kind, and aircraft by decade, country, category and engine."""
    body = await run_read_action(session, StatisticsService(session).statistics)
    return bytes_response(request, body, tags_of_kinds(RENDERS))
