"""Over HTTP: a response starts after the commit and says what became of it, with the connection back in the pool."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from fastapi_application.crud.service import EntityService
from fastapi_application.middleware import last_resort
from tests.factories.registry import FACTORIES
from tests.support.application import CommentingClient, assert_problem, body
from tests.support.log_capture import captured_lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import asyncpg
    from starlette.types import Message, Receive, Scope, Send

    from tests.conftest import Make
    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]

TABLES: dict[str, str] = {service.model.__kind__: service.model.__tablename__ for service in EntityService.__subclasses__()}
KINDS = sorted(FACTORIES)


@asynccontextmanager
async def observed(
    application: Application, editor: httpx.AsyncClient, look: Callable[[Message], Awaitable[None]]
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield an editor's client; `look` is called before each message leaves the application."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def look_and_send(message: Message) -> None:
            await look(message)
            await send(message)

        await application.transport.app(scope, receive, look_and_send)

    transport = httpx.ASGITransport(wrapped, raise_app_exceptions=False)
    headers = {"Authorization": editor.headers["Authorization"]}
    async with CommentingClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


async def versions(db: Connection, kind: str) -> dict[str, int]:
    """Return what another connection sees: the version of each entity by its id."""
    rows = await db.fetch(f'SELECT id, version FROM "{TABLES[kind]}"')  # noqa: S608 - a name of ours
    return {str(row["id"]): row["version"] for row in rows}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_write_is_committed_before_its_response_starts(
    kind: str, application: Application, editor: httpx.AsyncClient, db: Connection, number: int
) -> None:
    seen: list[dict[str, int]] = []

    async def look(message: Message) -> None:
        if message["type"] == "http.response.start":
            seen.append(await versions(db, kind))

    factory = FACTORIES[kind]
    async with observed(application, editor, look) as client:
        answer = await client.post(f"/api/v1/{kind}", json=factory.minimal(number + 9000))
        path = f"/api/v1/{kind}/{body(answer, 201)['id']}"
        patched = await client.patch(path, json=factory.changes(number + 9000), headers={"If-Match": answer.headers["etag"]})
        put = await client.put(path, json=factory.minimal(number + 9500), headers={"If-Match": patched.headers["etag"]})
        deleted = await client.delete(path, headers={"If-Match": put.headers["etag"]})
    assert (patched.status_code, put.status_code, deleted.status_code) == (200, 200, 204)
    assert [snapshot.get(body(answer, 201)["id"]) for snapshot in seen] == [1, 2, 3, None]


@asynccontextmanager
async def failing_commits(db: Connection, kind: str, sqlstate: str) -> AsyncIterator[None]:
    """Make each transaction that inserts an entity of the kind fail at its COMMIT, by a deferred constraint trigger."""
    await db.execute(
        "CREATE FUNCTION refuse_at_commit() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'at the commit' USING ERRCODE = '{sqlstate}'; END $$;"
        f'CREATE CONSTRAINT TRIGGER refuse_at_commit AFTER INSERT ON "{TABLES[kind]}" DEFERRABLE INITIALLY DEFERRED '
        "FOR EACH ROW EXECUTE FUNCTION refuse_at_commit()"
    )
    try:
        yield
    finally:
        await db.execute("DROP FUNCTION refuse_at_commit CASCADE")


@pytest.mark.parametrize(("sqlstate", "problem"), [("23505", (409, "duplicate")), ("40001", (503, "database_unavailable"))])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failing_commit_is_an_error_and_not_a_201(
    kind: str, sqlstate: str, problem: tuple[int, str], editor: httpx.AsyncClient, db: Connection, number: int
) -> None:
    before = await versions(db, kind)
    document = FACTORIES[kind].minimal(number + 9000)
    async with failing_commits(db, kind, sqlstate):
        assert_problem(await editor.post(f"/api/v1/{kind}", json=document), *problem)
    assert await versions(db, kind) == before
    # The slug that the failed transaction had reserved is free.
    created = body(await editor.post(f"/api/v1/{kind}", json=document), 201)
    assert not created["slug"].endswith("-2")


async def test_a_commit_that_fails_for_a_bug_is_a_500(
    editor: httpx.AsyncClient, db: Connection, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = captured_lines(monkeypatch, last_resort)
    before = await versions(db, "tags")
    async with failing_commits(db, "tags", "P0001"):
        assert_problem(await editor.post("/api/v1/tags", json={"name": f"Never {number}"}), 500, "internal_error")
    assert await versions(db, "tags") == before
    assert [line["event"] for line in lines] == ["unhandled_exception"]


async def test_a_failing_write_leaves_nothing(editor: httpx.AsyncClient, db: Connection, make: Make, number: int) -> None:
    other = await make("aircraft")
    before = await versions(db, "aircraft")
    slugs = await db.fetchval("SELECT count(*) FROM entity_slug")
    document = {"name": f"Half {number}", "category": "airplane", "lineage": [{"aircraft": str(uuid.uuid4()), "type": "replaces"}]}
    assert_problem(await editor.post("/api/v1/aircraft", json=document), 422, "validation_error")
    document = {"name": f"Half {number}", "category": "airplane", "slug": other["slug"]}
    assert_problem(await editor.post("/api/v1/aircraft", json=document), 409, "slug_taken")
    assert await versions(db, "aircraft") == before
    assert await db.fetchval("SELECT count(*) FROM entity_slug") == slugs


async def test_an_answer_leaves_with_its_connection_back_in_the_pool(
    application: Application, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    pool = application.fastapi.state.engine.pool
    held: list[tuple[str, int]] = []

    async def look(message: Message) -> None:
        held.append((message["type"], pool.checkedout()))

    tag = await make("tags")
    etag = {"If-Match": (await editor.get(f"/api/v1/tags/{tag['id']}")).headers["etag"]}
    async with observed(application, editor, look) as client:
        statuses = [
            (await client.get("/api/v1/aircraft")).status_code,
            (await client.get(f"/api/v1/tags/{tag['id']}")).status_code,
            (await client.get("/api/v1/tags/no-such-tag")).status_code,
            (await client.post("/api/v1/tags", json={"name": f"Pool {number}"})).status_code,
            (await client.post("/api/v1/tags", json={"name": ""})).status_code,
            (await client.patch(f"/api/v1/tags/{tag['id']}", json={"name": f"Pooled {number}"}, headers=etag)).status_code,
            (await client.patch(f"/api/v1/tags/{tag['id']}", json={"name": f"Again {number}"}, headers=etag)).status_code,
        ]
    assert statuses == [200, 200, 404, 201, 422, 200, 412]
    assert {kind for kind, _ in held} == {"http.response.start", "http.response.body"}
    assert [count for _, count in held] == [0] * len(held)


async def hold(db: Connection, tag: dict[str, Any]) -> asyncpg.transaction.Transaction:
    """Lock a tag's row in a transaction of the test's own connection; return it, still open."""
    transaction = db.transaction()
    await transaction.start()
    await db.execute("SELECT 1 FROM tag WHERE id = $1 FOR UPDATE", uuid.UUID(tag["id"]))
    return transaction


async def test_a_row_that_another_session_holds_is_a_503_in_time_and_the_next_write_works(
    editor: httpx.AsyncClient, db: Connection, make: Make, number: int
) -> None:
    tag = await make("tags")
    path = f"/api/v1/tags/{tag['id']}"
    etag = {"If-Match": (await editor.get(path)).headers["etag"]}
    transaction = await hold(db, tag)
    async with asyncio.timeout(2.5):
        answer = await editor.patch(path, json={"name": f"Held {number}"}, headers=etag)
    assert_problem(answer, 503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    # Readers do not wait for it.
    assert body(await editor.get(path)) == tag
    await transaction.rollback()
    assert body(await editor.patch(path, json={"name": f"Held {number}"}, headers=etag))["version"] == 2


async def test_an_abandoned_write_leaves_no_transaction_open(
    application: Application, editor: httpx.AsyncClient, db: Connection, make: Make, number: int
) -> None:
    tag = await make("tags")
    path = f"/api/v1/tags/{tag['id']}"
    etag = {"If-Match": (await editor.get(path)).headers["etag"]}
    transaction = await hold(db, tag)
    request: asyncio.Task[Any] = asyncio.create_task(editor.patch(path, json={"name": f"Abandoned {number}"}, headers=etag))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(1.4):
        while not await db.fetchval(waiting):  # noqa: ASYNC110 - a process waits, which sets no event
            await asyncio.sleep(0.01)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await transaction.rollback()
    async with asyncio.timeout(30):  # the answer is cancelled at once, its transaction soon after
        while application.fastapi.state.engine.pool.checkedout():  # noqa: ASYNC110 - a pool sets no event
            await asyncio.sleep(0.01)
    assert body(await editor.get(path)) == tag
    assert body(await editor.patch(path, json={"name": f"Abandoned {number}"}, headers=etag))["version"] == 2
