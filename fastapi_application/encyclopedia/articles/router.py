"""Routes of articles."""

from fastapi import Response

from fastapi_application.accounts.authentication import AdministratorDep
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.bodies import IfMatchDep, WriteQueryDep
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.responses import written_response
from fastapi_application.crud.router import MOVED
from fastapi_application.encyclopedia.articles.schemas import ArticleDetail
from fastapi_application.encyclopedia.articles.service import ArticleService
from fastapi_application.encyclopedia.routing import entity_router

router = entity_router(ArticleService)


@router.post(
    "/{ref}/publish",
    operation_id="articles_publish",
    summary="Publish at once, from any state",
    responses={
        200: {"model": ArticleDetail, "description": "Published."},
        **MOVED,
        **problem_responses(401, 403, 404, 412, 422, 428, 503),
    },
)
async def publish(ref: str, actor: AdministratorDep, seen: IfMatchDep, session: SessionDep, _query: WriteQueryDep) -> Response:
    """Make an article visible to everybody."""
    return written_response(await run_crud_action(session, ArticleService(session).publish, ref, seen, actor))
