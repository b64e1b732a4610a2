"""The route of the comparison."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from fastapi_application.accounts.authentication import ViewerDep
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.responses import bytes_response
from fastapi_application.encyclopedia.pages.compare.schemas import CompareParams, Comparison
from fastapi_application.encyclopedia.pages.compare.service import RENDERS, CompareService
from fastapi_application.encyclopedia.pages.routing import page_responses

router = APIRouter(tags=["aircraft"])


@router.get(
    "/aircraft/compare", operation_id="aircraft_compare", summary="Side by side", responses=page_responses(Comparison, "The comparison.")
)
async def compare(request: Request, _viewer: ViewerDep, session: SessionDep, parameters: Annotated[CompareParams, Query()]) -> Response:
    """Compare two to ten aircraft; the best values are marked."""
    return bytes_response(request, await run_read_action(session, CompareService(session).compare, parameters), RENDERS)
