"""PostgreSQL builds the bytes; the schemas describe them. Both must say the same of every kind."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.fields import fields_of
from fastapi_application.crud.read_query import Computed, ReverseCount, ReverseList
from fastapi_application.crud.repository import Repository
from tests.contract.kinds import ICAO, KINDS, SERVICES, WRITABLE, make_icao_type, service_of
from tests.factories.registry import FACTORIES
from tests.support.application import body
from tests.support.entities import as_written

if TYPE_CHECKING:
    import asyncpg
    import httpx
    from pydantic import BaseModel

    from tests.conftest import Make
    from tests.support.application import Application

TEXTS = {"description", "content", "biography", "sources"}
"""What only a detail has, besides reverse lists."""

type Connection = asyncpg.Connection[asyncpg.Record]


def in_order(text: str | bytes) -> Any:
    """Parse JSON; objects become lists of pairs, so that equality includes the order of the keys."""
    return json.loads(text, object_pairs_hook=lambda pairs: [("object", pairs)])


def as_described(schema: type[BaseModel], text: str | bytes) -> Any:
    """Return what the schema makes of a JSON text."""
    return in_order(schema.model_validate_json(text).model_dump_json(by_alias=True))


def test_the_comparison_sees_the_order_of_keys_at_any_depth() -> None:
    assert in_order('{"a": {"b": 1, "c": [2]}}') == in_order('{"a":{"b":1.0,"c":[2]}}')
    assert in_order('{"a": {"b": 1, "c": [2]}}') != in_order('{"a":{"c":[2],"b":1}}')
    assert in_order('{"a": {}}') != in_order('{"a": []}')


async def entities(kind: str, number: int, make: Make, editor: httpx.AsyncClient, db: Connection) -> list[str]:
    """Create the fullest and the barest entity of a kind; return their ids."""
    if kind == ICAO:
        designator = f"Q{number % 1000:03d}"
        await make("aircraft", icao_designator=designator)
        full = await make_icao_type(db, designator=designator, engine_count=2)
        return [full, await make_icao_type(db, designator="----")]
    full_document = await FACTORIES[kind].full(number + 8000, make)
    created = body(await editor.post(f"/api/v1/{kind}", json=full_document), 201)
    return [created["id"], (await make(kind))["id"]]


async def refer_to(kind: str, entity_id: str, make: Make, administrator: httpx.AsyncClient) -> None:
    """Let one entity refer to this one through each of its reverse lists."""
    for field in fields_of(SERVICES[kind].detail_schema):
        if (reverse := field.marker(ReverseList)) is None:
            continue
        owner = reverse.model if "__kind__" in reverse.model.__dict__ else None
        owner_service = next(
            service
            for service in SERVICES.values()
            if service.model is owner or any(relation.mapper.class_ is reverse.model for relation in service.model.__mapper__.relationships)
        )
        owner_kind = owner_service.model.__kind__
        for written in fields_of(service_of(owner_kind).write_schema):
            relation = owner_service.model.__mapper__.relationships.get(written.name)
            if owner is None and relation is not None and relation.mapper.class_ is reverse.model:
                value: Any = [entity_id if written.schema is None else {reverse.attribute: entity_id}]
            elif owner is not None and written.name == reverse.attribute:
                value = entity_id
            else:
                continue
            made = await make(owner_kind, **{written.key: value})
            if owner_kind == "articles":
                path = f"/api/v1/articles/{made['id']}"
                etag = (await administrator.get(path)).headers["etag"]
                body(await administrator.post(f"{path}/publish", headers={"If-Match": etag}))


@pytest.mark.parametrize("kind", KINDS)
async def test_detail_is_what_its_schema_dumps(
    kind: str, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make, number: int, db: Connection
) -> None:
    schema = SERVICES[kind].detail_schema
    full, minimal = await entities(kind, number, make, editor, db)
    await refer_to(kind, full, make, administrator)
    for identifier in (full, minimal):
        answer = await editor.get(f"/api/v1/{kind}/{identifier}")
        body(answer)
        assert in_order(answer.content) == as_described(schema, answer.content)
    shown = (await editor.get(f"/api/v1/{kind}/{full}")).json()
    reverse = [field.key for field in fields_of(schema) if field.marker(ReverseList) or field.marker(ReverseCount)]
    assert all(shown[key] for key in reverse), "the test must compare filled reverse lists"


@pytest.mark.parametrize("kind", KINDS)
async def test_public_detail_is_what_its_schema_dumps(
    kind: str, anonymous: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make, number: int, db: Connection
) -> None:
    full, minimal = await entities(kind, number, make, administrator, db)
    for identifier in (full, minimal):
        path = f"/api/v1/{kind}/{identifier}"
        if kind == "articles":
            etag = (await administrator.get(path)).headers["etag"]
            body(await administrator.post(f"{path}/publish", headers={"If-Match": etag}))
        answer = await anonymous.get(path)
        body(answer)
        assert in_order(answer.content) == as_described(SERVICES[kind].detail_schema, answer.content)


@pytest.mark.parametrize("paging", [{"page": 1}, {"cursor": ""}], ids=["numbered", "cursor"])
@pytest.mark.parametrize("kind", KINDS)
async def test_list_items_are_what_their_schema_dumps(
    kind: str, paging: dict[str, Any], editor: httpx.AsyncClient, make: Make, number: int, db: Connection
) -> None:
    identifiers = await entities(kind, number, make, editor, db)
    answer = await editor.get(f"/api/v1/{kind}", params={"ids": ",".join(identifiers), **paging})
    items = body(answer)["items"]
    assert {item["id"] for item in items} == set(identifiers)
    for text in map(json.dumps, items):
        assert in_order(text) == as_described(SERVICES[kind].item_schema, text)


@pytest.mark.parametrize("kind", KINDS)
async def test_list_item_is_the_detail_without_its_long_parts(
    kind: str, editor: httpx.AsyncClient, make: Make, number: int, db: Connection
) -> None:
    service = SERVICES[kind]
    identifier, _ = await entities(kind, number, make, editor, db)
    detail = body(await editor.get(f"/api/v1/{kind}/{identifier}"))
    (item,) = body(await editor.get(f"/api/v1/{kind}", params={"ids": identifier}))["items"]
    assert item == {key: value for key, value in detail.items() if key in item}
    marked = [field for field in fields_of(service.detail_schema) if field.key not in item]
    reverse = {field.key for field in marked if field.marker(ReverseList) or field.marker(ReverseCount) or field.marker(Computed)}
    assert {field.key for field in marked} <= TEXTS | reverse
    # The `description` of an ICAO type is a code of three characters, not a text.
    assert not (TEXTS if kind != ICAO else TEXTS - {"description"}) & set(item)


@pytest.mark.parametrize("kind", KINDS)
async def test_page_has_the_members_of_the_contract(kind: str, editor: httpx.AsyncClient, make: Make, number: int, db: Connection) -> None:
    await entities(kind, number, make, editor, db)
    numbered = body(await editor.get(f"/api/v1/{kind}", params={"size": 1}))
    assert list(numbered) == ["items", "total", "total_exact", "page", "size", "pages"]
    assert list(body(await editor.get(f"/api/v1/{kind}", params={"size": 1, "cursor": ""}))) == ["items", "size", "next_cursor"]


@pytest.mark.parametrize("kind", WRITABLE)
async def test_write_document_is_what_the_write_schema_dumps(
    kind: str, application: Application, editor: httpx.AsyncClient, make: Make, number: int, db: Connection
) -> None:
    service = service_of(kind)
    for identifier in await entities(kind, number, make, editor, db):
        async with application.fastapi.state.session_factory() as session:
            repository: Repository[Any] = Repository(session, service.model)
            document = await run_crud_action(session, repository.snapshot, uuid.UUID(identifier), service.write_schema)
        text = json.dumps(document)
        assert in_order(text) == as_described(service.write_schema, text)
        detail = body(await editor.get(f"/api/v1/{kind}/{identifier}"))
        assert document == {key: as_written(detail[key]) for key in document}
