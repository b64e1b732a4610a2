"""Dates of history in every kind: kept as written, byte for byte, wherever they stand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import inspect

from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.models import Link
from fastapi_application.crud.read_query import column_attribute
from tests.contract.kinds import WRITABLE, dates_of, if_match, is_date, service_of, write_fields
from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make

DATES = [
    "1903-12-17",
    "0001-01-01",
    "9999-12-31",
    "1936",
    "1939-10",
    "1939-10~",
    "1939?",
    "1939-10-02%",
    "193X",
    "19XX",
    "193X?",
    "1941-XX",
    "1941-06-XX",
    "1941-XX-XX",
    "1941-21",
    "1941/1954",
    "1941-06~/1954-03-01?",
    "1941/..",
    "../1941",
    "1941/",
    "/1941",
]
BAD_DATES = [
    "1941-13",
    "1941-02-30",
    "1900-02-29",
    "0000",
    "1954/1941",
    "[1939,1940]",
    "41",
    "1941 ",
    "1941-6",
    "",
    "Y170000002",
    "1941-01-01T00:00:00Z",
]


def nested_dates(kind: str) -> dict[str, list[SchemaField]]:
    """Return the dates inside lists of objects, by the key of the list."""
    lists = [(field.key, field.schema) for field in write_fields(kind) if field.is_list and field.schema is not None]
    found = {key: [nested for nested in fields_of(schema) if is_date(nested)] for key, schema in lists}
    return {key: dates for key, dates in found.items() if dates}


DATED = [kind for kind in WRITABLE if dates_of(kind) or nested_dates(kind)]
PLACES = [
    (kind, pointer)
    for kind in DATED
    for pointer in (*dates_of(kind), *(f"{key}/0/{date.key}" for key, dates in nested_dates(kind).items() for date in dates))
]


def test_every_date_of_every_table_is_covered() -> None:
    for kind in WRITABLE:
        mapper = inspect(service_of(kind).model)
        assert {field.name for field in write_fields(kind) if is_date(field)} == set(mapper.composites.keys())
        for relation in mapper.relationships:
            if issubclass(relation.mapper.class_, Link) and relation.uselist and relation.mapper.composites:
                names = {field.name for field in nested_dates(kind)[relation.key]}
                assert names == set(relation.mapper.composites.keys())
    assert len(PLACES) >= 17


def place(document: dict[str, Any], pointer: str, value: object) -> dict[str, Any]:
    """Return the part of a document that has this value at a place."""
    key, *rest = pointer.split("/")
    if not rest:
        return {key: value}
    (item,) = document[key]
    return {key: [{**item, rest[1]: value}]}


def value_at(document: dict[str, Any], pointer: str) -> Any:
    """Return the value at a place."""
    value: Any = document
    for part in pointer.split("/"):
        value = value[int(part)] if part.isdigit() else value[part]
    return value


async def stored(db: asyncpg.Connection[asyncpg.Record], kind: str, pointer: str, identifier: str) -> Any:
    """Return what another connection finds in the column of a date."""
    model: Any = service_of(kind).model
    owner, key, name = "id", pointer, pointer
    if "/" in pointer:
        key, _, name = pointer.split("/")
        model = inspect(model).relationships[key].mapper.class_
        owner = f"{model.__owner__}_id"
    column = inspect(model).column_attrs[column_attribute(inspect(model), name)].columns[0].name
    statement = f'SELECT "{column}" FROM "{model.__tablename__}" WHERE {owner} = $1'  # noqa: S608 - names of columns
    return await db.fetchval(statement, identifier)


@pytest.mark.parametrize(("kind", "pointer"), PLACES)
async def test_dates_survive_post_patch_and_put_byte_for_byte(
    kind: str,
    pointer: str,
    editor: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    make: Make,
    number: int,
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    document = await FACTORIES[kind].full(number + 4000, make)
    first, second, *others = DATES[number % len(DATES) :] + DATES[: number % len(DATES)]
    answer = await editor.post(f"/api/v1/{kind}", json={**document, **place(document, pointer, first)})
    identifier = body(answer, 201)["id"]
    path = f"/api/v1/{kind}/{identifier}"
    key = pointer.rpartition("/")[2]

    async def assert_kept(answer: httpx.Response, text: str | None) -> None:
        assert value_at(answer.json(), pointer) == text
        read = await anonymous.get(path)
        assert read.content == answer.content
        assert f"{json.dumps(key)}:{json.dumps(text)}".encode() in read.content
        assert await stored(db, kind, pointer, identifier) == text

    await assert_kept(answer, first)
    for text in (*others, None):
        patch = place(document, pointer, text)
        answer = await editor.patch(path, json=patch, headers={"If-Match": answer.headers["etag"]})
        body(answer)
        await assert_kept(answer, text)
    replacement = {**document, **place(document, pointer, second)}
    answer = await editor.put(path, json=replacement, headers={"If-Match": answer.headers["etag"]})
    body(answer)
    await assert_kept(answer, second)


@pytest.mark.parametrize(("kind", "pointer"), PLACES)
async def test_bad_dates_are_refused_by_name_and_change_nothing(
    kind: str, pointer: str, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    document = await FACTORIES[kind].full(number + 4500, make)
    created = body(await editor.post(f"/api/v1/{kind}", json=document), 201)
    path = f"/api/v1/{kind}/{created['id']}"
    etag = await if_match(editor, path)
    for index, text in enumerate(BAD_DATES):
        part = place(document, pointer, text)
        answers = [await editor.patch(path, json=part, headers=etag)]
        if index == 0:
            answers.append(await editor.put(path, json={**document, **part}, headers=etag))
            answers.append(await editor.post(f"/api/v1/{kind}", json={**document, **part}))
        for answer in answers:
            problem = assert_problem(answer, 422, "validation_error")
            assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(f"/body/{pointer}", "invalid_date")]
    assert body(await editor.get(path)) == created


@pytest.mark.parametrize("value", [1941, 1941.5, True, ["1941"], {"year": 1941}])
async def test_date_that_is_no_text_is_refused_by_name(value: object, editor: httpx.AsyncClient) -> None:
    answer = await editor.post("/api/v1/aircraft", json={"name": "A", "category": "airplane", "introduced": value})
    problem = assert_problem(answer, 422, "validation_error")
    assert [error["pointer"] for error in problem["errors"]] == ["/body/introduced"]


async def test_a_year_never_becomes_a_day(make: Make, anonymous: httpx.AsyncClient) -> None:
    aircraft = await make("aircraft", introduced="1941")
    answer = await anonymous.get(f"/api/v1/aircraft/{aircraft['slug']}")
    assert b'"introduced":"1941"' in answer.content
    assert b"1941-01-01" not in answer.content
