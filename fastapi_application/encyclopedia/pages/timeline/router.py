"""Routes of timeline and on this day."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from fastapi_application.accounts.authentication import ViewerDep
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.dependencies import ListSessionDep
from fastapi_application.crud.responses import bytes_response
from fastapi_application.encyclopedia.pages.day import Day
from fastapi_application.encyclopedia.pages.routing import page_responses
from fastapi_application.encyclopedia.pages.timeline.schemas import OnThisDay, OnThisDayParams, TimelinePage, TimelineParams
from fastapi_application.encyclopedia.pages.timeline.service import RENDERS, TimelineService

router = APIRouter(tags=["timeline"])


@router.get("/timeline", operation_id="timeline", summary="What happened when", responses=page_responses(TimelinePage, "Events."))
async def timeline(
    request: Request, _viewer: ViewerDep, session: ListSessionDep, parameters: Annotated[TimelineParams, Query()]
) -> Response:
    """Show first flights, service entries, retirements, births, deaths and foundings."""
    return bytes_response(request, await run_read_action(session, TimelineService(session).timeline, parameters), RENDERS)


@router.get(
    "/on-this-day", operation_id="on_this_day", summary="Events of a day of the year", responses=page_responses(OnThisDay, "Events.")
)
async def on_this_day(
    request: Request, _viewer: ViewerDep, session: ListSessionDep, parameters: Annotated[OnThisDayParams, Query()]
) -> Response:
    """Show only what is known to the day."""
    day = Day.today()
    body = await run_read_action(session, TimelineService(session).on_this_day, parameters.date or day.date[5:])
    return bytes_response(request, body, RENDERS, until=None if parameters.date else day.ends_at)
