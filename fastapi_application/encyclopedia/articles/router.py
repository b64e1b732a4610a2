"""Routes of articles."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Response

from fastapi_application.accounts.authentication import require
from fastapi_application.core.actor import Actor, Role
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.bodies import JSON, IfMatchDep, WriteQueryDep, json_body, parse_body
from fastapi_application.crud.declarations import STEP_ERRORS, WRITE_ERRORS, request_body, success
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.repository import Document
from fastapi_application.crud.responses import written_response
from fastapi_application.encyclopedia.articles.schemas import ArticleDetail
from fastapi_application.encyclopedia.articles.service import ArticleService
from fastapi_application.encyclopedia.articles.workflow import (
    APPROVE,
    ARCHIVE,
    PUBLISH,
    REJECT,
    SCHEDULE,
    SUBMIT,
    UNPUBLISH,
    ArticleWorkflow,
)
from fastapi_application.encyclopedia.articles.workflow_schemas import RejectBody, ScheduleBody
from fastapi_application.encyclopedia.routing import entity_router

type Step = Callable[[ArticleWorkflow, str, frozenset[str], Actor, str | None], Awaitable[Document]]

router = entity_router(ArticleService)
_MODERATOR = require(Role.MODERATOR)


def _add_step(name: str, summary: str, role: Role, step: Step) -> None:

    @router.post(
        f"/{{ref}}/{name}",
        operation_id=f"articles_{name}",
        summary=summary,
        responses={200: success(ArticleDetail, "As it is now."), **STEP_ERRORS},
    )
    async def make_step(
        ref: str, actor: Annotated[Actor, require(role)], seen: IfMatchDep, session: SessionDep, query: WriteQueryDep
    ) -> Response:
        return written_response(await run_crud_action(session, step, ArticleWorkflow(session), ref, seen, actor, query.comment))


_add_step(SUBMIT, "Ask for a review", Role.EDITOR, ArticleWorkflow.submit)
_add_step(APPROVE, "Publish what waits for review; not one's own change", Role.MODERATOR, ArticleWorkflow.approve)
_add_step(PUBLISH, "Publish at once, from any state", Role.ADMINISTRATOR, ArticleWorkflow.publish)
_add_step(UNPUBLISH, "Make a published article a draft again", Role.MODERATOR, ArticleWorkflow.unpublish)
_add_step(ARCHIVE, "Take an article out of the encyclopedia", Role.MODERATOR, ArticleWorkflow.archive)


@router.post(
    f"/{{ref}}/{REJECT}",
    operation_id="articles_reject",
    summary="Send back what waits for review, with a reason",
    openapi_extra=request_body({JSON: RejectBody}),
    responses={200: success(ArticleDetail, "A draft again."), **WRITE_ERRORS},
)
async def reject(
    ref: str,
    actor: Annotated[Actor, _MODERATOR],
    raw: Annotated[Any, json_body(JSON)],
    seen: IfMatchDep,
    session: SessionDep,
    query: WriteQueryDep,
) -> Response:
    """Keep the text, and tell its author what is missing."""
    reason = parse_body(RejectBody, raw).reason
    return written_response(await run_crud_action(session, ArticleWorkflow(session).reject, ref, seen, reason, actor, query.comment))


@router.post(
    f"/{{ref}}/{SCHEDULE}",
    operation_id="articles_schedule",
    summary="Publish what waits for review at a time; not one's own change",
    openapi_extra=request_body({JSON: ScheduleBody}),
    responses={200: success(ArticleDetail, "Scheduled."), **WRITE_ERRORS},
)
async def schedule(
    ref: str,
    actor: Annotated[Actor, _MODERATOR],
    raw: Annotated[Any, json_body(JSON)],
    seen: IfMatchDep,
    session: SessionDep,
    query: WriteQueryDep,
) -> Response:
    """Approve a text whose day is yet to come. A change of it takes the approval back."""
    publish_at = parse_body(ScheduleBody, raw).publish_at
    return written_response(await run_crud_action(session, ArticleWorkflow(session).schedule, ref, seen, publish_at, actor, query.comment))
