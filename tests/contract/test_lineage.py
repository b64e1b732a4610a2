"""The lineage of aircraft: typed edges from the newer to the older, and never a cycle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, get_args

import pytest

from fastapi_application.encyclopedia.vocabulary import LineageType
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make


def edges(*older: dict[str, Any], kind: str = "developed_from") -> list[dict[str, str]]:
    """Return the edges of a request."""
    return [{"aircraft": aircraft["slug"], "type": kind} for aircraft in older]


async def chain(make: Make, length: int) -> list[dict[str, Any]]:
    """Create aircraft, the oldest first, each developed from the one before it."""
    created = [await make("aircraft")]
    while len(created) < length:
        created.append(await make("aircraft", lineage=edges(created[-1])))
    return created


async def link(client: httpx.AsyncClient, newer: dict[str, Any], lineage: list[dict[str, str]]) -> httpx.Response:
    """Patch the lineage of an aircraft as it is now."""
    path = f"/api/v1/aircraft/{newer['id']}"
    etag = (await client.get(path)).headers["etag"]
    return await client.patch(path, json={"lineage": lineage}, headers={"If-Match": etag})


@pytest.mark.parametrize("kind", get_args(LineageType))
@pytest.mark.parametrize("length", [1, 2, 3, 5])
async def test_a_cycle_is_409_with_its_path(length: int, kind: str, editor: httpx.AsyncClient, make: Make) -> None:
    aircraft = await chain(make, length)
    oldest, newest = aircraft[0], aircraft[-1]
    before = [body(await editor.get(f"/api/v1/aircraft/{item['id']}")) for item in aircraft]
    problem = assert_problem(await link(editor, oldest, edges(newest, kind=kind)), 409, "cycle")
    # From the changed aircraft to each older one, and back to where it began.
    assert problem["path"] == [oldest["slug"], *(item["slug"] for item in reversed(aircraft[1:])), oldest["slug"]]
    assert [body(await editor.get(f"/api/v1/aircraft/{item['id']}")) for item in aircraft] == before


async def test_a_put_that_closes_a_cycle_is_409_too(editor: httpx.AsyncClient, make: Make) -> None:
    oldest, newest = await chain(make, 2)
    path = f"/api/v1/aircraft/{oldest['slug']}"
    etag = (await editor.get(path)).headers["etag"]
    document = {"name": oldest["name"], "category": "airplane", "lineage": edges(newest)}
    assert_problem(await editor.put(path, json=document, headers={"If-Match": etag}), 409, "cycle")


async def test_the_shortest_cycle_is_named(editor: httpx.AsyncClient, make: Make) -> None:
    a, b, c = await chain(make, 3)
    body(await link(editor, c, edges(a, b)))  # c comes from a directly, and by way of b
    assert assert_problem(await link(editor, a, edges(c)), 409, "cycle")["path"] == [a["slug"], c["slug"], a["slug"]]


async def test_an_edge_that_was_removed_closes_no_cycle(editor: httpx.AsyncClient, make: Make) -> None:
    older, newer = await chain(make, 2)
    body(await link(editor, newer, []))
    assert body(await link(editor, older, edges(newer)))["lineage"][0]["aircraft"]["slug"] == newer["slug"]


async def test_a_diamond_is_no_cycle(editor: httpx.AsyncClient, make: Make) -> None:
    root = await make("aircraft")
    left, right = await make("aircraft", lineage=edges(root)), await make("aircraft", lineage=edges(root))
    newest = await make("aircraft", lineage=[*edges(left, right), *edges(root, kind="replaces"), *edges(left, kind="variant_of")])
    shown = body(await editor.get(f"/api/v1/aircraft/{newest['slug']}"))["lineage"]
    assert [(edge["aircraft"]["slug"], edge["type"]) for edge in shown] == [
        (left["slug"], "developed_from"),
        (right["slug"], "developed_from"),
        (root["slug"], "replaces"),
        (left["slug"], "variant_of"),
    ]


async def test_many_diamonds_in_a_row_are_checked_in_time(editor: httpx.AsyncClient, make: Make) -> None:
    # 2^20 paths lead from the newest to the oldest: a check that walks each would not end.
    oldest = bottom = await make("aircraft")
    for _ in range(20):
        left, right = await make("aircraft", lineage=edges(bottom)), await make("aircraft", lineage=edges(bottom))
        bottom = await make("aircraft", lineage=edges(left, right))
    path = assert_problem(await link(editor, oldest, edges(bottom)), 409, "cycle")["path"]
    assert (path[0], path[1], path[-1], len(path)) == (oldest["slug"], bottom["slug"], oldest["slug"], 20 * 2 + 2)


@pytest.mark.parametrize("length", [2, 3, 4])
async def test_writers_that_close_a_cycle_together_do_not_all_succeed(
    length: int, editor: httpx.AsyncClient, make: Make, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    aircraft = [await make("aircraft") for _ in range(length)]
    answers = await asyncio.gather(*(link(editor, item, edges(aircraft[index - 1])) for index, item in enumerate(aircraft)))
    assert sorted(answer.status_code for answer in answers) == [*[200] * (length - 1), 409]
    (refused,) = [answer for answer in answers if answer.status_code == 409]
    path = assert_problem(refused, 409, "cycle")["path"]
    assert set(path) == {item["slug"] for item in aircraft}
    assert path[0] == path[-1] == aircraft[answers.index(refused)]["slug"]
    identifiers = [item["id"] for item in aircraft]
    count = await db.fetchval("SELECT count(*) FROM aircraft_lineage WHERE descendant_id = ANY($1::uuid[])", identifiers)
    assert count == length - 1
