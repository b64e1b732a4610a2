"""The number of statements does not depend on the number of rows: no list, no detail asks once for each of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import inspect, select

from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.models import Link
from tests.contract.kinds import ICAO, KINDS, SERVICES, make_icao_type
from tests.factories.registry import FACTORIES
from tests.support.application import Application, body
from tests.support.queries import recorded_queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx
    from sqlalchemy import Table

    from tests.conftest import Make

type Connection = asyncpg.Connection[asyncpg.Record]
ROWS = 100


def _unique_columns(table: Table) -> set[str]:
    return {column.name for column in table.columns if column.unique and not column.primary_key}


@asynccontextmanager
async def copies(db: Connection, model: Any, identifier: str, count: int) -> AsyncIterator[list[str]]:
    """Keep copies of an entity's row and of its links in the database; yield the ids of the entity and of the copies."""
    table = model.__table__
    unique = _unique_columns(table)
    columns = [column.name for column in table.columns if column.name != "id" and column.computed is None]
    values = ", ".join(f"upper(left(md5(n::text || '{name}'), 12))" if name in unique else f't."{name}"' for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    rows = await db.fetch(
        f'INSERT INTO "{table.name}" (id, {names}) SELECT gen_random_uuid(), {values}'  # noqa: S608 - names of columns
        f' FROM "{table.name}" t, generate_series(1, $2::int) n WHERE t.id = $1 RETURNING id',
        identifier,
        count,
    )
    made = [row["id"] for row in rows]
    for relation in inspect(model).relationships:
        link = relation.mapper.class_
        if relation.uselist and issubclass(link, Link):
            await _copy_links(db, link, identifier, made)
    try:
        yield [identifier, *map(str, made)]
    finally:
        await db.execute(f'DELETE FROM "{table.name}" WHERE id = ANY($1)', made)  # noqa: S608


async def _copy_links(db: Connection, link: type[Link], identifier: str, owners: list[Any]) -> None:
    owner = f"{link.__owner__}_id"
    names = ", ".join(f'"{column.name}"' for column in inspect(link).local_table.columns if column.name != owner)
    await db.execute(
        f'INSERT INTO "{link.__tablename__}" ({owner}, {names})'  # noqa: S608 - names of columns
        f' SELECT owners.id, {names} FROM "{link.__tablename__}", unnest($2::uuid[]) AS owners(id) WHERE {owner} = $1',
        identifier,
        owners,
    )


async def full_entity(kind: str, make: Make, editor: httpx.AsyncClient, number: int, db: Connection) -> str:
    """Create an entity with every relation; return its id."""
    if kind == ICAO:
        await make("aircraft", icao_designator="QQ7")
        return await make_icao_type(db, designator="QQ7")
    document = await FACTORIES[kind].full(number + 3000, make)
    identifier: str = body(await editor.post(f"/api/v1/{kind}", json=document), 201)["id"]
    return identifier


async def statements(application: Application, client: httpx.AsyncClient, path: str, **params: Any) -> tuple[int, Any]:
    """Return how many statements a GET sends to the database, and the answer's JSON."""
    with recorded_queries(application.fastapi.state.engine) as sent:
        answer = await client.get(path, params=params)
    return len(sent), body(answer)


def assert_constant(few: int, many: int) -> None:
    """The guard: as many statements for many rows as for one, and at least one at all."""
    assert 0 < few == many, f"{few} statements for one row, {many} for {ROWS}"


@pytest.mark.parametrize("kind", KINDS)
async def test_lists_send_as_many_statements_for_100_rows_as_for_one(
    kind: str, application: Application, editor: httpx.AsyncClient, make: Make, number: int, db: Connection
) -> None:
    identifier = await full_entity(kind, make, editor, number, db)
    path = f"/api/v1/{kind}"
    async with copies(db, SERVICES[kind].model, identifier, ROWS - 1) as ids:
        for paging in ({"page": 1}, {"cursor": ""}):
            few, one = await statements(application, editor, path, ids=identifier, size=100, **paging)
            many, hundred = await statements(application, editor, path, ids=",".join(ids), size=100, **paging)
            assert (len(one["items"]), len(hundred["items"])) == (1, ROWS)
            assert_constant(few, many)
        few, one = await statements(application, editor, path, size=1)
        many, hundred = await statements(application, editor, path, size=100)
        assert (len(one["items"]), len(hundred["items"])) == (1, ROWS)
        assert_constant(few, many)
    relations = {key for key, value in one["items"][0].items() if isinstance(value, list)}
    assert all(set(item) >= relations for item in hundred["items"])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "articles"])
async def test_public_list_is_one_statement(kind: str, application: Application, anonymous: httpx.AsyncClient) -> None:
    count, _ = await statements(application, anonymous, f"/api/v1/{kind}", size=100)
    assert count == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_detail_sends_as_many_statements_whatever_refers_to_it(
    kind: str, application: Application, editor: httpx.AsyncClient, make: Make, number: int, db: Connection
) -> None:
    full = await full_entity(kind, make, editor, number, db)
    bare = await make_icao_type(db, designator="----") if kind == ICAO else (await make(kind))["id"]
    few, _ = await statements(application, editor, f"/api/v1/{kind}/{bare}")
    many, _ = await statements(application, editor, f"/api/v1/{kind}/{full}")
    assert_constant(few, many)


async def test_detail_sends_as_many_statements_for_100_that_refer_to_it(
    application: Application, editor: httpx.AsyncClient, make: Make, number: int, db: Connection
) -> None:
    document = await FACTORIES["aircraft"].full(number + 3000, make)
    aircraft = body(await editor.post("/api/v1/aircraft", json=document), 201)
    path = f"/api/v1/manufacturers/{aircraft['manufacturers'][0]['manufacturer']['id']}"
    few, one = await statements(application, editor, path)
    async with copies(db, SERVICES["aircraft"].model, aircraft["id"], ROWS - 1):
        many, hundred = await statements(application, editor, path)
    assert (one["aircraft_count"], hundred["aircraft_count"], len(hundred["aircraft"])) == (1, ROWS, 20)
    assert_constant(few, many)


async def test_the_guard_fails_for_a_list_that_asks_once_for_each_row(
    application: Application, editor: httpx.AsyncClient, make: Make, number: int, db: Connection
) -> None:
    model: Any = SERVICES["tags"].model
    identifier = await full_entity("tags", make, editor, number, db)

    async def count(ids: list[str]) -> int:
        async with application.fastapi.state.session_factory() as session:

            async def careless() -> None:
                tags = (await session.scalars(select(model).where(model.id.in_(ids)))).all()
                for tag in tags:
                    await session.refresh(tag, ["category"])

            with recorded_queries(application.fastapi.state.engine) as sent:
                await run_crud_action(session, careless)
        return len(sent)

    async with copies(db, model, identifier, ROWS - 1) as ids:
        few, many = await count(ids[:1]), await count(ids)
    assert many > ROWS
    with pytest.raises(AssertionError, match="statements for one row"):
        assert_constant(few, many)
    with pytest.raises(AssertionError, match="0 statements"):
        assert_constant(0, 0)
