"""The routes of a kind's history."""

# No postponed annotations here: FastAPI reads the real types that these closures are built with.
import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi_pagination import Page as LibraryPage

from fastapi_application.core.actor import Actor
from fastapi_application.crud.action import run_crud_action, run_read_action
from fastapi_application.crud.bodies import JSON, IfMatchDep, WriteQueryDep, json_body, parse_body, refuse_query
from fastapi_application.crud.declarations import LINK, READ_ERRORS, UNCHANGED, WRITE_ERRORS, Access, request_body, success
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.history.reading import render_diff
from fastapi_application.crud.history.schemas import MAX_NUMBER, RevertBody, RevisionDetail, RevisionDiff, RevisionItem, RevisionParams
from fastapi_application.crud.repository import content_hash
from fastapi_application.crud.responses import page_response, read_response, written_response

if TYPE_CHECKING:
    from fastapi_application.crud.service import EntityService

Number = Annotated[int, Path(ge=1, le=MAX_NUMBER)]


class RevisionPage(LibraryPage[RevisionItem]):
    """A page of revisions, the newest first."""

    total_exact: bool


def add_history(router: APIRouter, service: "type[EntityService[Any, Any]]", access: Access, name: str) -> None:
    """Add what reads revisions and goes back to them."""
    _add_revisions(router, service, access, name)
    _add_diff(router, service, access, name)
    _add_revert(router, service, access, name)


def _add_revisions(router: APIRouter, service: "type[EntityService[Any, Any]]", access: Access, name: str) -> None:

    @router.get(
        "/{ref}/revisions",
        operation_id=f"{name}_revisions",
        summary="List the revisions, the newest first",
        responses={200: success(RevisionPage, "A page.", **LINK), **UNCHANGED, **READ_ERRORS},
    )
    async def list_revisions(
        request: Request,
        ref: str,
        viewer: Annotated[Actor | None, access.viewer],
        session: SessionDep,
        parameters: Annotated[RevisionParams, Query()],
    ) -> Response:
        page = await run_read_action(session, service(session).history.page, ref, parameters, viewer)
        return page_response(request, page, parameters)

    @router.get(
        "/{ref}/revisions/{number}",
        operation_id=f"{name}_revision",
        summary="Read a revision with its snapshot",
        responses={200: success(RevisionDetail, "The revision."), **UNCHANGED, **READ_ERRORS},
    )
    async def read_revision(
        request: Request,
        ref: str,
        number: Number,
        viewer: Annotated[Actor | None, access.viewer],
        session: SessionDep,
        _query: Annotated[None, Depends(refuse_query)],
    ) -> Response:
        body = await run_read_action(session, service(session).history.read, ref, number, viewer)
        return read_response(request, body, f'"{content_hash(body)}"')


def _add_diff(router: APIRouter, service: "type[EntityService[Any, Any]]", access: Access, name: str) -> None:

    @router.get(
        "/{ref}/revisions/{old}/diff/{new}",
        operation_id=f"{name}_diff",
        summary="Compare two revisions",
        responses={200: success(RevisionDiff, "What differs."), **UNCHANGED, **READ_ERRORS},
    )
    async def diff_revisions(
        request: Request,
        ref: str,
        old: Number,
        new: Number,
        viewer: Annotated[Actor | None, access.viewer],
        session: SessionDep,
        _query: Annotated[None, Depends(refuse_query)],
    ) -> Response:
        snapshots = await run_read_action(session, service(session).history.snapshots, ref, old, new, viewer)
        body = await asyncio.to_thread(render_diff, old, new, snapshots, service.write_schema)
        return read_response(request, body, f'"{content_hash(body)}"')


def _add_revert(router: APIRouter, service: "type[EntityService[Any, Any]]", access: Access, name: str) -> None:

    @router.post(
        "/{ref}/revert",
        operation_id=f"{name}_revert",
        summary="Go back to an earlier revision, relations included, as a new one",
        openapi_extra=request_body({JSON: RevertBody}),
        responses={200: success(service.detail_schema, "As it was then."), **WRITE_ERRORS},
    )
    async def revert_entity(
        ref: str,
        actor: Annotated[Actor, access.editor],
        raw: Annotated[Any, json_body(JSON)],
        seen: IfMatchDep,
        session: SessionDep,
        query: WriteQueryDep,
    ) -> Response:
        revision = parse_body(RevertBody, raw).revision
        return written_response(await run_crud_action(session, service(session).revert, ref, seen, revision, actor, query.comment))
