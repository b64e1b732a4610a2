"""Routes of search and suggest."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from fastapi_application.accounts.authentication import ViewerDep
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.dependencies import ListSessionDep
from fastapi_application.crud.responses import bytes_response
from fastapi_application.encyclopedia.pages.routing import page_responses
from fastapi_application.encyclopedia.pages.search.schemas import SearchPage, SearchParams, Suggestions, SuggestParams
from fastapi_application.encyclopedia.pages.search.service import RENDERS, SearchService

router = APIRouter(tags=["search"])


@router.get("/search", operation_id="search", summary="Find entries of any kind", responses=page_responses(SearchPage, "Matches."))
async def search(request: Request, viewer: ViewerDep, session: ListSessionDep, parameters: Annotated[SearchParams, Query()]) -> Response:
    """Rank across kinds: names and designations before summaries before texts."""
    body = await run_read_action(session, SearchService(session, viewer).search, parameters)
    return bytes_response(request, body, RENDERS)


@router.get("/suggest", operation_id="suggest", summary="Complete a name", responses=page_responses(Suggestions, "Names."))
async def suggest(request: Request, viewer: ViewerDep, session: ListSessionDep, parameters: Annotated[SuggestParams, Query()]) -> Response:
    """Ten names that begin like the question."""
    body = await run_read_action(session, SearchService(session, viewer).suggest, parameters.q)
    return bytes_response(request, body, RENDERS)
