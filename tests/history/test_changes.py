"""The feed of public changes: in the order in which they became visible, deletions included."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from fastapi_application.core.actor import SYSTEM
from fastapi_application.crud.action import run_crud_action
from fastapi_application.encyclopedia.tags.service import TagService
from tests.history.steps import etag, patch, step
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make
    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]

CHANGES = "/api/v1/changes"


async def last(client: httpx.AsyncClient) -> int:
    """Return the number of the newest change."""
    since = 0
    while True:
        page = body(await client.get(CHANGES, params={"since": since, "limit": 1000}))
        if page["next_since"] == since:
            return since
        since = page["next_since"]


async def since(client: httpx.AsyncClient, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(await client.get(CHANGES, params={"since": number, "limit": 1000}))["items"]
    return found


def told(items: list[dict[str, Any]]) -> list[tuple[str, str, str | None, int]]:
    return [(item["kind"], item["action"], item["slug"], item["version"]) for item in items]


async def test_each_public_change_is_told_once(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    start = await last(anonymous)
    tag = await make("tags")
    path, slug = f"/api/v1/tags/{tag['id']}", tag["slug"]
    await patch(editor, path, {"slug": f"{slug}-b"})
    assert (await editor.patch(path, json={}, headers=await etag(editor, path))).status_code == 200
    assert (await editor.patch(path, json={"category": "no-such-category"}, headers=await etag(editor, path))).status_code == 422
    assert (await editor.delete(path, headers=await etag(editor, path))).status_code == 204
    items = await since(anonymous, start)
    assert told(items) == [("tags", "create", slug, 1), ("tags", "update", f"{slug}-b", 2), ("tags", "delete", f"{slug}-b", 3)]
    assert {item["id"] for item in items} == {tag["id"]}
    assert [item["seq"] for item in items] == sorted(item["seq"] for item in items)


async def test_an_article_comes_and_goes_with_its_publication(
    anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make
) -> None:
    tag = await make("tags")
    start = await last(anonymous)
    article = await make("articles", tags=[tag["slug"]])
    path, slug = f"/api/v1/articles/{article['id']}", article["slug"]
    await patch(editor, path, {"content": "A draft.\n"})
    assert await since(anonymous, start) == []
    of_the_tag = ("tags", "update", tag["slug"], 1)
    published = body(await step(administrator, path, "publish"))
    assert told(await since(anonymous, start)) == [("articles", "create", slug, 3), of_the_tag]
    await patch(editor, path, {"content": "A change that waits.\n"})
    assert len(await since(anonymous, start)) == 2
    body(await step(administrator, path, "approve"))
    assert told(await since(anonymous, start))[2:] == [("articles", "update", slug, published["version"] + 2)]
    archived = body(await step(administrator, path, "archive"))
    # Nothing is left that names it; who mirrors the encyclopedia still learns that it is gone.
    assert told(await since(anonymous, start)) == [("articles", "delete", None, archived["version"])]
    body(await step(administrator, path, "publish"))
    assert told(await since(anonymous, start))[-2:] == [("articles", "create", slug, archived["version"] + 1), of_the_tag]


async def test_pages_lead_through_all_of_it(anonymous: httpx.AsyncClient, make: Make) -> None:
    start = await last(anonymous)
    made = [(await make("tags"))["id"] for _ in range(5)]
    found, number = [], start
    for _ in range(3):
        page = body(await anonymous.get(CHANGES, params={"since": number, "limit": 2}))
        found += [item["id"] for item in page["items"]]
        number = page["next_since"]
    assert found == made
    assert body(await anonymous.get(CHANGES, params={"since": number})) == {"items": [], "next_since": number}
    assert len(body(await anonymous.get(CHANGES))["items"]) <= 100
    assert body(await anonymous.get(CHANGES, params={"since": 2**63 - 1}))["next_since"] == 2**63 - 1


@pytest.mark.parametrize("query", [{"since": -1}, {"since": 2**63}, {"since": "x"}, {"limit": 0}, {"limit": 1001}, {"page": 1}])
async def test_wrong_parameters_are_422(query: dict[str, Any], anonymous: httpx.AsyncClient) -> None:
    problem = assert_problem(await anonymous.get(CHANGES, params=query), 422, "validation_error")
    assert [error["pointer"] for error in problem["errors"]] == [f"/query/{next(iter(query))}"]


async def test_no_number_appears_behind_one_that_was_read(application: Application, anonymous: httpx.AsyncClient, number: int) -> None:
    """One action holds its number open while others want theirs: they wait for it, however early they have begun."""
    factory = application.fastapi.state.session_factory
    seen: list[int] = []
    done = asyncio.Event()

    async def write(index: int) -> None:
        async with factory() as session:
            service = TagService(session)
            await run_crud_action(session, service.create, service.validate({"name": f"Mirror {number} {index}"}), SYSTEM)

    async def read(position: int) -> None:
        while True:
            finished = done.is_set()
            page = body(await anonymous.get(CHANGES, params={"since": position}))
            seen.extend(item["seq"] for item in page["items"])
            position = page["next_since"]
            if finished and not page["items"]:
                return

    start = await last(anonymous)
    reader = asyncio.create_task(read(start))
    for batch in itertools.batched(range(24), 6):
        await asyncio.gather(*map(write, batch))
    done.set()
    await reader
    assert seen == [item["seq"] for item in await since(anonymous, start)]
    assert len(seen) == 24


async def test_numbers_are_taken_last_and_under_one_lock(application: Application, db: Connection, number: int) -> None:
    factory = application.fastapi.state.session_factory
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7355610"

    async def write() -> None:
        async with factory() as session:
            service = TagService(session)
            await run_crud_action(session, service.create, service.validate({"name": f"Waiting {number}"}), SYSTEM)

    async with factory() as holder, holder.begin():
        await holder.execute(text("SELECT pg_advisory_xact_lock(7355610)"))
        writer = asyncio.create_task(write())
        async with asyncio.timeout(20):
            while not await db.fetchval(waiting) and not writer.done():  # noqa: ASYNC110 - of another connection
                await asyncio.sleep(0.01)
        assert not writer.done(), "nobody waited for the lock"
        # It has done everything else: the tag is there, for its own transaction alone.
        assert await db.fetchval("SELECT count(*) FROM tag WHERE name = $1", f"Waiting {number}") == 0
    await writer
    assert await db.fetchval("SELECT count(*) FROM tag WHERE name = $1", f"Waiting {number}") == 1
