"""The routes that every kind has, made from its service."""

# No postponed annotations here: FastAPI reads the real types that these closures are built with.
from dataclasses import dataclass
from functools import cache
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin

from fastapi import APIRouter, Depends, Query, Request, Response, status
from fastapi_pagination import Page as LibraryPage
from pydantic import BaseModel, Field, create_model

from fastapi_application.core.actor import Actor
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.action import run_crud_action, run_read_action
from fastapi_application.crud.bodies import JSON, MERGE_PATCH, IfMatchDep, WriteQueryDep, json_body, parse_body, refuse_query
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.list_query import list_params
from fastapi_application.crud.responses import PRIVATE, document_response, page_response, written_response
from fastapi_application.crud.schemas import RequestSchema
from fastapi_application.crud.service import EntityService, ReadService


@dataclass(frozen=True)
class Access:
    """The dependencies (`Depends(…)`) that say who reads and who may write; accounts provide them, which stand above this layer."""

    viewer: Any
    editor: Any


class ListPage[T](LibraryPage[T]):
    """A page of a list by its number."""

    total: Annotated[int, Field(ge=0, description="How many match, counted up to 10000 under filters")]
    total_exact: Annotated[bool, Field(description="Whether `total` is exact")]


class CursorPage[T](BaseModel):
    """A page of a list by `cursor`."""

    items: list[T]
    size: Annotated[int, Field(ge=1)]
    next_cursor: Annotated[str | None, Field(description="Null at the end")]


def patch_schema(write: type[BaseModel]) -> type[BaseModel]:
    """Return the schema of a merge patch: any part of the write document; null empties what may be empty."""
    return _patch_schema(write)


@cache
def _patch_schema(write: type[BaseModel]) -> type[BaseModel]:
    definitions: dict[str, Any] = {}
    for field in fields_of(write):
        info = write.model_fields[field.name]
        merged = _merged(field, info.annotation)
        annotation: Any = Annotated[(merged, *info.metadata)] if info.metadata else merged
        optional = annotation if info.is_required() else annotation | None
        definitions[field.name] = (optional, Field(default=None, alias=info.alias, description=info.description))
    return create_model(f"{write.__name__.removesuffix('Write')}Patch", __base__=RequestSchema, **definitions)


def _merged(field: SchemaField, annotation: Any) -> Any:
    """Return the type of a field in a merge patch: objects are merged, so each of their members may be absent or null."""
    if get_origin(field.type) is dict:
        key, value = get_args(field.type)
        return GenericAlias(dict, (key, value | None))
    return patch_schema(field.schema) if field.schema is not None and not field.is_list else annotation


def read_router(service: type[ReadService[Any]], access: Access) -> APIRouter:
    """Build the routes of a read-only kind."""
    kind = service.model.__kind__
    router = APIRouter(prefix=f"/{kind}", tags=[kind])
    _add_list(router, service, access, kind.replace("-", "_"))
    _add_read(router, service, access, kind.replace("-", "_"))
    return router


def entity_router(service: type[EntityService[Any, Any]], access: Access) -> APIRouter:
    """Build the routes of a kind that editors write."""
    router = read_router(service, access)
    name = service.model.__kind__.replace("-", "_")
    _add_create(router, service, access, name)
    _add_replace(router, service, access, name)
    _add_patch(router, service, access, name)
    _add_delete(router, service, access, name)
    return router


def request_body(schema: type[BaseModel], *media_types: str) -> dict[str, Any]:
    """Declare the body of a route whose handler reads it itself; `openapi` adds the schema."""
    reference = {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}}
    return {"requestBody": {"required": True, "content": dict.fromkeys(media_types, reference)}}


_ETAG_HEADER = {"ETag": {"description": 'Version for If-Match: `"<id8>.<version>.<hash>"`', "schema": {"type": "string"}}}


def _success(schema: Any, description: str, **headers: Any) -> dict[str, Any]:
    return {"model": schema, "description": description, "headers": {**_ETAG_HEADER, **headers}}


_LOCATION = {"Location": {"description": "Where the entry is", "schema": {"type": "string"}}}
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "You have it."}}
MOVED: dict[int | str, dict[str, Any]] = {308: {"description": "The slug was renamed.", "headers": _LOCATION}}
_READ_ERRORS = MOVED | problem_responses(401, 404, 422, 503)
_WRITE_ERRORS = MOVED | problem_responses(400, 401, 403, 404, 409, 412, 415, 422, 428, 503)


