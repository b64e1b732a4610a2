"""The routes that every kind has, made from its service."""

# No postponed annotations here: FastAPI reads the real types that these closures are built with.
from functools import cache
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response, status
from fastapi_pagination import Page as LibraryPage
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from fastapi_application.core.actor import Actor
from fastapi_application.core.media_types import JSON_LD, prefers
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.action import run_crud_action, run_read_action
from fastapi_application.crud.bodies import (
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    CommentDep,
    IfMatchDep,
    WriteQueryDep,
    json_body,
    media_type_of,
    parse_body,
    refuse_query,
)
from fastapi_application.crud.declarations import (
    LINK,
    LINKED_DATA,
    LOCATION,
    READ_ERRORS,
    REPLAYED,
    STEP_ERRORS,
    UNCHANGED,
    WRITE_ERRORS,
    Access,
    request_body,
    success,
)
from fastapi_application.crud.dependencies import ListSessionDep, SessionDep
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.history.router import add_history
from fastapi_application.crud.history.schemas import EntityQuery
from fastapi_application.crud.idempotency import Answer, IdempotencyKeyDep, keyed_request, once
from fastapi_application.crud.json_patch import JsonPatch
from fastapi_application.crud.list_query import list_params
from fastapi_application.crud.query_params import documented_query, query_of
from fastapi_application.crud.repository import Document
from fastapi_application.crud.responses import (
    PRIVATE,
    bytes_response,
    document_response,
    page_response,
    written_headers,
    written_response,
)
from fastapi_application.crud.schemas import RequestSchema
from fastapi_application.crud.service import EntityService, Patch, ReadService


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
    router, name = _router_of(service)
    _add_list(router, service, access, name)
    _add_read(router, service, access, name)
    return router


def entity_router(service: type[EntityService[Any, Any]], access: Access, *, has_create: bool = True) -> APIRouter:
    """Build the routes of a kind that editors write; `has_create=False` leaves its POST to another route."""
    router, name = _router_of(service)
    _add_list(router, service, access, name)
    _add_read_at(router, service, access, name)
    if has_create:
        _add_create(router, service, access, name)
    _add_replace(router, service, access, name)
    _add_patch(router, service, access, name)
    _add_delete(router, service, access, name)
    add_history(router, service, access, name)
    return router


def _router_of(service: type[ReadService[Any]]) -> tuple[APIRouter, str]:
    """Return an empty router of a kind, and the first word of its operationIds."""
    kind = service.model.__kind__
    return APIRouter(prefix=f"/{kind}", tags=[kind]), kind.replace("-", "_")


def _add_list(router: APIRouter, service: type[ReadService[Any]], access: Access, name: str) -> None:
    parameters_model: Any = list_params(service.model, service.item_schema, service.default_sort)
    item: Any = service.item_schema
    by_number = create_model(item.__name__.replace("Item", "Page"), __base__=ListPage[item])
    by_cursor = create_model(item.__name__.replace("Item", "CursorPage"), __base__=CursorPage[item])
    sparse = _sparse_page(item)

    @router.get(
        "",
        operation_id=f"{name}_list",
        summary="List",
        openapi_extra=documented_query(parameters_model),
        responses={
            200: success(by_number | by_cursor | sparse, "A page; by `cursor` without totals; with `fields` only those.", **LINK),
            **UNCHANGED,
            **problem_responses(401, 403, 422, 503),
        },
    )
    async def list_entities(
        request: Request,
        viewer: Annotated[Actor | None, access.viewer],
        session: ListSessionDep,
        parameters: Annotated[parameters_model, query_of(parameters_model)],  # after the viewer: a bad token is answered first
    ) -> Response:
        page = await run_read_action(session, service(session).list, parameters, viewer)
        return page_response(request, page, parameters)


def _sparse_page(item: type[BaseModel]) -> type[BaseModel]:
    """Return the schema of a page whose items have only some of their fields."""
    config = ConfigDict(json_schema_serialization_defaults_required=False)
    fields: dict[str, Any] = {name: (_annotation(info), _absent(alias=info.alias)) for name, info in item.model_fields.items()}
    name = item.__name__.replace("Item", "Sparse")
    some: Any = create_model(name, __config__=config, __doc__="Some fields of an item.", **fields)
    page: dict[str, Any] = dict.fromkeys(("total", "page", "pages"), (int, _absent()))
    page |= {"items": (list[some], ...), "size": (int, ...), "total_exact": (bool, _absent()), "next_cursor": (str | None, _absent())}
    sparse: type[BaseModel] = create_model(f"{name}Page", __config__=config, __doc__="A page of items with some of their fields.", **page)
    return sparse


def _annotation(info: FieldInfo) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _absent(**more: Any) -> Any:
    """Return what makes a field of an answer optional: no default that the schema would show."""
    return Field(default_factory=lambda: None, **more)


def _read_answers(service: type[ReadService[Any]]) -> dict[int | str, dict[str, Any]]:
    return {200: {**success(service.detail_schema, "The entry."), "content": LINKED_DATA}, **UNCHANGED, **READ_ERRORS}


def _read_response(
    request: Request, document: Document, service: type[ReadService[Any]], access: Access, *, is_kept: bool = True
) -> Response:
    """Answer with an entry, as JSON-LD to who prefers that."""
    if prefers(request.headers.get("accept", ""), JSON_LD, JSON):
        described = access.linked_data(service.model.__kind__, orjson.loads(document.body))
        return bytes_response(request, orjson.dumps(described), document.tags() if is_kept else None, media_type=JSON_LD)
    return document_response(request, document, is_kept=is_kept)


