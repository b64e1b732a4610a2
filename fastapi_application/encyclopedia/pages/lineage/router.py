"""Routes of lineage and family."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from fastapi_application.accounts.authentication import ViewerDep
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.bodies import refuse_query
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.responses import bytes_response
from fastapi_application.encyclopedia.pages.lineage.schemas import Family, Lineage, LineageParams
from fastapi_application.encyclopedia.pages.lineage.service import RENDERS, LineageService
from fastapi_application.encyclopedia.pages.routing import page_responses

router = APIRouter(prefix="/aircraft/{ref}", tags=["aircraft"])


@router.get(
    "/lineage",
    operation_id="aircraft_lineage",
    summary="What it came from, and what came from it",
    responses=page_responses(Lineage, "A graph.", ref=True),
)
async def lineage(
    request: Request, ref: str, _viewer: ViewerDep, session: SessionDep, parameters: Annotated[LineageParams, Query()]
) -> Response:
    """Show the typed graph around an aircraft."""
    return bytes_response(request, await run_read_action(session, LineageService(session).lineage, ref, parameters), RENDERS)


@router.get(
    "/family", operation_id="aircraft_family", summary="The variants of its type", responses=page_responses(Family, "A type.", ref=True)
)
async def family(
    request: Request, ref: str, _viewer: ViewerDep, session: SessionDep, _query: Annotated[None, Depends(refuse_query)]
) -> Response:
    """Show the type that an aircraft belongs to, with all of its variants."""
    return bytes_response(request, await run_read_action(session, LineageService(session).family, ref), RENDERS)