def _add_list(router: APIRouter, service: type[ReadService[Any]], access: Access, name: str) -> None:
    parameters_model: Any = list_params(service.model, service.item_schema, service.default_sort)
    item: Any = service.item_schema
    by_number = create_model(item.__name__.replace("Item", "Page"), __base__=ListPage[item])
    by_cursor = create_model(item.__name__.replace("Item", "CursorPage"), __base__=CursorPage[item])
    link = {"Link": {"description": "RFC 8288: first, prev, next", "schema": {"type": "string"}}}

    @router.get(
        "",
        operation_id=f"{name}_list",
        summary="List",
        responses={
            200: _success(by_number | by_cursor, "A page; by `cursor` without totals.", **link),
            **_UNCHANGED,
            **problem_responses(401, 403, 422, 503),
        },
    )
    async def list_entities(
        request: Request,
        viewer: Annotated[Actor | None, access.viewer],
        session: SessionDep,
        parameters: Annotated[parameters_model, Query()],
    ) -> Response:
        page = await run_read_action(session, service(session).list, parameters, viewer)
        return page_response(request, page, parameters)


def _add_read(router: APIRouter, service: type[ReadService[Any]], access: Access, name: str) -> None:

    @router.get(
        "/{ref}",
        operation_id=f"{name}_read",
        summary="Read one, by slug or id",
        responses={200: _success(service.detail_schema, "The entry."), **_UNCHANGED, **_READ_ERRORS},
    )
    async def read_entity(
        request: Request,
        ref: str,
        viewer: Annotated[Actor | None, access.viewer],
        session: SessionDep,
        _query: Annotated[None, Depends(refuse_query)],  # after the viewer: a bad token is answered first
    ) -> Response:
        return document_response(request, await run_read_action(session, service(session).read, ref, viewer))


def _add_create(router: APIRouter, service: type[EntityService[Any, Any]], access: Access, name: str) -> None:

    @router.post(
        "",
        operation_id=f"{name}_create",
        summary="Create",
        status_code=status.HTTP_201_CREATED,
        openapi_extra=request_body(service.write_schema, JSON),
        responses={201: _success(service.detail_schema, "Created.", **_LOCATION), **problem_responses(400, 401, 403, 409, 415, 422, 503)},
    )
    async def create_entity(
        request: Request,
        actor: Annotated[Actor, access.editor],
        raw: Annotated[Any, json_body(JSON)],
        session: SessionDep,
        _query: WriteQueryDep,
    ) -> Response:
        body = parse_body(service.write_schema, raw, service.read_only_fields())
        document = await run_crud_action(session, service(session).create, body, actor)
        return written_response(document, status.HTTP_201_CREATED, f"{request.scope['path']}/{document.slug}")


def _add_replace(router: APIRouter, service: type[EntityService[Any, Any]], access: Access, name: str) -> None:

    @router.put(
        "/{ref}",
        operation_id=f"{name}_replace",
        summary="Replace",
        openapi_extra=request_body(service.write_schema, JSON),
        responses={200: _success(service.detail_schema, "Replaced."), **_WRITE_ERRORS},
    )
    async def replace_entity(
        ref: str,
        actor: Annotated[Actor, access.editor],
        raw: Annotated[Any, json_body(JSON)],
        seen: IfMatchDep,
        session: SessionDep,
        _query: WriteQueryDep,
    ) -> Response:
        body = parse_body(service.write_schema, raw, service.read_only_fields())
        return written_response(await run_crud_action(session, service(session).replace, ref, seen, body, actor))


def _add_patch(router: APIRouter, service: type[EntityService[Any, Any]], access: Access, name: str) -> None:
    schema = patch_schema(service.write_schema)

    @router.patch(
        "/{ref}",
        operation_id=f"{name}_patch",
        summary="Change some fields (JSON Merge Patch)",
        openapi_extra=request_body(schema, JSON, MERGE_PATCH),
        responses={200: _success(service.detail_schema, "Changed."), **_WRITE_ERRORS},
    )
    async def patch_entity(
        ref: str,
        actor: Annotated[Actor, access.editor],
        raw: Annotated[Any, json_body(JSON, MERGE_PATCH)],
        seen: IfMatchDep,
        session: SessionDep,
        _query: WriteQueryDep,
    ) -> Response:
        parse_body(schema, raw, service.read_only_fields())
        return written_response(await run_crud_action(session, service(session).patch, ref, seen, raw, actor))


def _add_delete(router: APIRouter, service: type[EntityService[Any, Any]], access: Access, name: str) -> None:

    @router.delete(
        "/{ref}",
        operation_id=f"{name}_delete",
        summary="Delete what nothing else refers to",
        status_code=status.HTTP_204_NO_CONTENT,
        responses=MOVED | problem_responses(401, 403, 404, 409, 412, 422, 428, 503),
    )
    async def delete_entity(
        ref: str, actor: Annotated[Actor, access.editor], seen: IfMatchDep, session: SessionDep, _query: WriteQueryDep
    ) -> Response:
        await run_crud_action(session, service(session).delete, ref, seen, actor)
        return Response(status_code=status.HTTP_204_NO_CONTENT, headers={"Cache-Control": PRIVATE})
