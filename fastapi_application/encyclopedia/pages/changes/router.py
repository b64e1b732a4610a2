"""The route of the feed of public changes."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from fastapi_application.accounts.authentication import ViewerDep
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.declarations import UNCHANGED, success
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.history.changes import changes_since, tags_of_changes
from fastapi_application.crud.history.schemas import ChangePage, ChangesQuery
from fastapi_application.crud.responses import bytes_response

router = APIRouter(tags=["changes"])


@router.get(
    "/changes",
    operation_id="changes",
    summary="Public changes in their order, for mirrors",
    responses={200: success(ChangePage, "Changes."), **UNCHANGED, **problem_responses(401, 422, 503)},
)
async def read_changes(request: Request, _viewer: ViewerDep, session: SessionDep, query: Annotated[ChangesQuery, Query()]) -> Response:
    """Start with `since=0`, go on with `next_since` of the answer: no number ever appears behind one that you have read."""
    body = await run_read_action(session, changes_since, session, query.since, query.limit)
    return bytes_response(request, body, tags_of_changes())
