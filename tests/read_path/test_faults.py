"""Redis away, hung, emptied or older than it was, and PostgreSQL away: what readers and writers get meanwhile and afterwards."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.actor import Role
from fastapi_application.core.config import RedisSettings, get_settings
from fastapi_application.crud import cache_outbox
from tests.factories.registry import FACTORIES
from tests.read_path.support import API, Started, eventually, started, status_of, until
from tests.support.application import assert_problem, body
from tests.support.network import door
from tests.support.redis import PrivateRedis, private_redis
from tests.support.seeded import Connection, connection_to, current_database
from tests.support.servers import create_database, migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import httpx


@pytest.fixture(scope="module")
def own_database(database: str, worker_id: str) -> Iterator[str]:
    """Use a database of these tests' own: whoever else works on it would publish their writes to another Redis."""
    name = f"faults_{worker_id}"
    create_database(name)
    with current_database(name):
        migrate()
        yield name


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    """Run a Redis of the test's own."""
    with private_redis(tmp_path) as server:
        yield server


@pytest.fixture
async def own(redis: PrivateRedis, own_database: str) -> AsyncIterator[Started]:
    """Run an application on them."""
    async with started(redis=redis.settings) as own:
        yield own


@pytest.fixture
async def token(own: Started, number: int) -> str:
    """Return the token of an editor."""
    return await own.create_user(f"writer-{number}@example.org", Role.EDITOR)


