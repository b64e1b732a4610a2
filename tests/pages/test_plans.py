"""With a hundred thousand entries, every list and search is answered by an index. The planner decides; nothing here tells it to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from tests.support.application import Application, body, running_application
from tests.support.many import multiply
from tests.support.seeded import connection_to, create_seeded_database, current_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PATHS = {
    "/api/v1/search?q=Il-2": ("search_document", "search_name"),
    "/api/v1/search?q=fighter": ("search_document", "search_name"),
    "/api/v1/search?q=boeing&kind=aircraft&country=US": ("search_document", "search_name"),
    "/api/v1/search?q=mesershmit": ("search_document", "search_name"),
    "/api/v1/suggest?q=m": ("search_document", "search_name"),
    "/api/v1/suggest?q=conc": ("search_document", "search_name"),
    "/api/v1/aircraft": ("aircraft",),
    "/api/v1/aircraft?cursor=&size=100": ("aircraft",),
    "/api/v1/aircraft?sort=-first_flight": ("aircraft",),
    "/api/v1/aircraft?sort=first_flight&country=SU": ("aircraft",),
    "/api/v1/aircraft?max_speed_kmh.gte=3000": ("aircraft",),
    "/api/v1/articles?sort=-published_at": ("article",),
    "/api/v1/timeline?from=1935&to=1936": ("timeline_event", "search_document"),
    "/api/v1/on-this-day?date=12-17": ("timeline_event", "search_document"),
    "/feeds/articles.atom": ("article",),
    "/feeds/changes.atom": ("article",),
}


@pytest.fixture(scope="module")
def many(servers: None, worker_id: str) -> str:
    """Return a database for a hundred thousand entries."""
    name = f"many_{worker_id}"
    create_seeded_database(name)
    return name


@pytest.fixture(scope="module")
async def application(database: str, many: str) -> AsyncIterator[Application]:
    """Run the application on it."""
    async with connection_to(many) as connection:
        await multiply(connection)
        assert await connection.fetchval("SELECT count(*) FROM search_document") > 100_000
    with current_database(many):
        running = running_application()
        application = await running.__aenter__()
    yield application
    await running.__aexit__(None, None, None)


@pytest.fixture(scope="module")
async def plans(application: Application) -> AsyncIterator[list[str]]:
    """Collect the plan of every statement that the application sends."""
    engine, found = application.fastapi.state.engine, []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")) and "pg_catalog" not in statement:
            cursor.execute("EXPLAIN " + statement, parameters)
            found.append("\n".join(row[0] for row in cursor.fetchall()))

    event.listen(engine.sync_engine, "before_cursor_execute", explain)
    yield found
    event.remove(engine.sync_engine, "before_cursor_execute", explain)


def whole_tables(plan: str) -> Iterator[str]:
    """Name the tables that a plan reads from end to end."""
    yield from re.findall(r"Seq Scan on (\w+)", plan)


@pytest.mark.parametrize("path", PATHS)
async def test_a_large_table_is_read_by_an_index(path: str, application: Application, plans: list[str]) -> None:
    plans.clear()
    async with application.client() as client:
        body_or_text = await client.get(path)
    assert body_or_text.status_code == 200, body_or_text.text
    assert plans
    for plan in plans:
        assert not set(PATHS[path]) & set(whole_tables(plan)), plan
    assert any("Index" in plan for plan in plans)


_OF = "EXISTS (SELECT FROM aircraft_country AS l JOIN country AS c ON c.id = l.country_id WHERE l.aircraft_id = a.id AND c.code IN ({}))"
_IN = "first_flight_earliest <= 715875 AND first_flight_latest >= 706379"  # 1935 to 1960
# What is asked for, the same in SQL, and how many there are, so that each way of finding the first of them is taken.
WAYS = {
    "sort=-name": ("true", "sort_name DESC NULLS LAST", 10_001),
    "first_flight.certainty=definite": ("true", "sort_name", 10_001),  # says nothing without a date
    "country=SU": (_OF.format("'SU'"), "sort_name", 10_001),
    "country=SU&sort=-name": (_OF.format("'SU'"), "sort_name DESC NULLS LAST", 10_001),
    "country=SU&sort=-max_speed_kmh": (_OF.format("'SU'"), "max_speed_kmh DESC NULLS LAST", 10_001),
    "country=SU,US&sort=max_speed_kmh": (_OF.format("'SU', 'US'"), "max_speed_kmh", 10_001),
    "country=SU&first_flight=1935/1960&sort=-max_speed_kmh": (f"{_OF.format("'SU'")} AND {_IN}", "max_speed_kmh DESC NULLS LAST", 2001),
    "country=SU&first_flight=1935/1960": (f"{_OF.format("'SU'")} AND {_IN}", "sort_name", 2001),
    "first_flight=1935/1960&sort=-created_at,-max_speed_kmh": (_IN, "created_at DESC, max_speed_kmh DESC NULLS LAST", 10_001),
    "country=IT&sort=-wingspan_m": (_OF.format("'IT'"), "wingspan_m DESC NULLS LAST", 172),
    "category=glider": ("category = 'glider'", "sort_name", 172),
}


@pytest.mark.parametrize("query", WAYS)
async def test_of_few_and_of_many_the_same_are_found(query: str, application: Application, many: str) -> None:
    condition, order, least = WAYS[query]
    async with connection_to(many) as connection:
        rows = await connection.fetch(f"SELECT id FROM aircraft AS a WHERE {condition} ORDER BY {order}, id")  # noqa: S608 - from above
    expected = [str(row["id"]) for row in rows]
    assert least <= len(expected) <= {172: 2000, 2001: 10_000}.get(least, 100_000)
    async with application.client() as client:
        for page in (1, 7, 500):
            shown = body(await client.get(f"/api/v1/aircraft?{query}&page={page}&size=20"))
            assert [item["id"] for item in shown["items"]] == expected[(page - 1) * 20 : page * 20]
            if condition == "true":
                assert (shown["total"], shown["total_exact"]) == (len(expected), True)
            else:
                assert (shown["total"], shown["total_exact"]) == (min(len(expected), 10_000), len(expected) <= 10_000)
        cursor, seen = "", list[str]()
        for _ in range(3):
            shown = body(await client.get(f"/api/v1/aircraft?{query}&size=40&cursor={cursor}"))
            cursor, seen = shown["next_cursor"], [*seen, *(item["id"] for item in shown["items"])]
        assert seen == expected[:120]


def test_the_check_sees_a_whole_table() -> None:
    assert list(whole_tables("->  Parallel Seq Scan on aircraft  (cost=0)\n Seq Scan on article a")) == ["aircraft", "article"]


async def test_a_question_with_too_many_matches_says_so(application: Application) -> None:
    async with application.client() as client:
        answer = body(await client.get("/api/v1/search", params={"q": "aircraft"}))
    assert (answer["total_exact"], answer["facets_exact"]) == (False, False)
    assert len(answer["items"]) == 20
