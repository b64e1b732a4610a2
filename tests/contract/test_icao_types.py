"""The ICAO type designators: a list that is ICAO's, read only, linked to aircraft by the designator."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make

COLUMNS = ("slug", "designator", "manufacturer", "model", "aircraft_class", "description", "engine_type", "engine_count", "wake_category")
Row = dict[str, Any]


@pytest.fixture
async def types(db: asyncpg.Connection[asyncpg.Record], number: int) -> list[Row]:
    """Insert three types as the seed does: two makers of one designator, and a helicopter without a known number of engines."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    own = "".join(digits[number // 36**place % 36] for place in (2, 1, 0))
    one, two = f"Q{own}", f"Y{own}"
    rows = [
        (f"{one.lower()}-b-{number}", one, f"BETA {number}", "B-1", "landplane", "L2J", "jet", 2, "L/M"),
        (f"{one.lower()}-a-{number}", one, f"ALFA {number}", "A-1", "landplane", "L2J", "jet", 2, "L/M"),
        (f"{two.lower()}-a-{number}", two, f"ALFA {number}", "A-2", "helicopter", "H1T", "turboprop/turboshaft", None, "L"),
    ]
    places = ", ".join(f"${index}" for index in range(2, len(COLUMNS) + 2))
    insert = f"INSERT INTO icao_type (id, version, {', '.join(COLUMNS)}) VALUES ($1, 1, {places})"  # noqa: S608
    for row in rows:
        identifier = uuid.uuid4()
        await db.execute(insert, identifier, *row)
        await db.execute("INSERT INTO entity_slug (kind, slug, entity_id) VALUES ('icao-types', $1, $2)", row[0], identifier)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


async def slugs(client: httpx.AsyncClient, **query: str) -> list[str]:
    """Return the slugs of a list."""
    return [item["slug"] for item in body(await client.get("/api/v1/icao-types", params=query))["items"]]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_write_exists(
    method: str, anonymous: httpx.AsyncClient, administrator: httpx.AsyncClient, types: list[Row], db: asyncpg.Connection[asyncpg.Record]
) -> None:
    before = await db.fetch("SELECT * FROM icao_type ORDER BY id")
    for client in (anonymous, administrator):
        for path in ("/api/v1/icao-types", f"/api/v1/icao-types/{types[0]['slug']}", "/api/v1/icao-types/no-such-entry"):
            answer = await client.request(method, path, content=b"{", headers={"If-Match": '"x"'})
            assert_problem(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == "GET, HEAD"
    assert await db.fetch("SELECT * FROM icao_type ORDER BY id") == before


async def test_a_type_shows_the_values_of_the_list(anonymous: httpx.AsyncClient, types: list[Row]) -> None:
    row = types[0]
    shown = body(await anonymous.get(f"/api/v1/icao-types/{row['slug']}"))
    expected = {**{key: row[key] for key in COLUMNS if key != "aircraft_class"}, "class": "landplane", "aircraft": [], "aircraft_count": 0}
    assert {key: shown[key] for key in expected} == expected
    assert body(await anonymous.get(f"/api/v1/icao-types/{shown['id']}")) == shown
    (item,) = body(await anonymous.get("/api/v1/icao-types", params={"ids": shown["id"]}))["items"]
    assert item == {key: value for key, value in shown.items() if key not in {"aircraft", "aircraft_count"}}
    assert_problem(await anonymous.get("/api/v1/icao-types/no-such-entry"), 404, "not_found")


async def test_types_are_filtered_and_sorted(anonymous: httpx.AsyncClient, types: list[Row]) -> None:
    beta, alfa, helicopter = (row["slug"] for row in types)
    one, two, maker = types[0]["designator"], types[2]["designator"], types[1]["manufacturer"]
    both = f"{one},{two}"
    assert await slugs(anonymous, designator=one) == [alfa, beta]  # by designator, manufacturer, model
    assert await slugs(anonymous, designator=both) == [alfa, beta, helicopter]
    assert await slugs(anonymous, manufacturer=maker) == [alfa, helicopter]
    assert await slugs(anonymous, designator=both, **{"class": "helicopter"}) == [helicopter]
    assert await slugs(anonymous, designator=both, **{"class": "landplane,helicopter"}) == [alfa, beta, helicopter]
    assert await slugs(anonymous, designator=both, description="L2J") == [alfa, beta]
    assert await slugs(anonymous, designator=both, engine_type="jet", wake_category="L/M") == [alfa, beta]
    assert await slugs(anonymous, designator=both, engine_count="2") == [alfa, beta]
    assert await slugs(anonymous, designator=both, **{"engine_count.is_null": "true"}) == [helicopter]
    assert await slugs(anonymous, designator=both, sort="-manufacturer,-designator") == [beta, helicopter, alfa]
    assert await slugs(anonymous, designator=both, **{"class": "seaplane"}) == []
    assert_problem(await anonymous.get("/api/v1/icao-types", params={"aircraft_class": "landplane"}), 422, "validation_error")


async def test_aircraft_are_linked_by_their_designator(anonymous: httpx.AsyncClient, make: Make, types: list[Row], number: int) -> None:
    one, two = types[0]["designator"], types[2]["designator"]
    second = await make("aircraft", name=f"Zulu {number}", icao_designator=one)
    first = await make("aircraft", name=f"Alfa {number}", icao_designator=one)
    other = await make("aircraft", icao_designator=two)
    await make("aircraft")  # without a designator
    expected = [{key: aircraft[key] for key in ("id", "slug", "name")} for aircraft in (first, second)]
    for row in types[:2]:
        shown = body(await anonymous.get(f"/api/v1/icao-types/{row['slug']}"))
        assert (shown["aircraft"], shown["aircraft_count"]) == (expected, 2)
    shown = body(await anonymous.get(f"/api/v1/icao-types/{types[2]['slug']}"))
    assert [aircraft["id"] for aircraft in shown["aircraft"]] == [other["id"]]
    found = body(await anonymous.get("/api/v1/aircraft", params={"icao_designator": one}))["items"]
    assert [item["id"] for item in found] == [first["id"], second["id"]]


async def test_a_type_lists_the_first_twenty_aircraft_and_counts_all(anonymous: httpx.AsyncClient, make: Make, types: list[Row]) -> None:
    for index in range(21):
        await make("aircraft", name=f"Type {index:02}", icao_designator=types[2]["designator"])
    shown = body(await anonymous.get(f"/api/v1/icao-types/{types[2]['slug']}"))
    assert [aircraft["name"] for aircraft in shown["aircraft"]] == [f"Type {index:02}" for index in range(20)]
    assert shown["aircraft_count"] == 21