@pytest.fixture
async def writer(own: Started, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the application as an editor."""
    async with own.client(token) as client:
        yield client


@pytest.fixture
async def path(writer: httpx.AsyncClient, number: int) -> str:
    """Create an aircraft and return the path of its page."""
    created = body(await writer.post(f"{API}/aircraft", json=FACTORIES["aircraft"].minimal(number)), 201)
    return f"{API}/aircraft/{created['slug']}"


@pytest.fixture
async def db(own_database: str) -> AsyncIterator[Connection]:
    """Look at the database through another connection."""
    async with connection_to(own_database) as connection:
        yield connection


async def leave_behind(db: Connection, path: str, name: str) -> None:
    """Write as a process does that ends before it could publish anything."""
    slug = path.rpartition("/")[2]
    async with db.transaction():
        identifier = await db.fetchval("UPDATE aircraft SET name = $1, version = version + 1 WHERE slug = $2 RETURNING id", name, slug)
        await db.execute("INSERT INTO cache_invalidation (tags) VALUES ($1)", ["aircraft", f"aircraft:{identifier}"])


async def rename(editor: httpx.AsyncClient, path: str, name: str) -> None:
    """Change a name as it is now."""
    etag = (await editor.get(path)).headers["etag"]
    body(await editor.patch(path, json={"name": name}, headers={"If-Match": etag}))


async def warm(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """Make a page a hit."""
    await client.get(path)
    return await eventually(lambda: client.get(path), is_hit)


def is_hit(answer: httpx.Response) -> bool:
    """Whether an answer came from the cache."""
    return status_of(answer).startswith("hit")


def _frozen(redis: PrivateRedis) -> Callable[[], None]:
    redis.freeze()
    return redis.thaw


def _killed(redis: PrivateRedis) -> Callable[[], None]:
    redis.kill()
    return redis.start


async def test_a_redis_that_refuses_writes_keeps_no_page_current(
    redis: PrivateRedis, own: Started, writer: httpx.AsyncClient, path: str
) -> None:
    """It still answers those who only ask: such a question must not be believed."""
    page = f"{API}/search?q=refusal"
    async with own.client() as client:
        await rename(writer, path, "Refusal before")
        assert b"Refusal before" in (await warm(client, page)).content
        await warm(client, path)
        with redis.client() as operator:
            operator.replicaof("127.0.0.1", "1")
            await rename(writer, path, "Refusal after")
            for _ in range(20):
                assert b"Refusal after" in (await client.get(page)).content
                assert body(await client.get(path))["name"] == "Refusal after"
            operator.replicaof("NO", "ONE")
        for _ in range(20):
            assert b"Refusal after" in (await client.get(page)).content
        assert b"Refusal after" in (await eventually(lambda: client.get(path), is_hit)).content


@pytest.mark.parametrize("fault", [_frozen, _killed], ids=["frozen", "killed"])
async def test_readers_and_writers_go_on_without_redis(
    fault: Callable[[PrivateRedis], Callable[[], None]], redis: PrivateRedis, own: Started, writer: httpx.AsyncClient, path: str
) -> None:
    async with own.client() as client:
        before = await warm(client, path)
        end = fault(redis)
        answers = await asyncio.gather(*(client.get(path) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.content for answer in answers} == {before.content}
        assert {status_of(answer) for answer in answers} == {"fwd=bypass"}
        assert {answer.headers["etag"] for answer in answers} == {before.headers["etag"]}
        assert all("ratelimit" in answer.headers for answer in answers)
        assert (await client.get(path, headers={"If-None-Match": before.headers["etag"]})).status_code == 304
        await rename(writer, path, "Renamed without Redis")
        assert body(await client.get(path))["name"] == "Renamed without Redis"
        end()
        after = await eventually(lambda: client.get(path), is_hit)
        assert body(after)["name"] == "Renamed without Redis"


async def test_an_emptied_redis_makes_misses(redis: PrivateRedis, own: Started, path: str) -> None:
    async with own.client() as client:
        await warm(client, path)
        with redis.client() as control:
            control.flushall()
        assert status_of(await client.get(path)) == "fwd=stale; stored"
        assert is_hit(await client.get(path))


async def test_a_write_is_not_undone_by_an_older_dump(redis: PrivateRedis, own: Started, writer: httpx.AsyncClient, path: str) -> None:
    """The dump brings back pages from before the write, and tags that do not know of it."""
    async with started(redis=redis.settings) as second, own.client() as client, second.client() as other:
        for reader in (client, other):
            await warm(reader, path)
        redis.keep_dump()
        await rename(writer, path, "After the dump")
        redis.restore_dump()
        for reader in (client, other):
            answer = await eventually(partial(reader.get, path), lambda answer: status_of(answer) != "fwd=bypass")
            assert not is_hit(answer) or status_of(answer) == "hit; detail=redis"
            assert body(answer)["name"] == "After the dump"
            assert body(await warm(reader, path))["name"] == "After the dump"


async def test_a_writer_without_redis_is_helped_by_those_who_have_it(own: Started, token: str, path: str) -> None:
    """The answer to the write comes after the other process has found it in the table: its first reader sees it."""
    async with door() as closed, own.client() as reader:
        away = RedisSettings(host="127.0.0.1", port=closed.port)
        async with started(redis=away) as cut_off, cut_off.client(token) as writer:
            await warm(reader, path)
            await rename(writer, path, "Relayed")
            answer = await reader.get(path)
            assert body(answer)["name"] == "Relayed"
            assert not is_hit(answer)


async def test_a_writer_that_dies_after_its_commit_leaves_no_stale_page(own: Started, db: Connection, path: str) -> None:
    """What it leaves in the table is found: its row is all that there is of a write whose process has ended."""
    async with own.client() as reader:
        await warm(reader, path)
        await leave_behind(db, path, "Left behind")
        answer = await eventually(lambda: reader.get(path), lambda answer: answer.json()["name"] == "Left behind")
        assert status_of(answer) == "fwd=stale; stored"
        while await db.fetchval("SELECT count(*) FROM cache_invalidation"):  # noqa: ASYNC110 - the database does not tell us
            await asyncio.sleep(0.05)


async def test_a_link_is_not_trusted_before_the_table_was_read(
    redis: PrivateRedis, own: Started, db: Connection, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that nobody could publish is published by whoever connects first, before its readers are answered from the cache."""
    monkeypatch.setattr(cache_outbox, "PATIENCE_S", 3600)  # no sweeper touches the row
    async with own.client() as reader:
        await warm(reader, path)
        redis.freeze()
        assert status_of(await reader.get(path)) == "fwd=bypass"
        await leave_behind(db, path, "Unpublished")
        redis.thaw()
        await until(lambda: own.link.is_up)
        answer = await reader.get(path)
        assert body(answer)["name"] == "Unpublished"
        assert not is_hit(answer)


async def test_many_writes_left_behind_end_everything(own: Started, db: Connection, path: str) -> None:
    async with own.client() as reader:
        await warm(reader, path)
        names = [f"tags:{number}" for number in range(cache_outbox.MAX_TAGS_OF_A_WRITE + 1)]
        await db.execute("INSERT INTO cache_invalidation (tags) VALUES ($1)", names)
        await eventually(lambda: reader.get(path), lambda answer: status_of(answer) == "fwd=stale; stored")


async def test_cached_pages_go_on_without_postgresql(path: str) -> None:
    settings = get_settings().db
    socket = Path(str(settings.host)) / f".s.PGSQL.{settings.port}"
    async with door() as port:
        await port.open(socket)
        behind = settings.model_copy(update={"host": "127.0.0.1", "port": port.port})
        async with started(db=behind) as own, own.client() as client:
            kept = await warm(client, path)
            await port.close()
            for _ in range(3):
                answer = await client.get(path)
                assert (status_of(answer), answer.content) == ("hit; detail=memory", kept.content)
            problem: Any = await client.get(f"{API}/aircraft?size=1&page=17")
            assert_problem(problem, 503, "database_unavailable")
            assert int(problem.headers["retry-after"]) > 0
            assert "stored" not in status_of(problem)
            refused = await client.patch(path, json={}, headers={"Authorization": "Bearer fja_x"})
            assert_problem(refused, 503, "database_unavailable")
            await port.open(socket)
            await eventually(lambda: client.get(f"{API}/aircraft?size=1&page=17"), lambda answer: answer.status_code == 200)