def _add_read(router: APIRouter, service: type[ReadService[Any]], access: Access, name: str) -> None:

    @router.get(
        "/{ref}",
        operation_id=f"{name}_read",
        summary="Read one, by slug or id",
        responses=_read_answers(service),
    )
    async def read_entity(
        request: Request,
        ref: str,
        viewer: Annotated[Actor | None, access.viewer],
        session: SessionDep,
        _query: Annotated[None, Depends(refuse_query)],  # after the viewer: a bad token is answered first
    ) -> Response:
        document = await run_read_action(session, service(session).read, ref, viewer)
        return _read_response(request, document, service, access)


def _add_read_at(router: APIRouter, service: type[EntityService[Any, Any]], access: Access, name: str) -> None:

    @router.get(
        "/{ref}",
        operation_id=f"{name}_read",
        summary="Read one, by slug or id, as it is or as it was",
        responses=_read_answers(service),
    )
    async def read_entity(
        request: Request,
        ref: str,
        viewer: Annotated[Actor | None, access.viewer],
        session: SessionDep,
        query: Annotated[EntityQuery, Query()],
    ) -> Response:
        if query.as_of is None:
            document = await run_read_action(session, service(session).read, ref, viewer)
        else:
            document = await run_read_action(session, service(session).read_at, ref, query.as_of, viewer)
        return _read_response(request, document, service, access, is_kept=query.as_of is None)


def _add_create(router: APIRouter, service: type[EntityService[Any, Any]], access: Access, name: str) -> None:

    @router.post(
        "",
        operation_id=f"{name}_create",
        summary="Create",
        status_code=status.HTTP_201_CREATED,
        openapi_extra=request_body({JSON: service.write_schema}),
        responses={
            201: success(service.detail_schema, "Created.", **LOCATION, **REPLAYED),
            **problem_responses(400, 401, 403, 409, 415, 422, 503),
        },
    )
    async def create_entity(
        request: Request,
        actor: Annotated[Actor, access.editor],
        raw: Annotated[Any, json_body(JSON)],
        key: IdempotencyKeyDep,
        session: SessionDep,
        query: WriteQueryDep,
    ) -> Response:
        body = parse_body(service.write_schema, raw, service.read_only_fields())

        async def create() -> Answer:
            document = await service(session).create(body, actor, query.comment)
            return Answer(201, document.body, written_headers(document, f"{request.scope['path']}/{document.slug}"))

        keyed = keyed_request(actor, f"{name}_create", key, raw)
        return (await run_crud_action(session, once, session, keyed, create)).response()


def _add_replace(router: APIRouter, service: type[EntityService[Any, Any]], access: Access, name: str) -> None:

    @router.put(
        "/{ref}",
        operation_id=f"{name}_replace",
        summary="Replace",
        openapi_extra=request_body({JSON: service.write_schema}),
        responses={200: success(service.detail_schema, "Replaced."), **WRITE_ERRORS},
    )
    async def replace_entity(
        ref: str,
        actor: Annotated[Actor, access.editor],
        raw: Annotated[Any, json_body(JSON)],
        seen: IfMatchDep,
        session: SessionDep,
        comment: CommentDep,
    ) -> Response:
        body = parse_body(service.write_schema, raw, service.read_only_fields())
        return written_response(await run_crud_action(session, service(session).replace, ref, seen, body, actor, comment))


def _add_patch(router: APIRouter, service: type[EntityService[Any, Any]], access: Access, name: str) -> None:
    schema = patch_schema(service.write_schema)

    @router.patch(
        "/{ref}",
        operation_id=f"{name}_patch",
        summary="Change some fields (JSON Merge Patch or JSON Patch)",
        openapi_extra=request_body({JSON: schema, MERGE_PATCH: schema, JSON_PATCH: JsonPatch}),
        responses={200: success(service.detail_schema, "Changed."), **WRITE_ERRORS},
    )
    async def patch_entity(
        request: Request,
        ref: str,
        actor: Annotated[Actor, access.editor],
        raw: Annotated[Any, json_body(JSON, MERGE_PATCH, JSON_PATCH)],
        seen: IfMatchDep,
        session: SessionDep,
        comment: CommentDep,
    ) -> Response:
        patch: Patch = raw
        if media_type_of(request) == JSON_PATCH:
            patch = parse_body(JsonPatch, raw)
        else:
            parse_body(schema, raw, service.read_only_fields())
        return written_response(await run_crud_action(session, service(session).patch, ref, seen, patch, actor, comment))


def _add_delete(router: APIRouter, service: type[EntityService[Any, Any]], access: Access, name: str) -> None:

    @router.delete(
        "/{ref}",
        operation_id=f"{name}_delete",
        summary="Delete what nothing else refers to",
        status_code=status.HTTP_204_NO_CONTENT,
        responses=STEP_ERRORS,
    )
    async def delete_entity(
        ref: str, actor: Annotated[Actor, access.editor], seen: IfMatchDep, session: SessionDep, comment: CommentDep
    ) -> Response:
        await run_crud_action(session, service(session).delete, ref, seen, actor, comment)
        return Response(status_code=status.HTTP_204_NO_CONTENT, headers={"Cache-Control": PRIVATE})
