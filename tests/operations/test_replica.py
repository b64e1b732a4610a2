"""Searches and lists that nobody keeps come from a streaming replica, and are never older than the last acknowledged write."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import event

from fastapi_application.core.config import CacheSettings, RedisSettings, get_settings
from fastapi_application.core.replica import ANOTHER, AWAY, BEHIND
from fastapi_application.doctor import scale_out
from fastapi_application.doctor.scale_out import check_replica
from tests.factories.registry import FACTORIES
from tests.history.steps import patch
from tests.read_path.support import API, eventually, started, until
from tests.support.application import body
from tests.support.commands import free_port
from tests.support.servers import run_directory
from tests.support.standby import Standby, standby

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from fastapi_application.core.config import DatabaseSettings
    from fastapi_application.core.replica import Replica
    from fastapi_application.doctor.findings import Finding
    from tests.conftest import Make
    from tests.read_path.support import Started

UNCACHED = CacheSettings(enabled=False)
TAGS = f"{API}/tags?size=100&sort=-created_at"


@pytest.fixture(scope="module")
def server(application: object) -> Iterator[Standby]:
    with standby(run_directory(), get_settings().db) as server:
        yield server


class Asked:
    """What readers have asked the replica for; what only admits them is counted apart."""

    def __init__(self, replica: Replica) -> None:
        """Listen."""
        self.statements: list[str] = []
        self.contacts = 0
        event.listen(replica.engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.contacts += 1
        if "pg_last_wal_replay_lsn" not in statement:
            self.statements.append(statement)

    def take(self) -> int:
        """Return how many there were since this was called last."""
        count = len(self.statements)
        self.statements.clear()
        return count


@asynccontextmanager
async def served(server: Standby, **changes: Any) -> AsyncIterator[tuple[Started, Replica, Asked]]:
    """Run an application that uses the replica."""
    async with started(**{"db": server.beside(get_settings().db), "cache": UNCACHED, **changes}) as application:
        replica: Replica = application.fastapi.state.replica
        await until(lambda: replica.is_near)
        yield application, replica, Asked(replica)


@pytest.fixture
async def on_standby(server: Standby) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Command the replica."""
    url = server.beside(get_settings().db).of_replica()
    assert url is not None
    place = url.sqlalchemy_url()
    connection = await asyncpg.connect(
        host=str(place.query["host"]), port=int(str(place.query["port"])), user=place.username, password=place.password, database="postgres"
    )
    yield connection
    await connection.execute("SELECT pg_wal_replay_resume()")
    await connection.close()


PAGES = [TAGS, f"{API}/aircraft?cursor=", f"{API}/search?q=il-2", f"{API}/suggest?q=il", f"{API}/timeline?from=1939&to=1941"]


@pytest.mark.parametrize("page", PAGES)
async def test_the_public_reads_from_it_what_is_not_cached(server: Standby, page: str, make: Make) -> None:
    await make("tags")
    async with served(server) as (application, replica, asked), application.client() as public:
        await until_asked(public, page, asked)
        assert replica.is_near


async def until_asked(public: httpx.AsyncClient, page: str, asked: Asked) -> httpx.Response:
    """Read until the replica is asked: what it has not replayed yet, the primary shows."""
    return await eventually(lambda: public.get(page), lambda answer: answer.status_code != httpx.codes.OK or asked.take() > 0)


async def test_without_redis_too(server: Standby) -> None:
    away = RedisSettings(host="127.0.0.1", port=free_port())
    async with served(server, cache=CacheSettings(), redis=away) as (application, _, asked), application.client() as public:
        await until_asked(public, TAGS, asked)


async def test_what_fills_the_cache_and_what_a_token_reads_is_the_primarys(server: Standby, make: Make) -> None:
    slug = (await make("tags"))["slug"]
    async with served(server, cache=CacheSettings()) as (application, _, asked), application.client() as public:
        for page in [*PAGES, f"{API}/tags/{slug}"]:
            assert (await public.get(page)).status_code == 200
        assert asked.take() == 0


async def test_an_editor_reads_from_the_primary(server: Standby, editor: httpx.AsyncClient) -> None:
    async with served(server) as (application, _, asked), application.client() as public:
        headers = {"Authorization": editor.headers["authorization"]}
        for page in PAGES:
            assert (await public.get(page, headers=headers)).status_code == 200
        assert asked.take() == 0
        assert (await public.get(f"{API}/statistics")).status_code == 200
        assert asked.take() == 0


async def test_each_write_is_shown_at_once(server: Standby, editor: httpx.AsyncClient, make: Make) -> None:
    """Whether or not the replica has it already: some of these reads are the replica's, some the primary's."""
    tag = await make("tags")
    async with served(server) as (application, _, asked), application.client() as public:
        for number in range(25):
            name = f"{tag['slug']} {number}"
            await patch(editor, f"{API}/tags/{tag['id']}", {"name": name})
            assert f'"{name}"' in (await public.get(f"{API}/tags?ids={tag['id']}")).text, number
        await until_asked(public, f"{API}/tags?ids={tag['id']}", asked)


async def test_one_that_stands_still_shows_nothing_old_and_is_left_alone(
    server: Standby, editor: httpx.AsyncClient, number: int, on_standby: asyncpg.Connection[asyncpg.Record]
) -> None:
    async with served(server) as (application, replica, asked), application.client() as public:
        await until_asked(public, TAGS, asked)
        with structlog.testing.capture_logs() as lines:
            await on_standby.execute("SELECT pg_wal_replay_pause()")
            made = body(await editor.post(f"{API}/tags", json=FACTORIES["tags"].minimal(number)), 201)
            assert made["id"] in (await public.get(TAGS)).text
            assert asked.take() == 0
            await until(lambda: replica.fault == BEHIND)
            before = asked.contacts
            assert made["id"] in (await public.get(TAGS)).text
            assert asked.contacts == before
            health = body(await public.get(f"{API}/health"))
            assert (health["status"], health["checks"]["replica"]) == ("warn", {"status": "fail", "code": BEHIND})
            assert body(await public.get(f"{API}/health/ready"))["status"] == "pass"
            await on_standby.execute("SELECT pg_wal_replay_resume()")
            await until(lambda: replica.is_near)
        assert body(await public.get(f"{API}/health"))["checks"]["replica"] == {"status": "pass"}
        assert [line["event"] for line in lines if line["event"].startswith("replica")] == ["replica_not_used", "replica_used"]
        assert made["id"] in (await until_asked(public, TAGS, asked)).text


async def test_one_that_hangs_costs_no_answer(server: Standby) -> None:
    async with served(server) as (application, replica, asked), application.client() as public:
        await until_asked(public, TAGS, asked)
        server.freeze()
        try:
            assert (await public.get(TAGS)).status_code == 200
            await until(lambda: replica.fault == AWAY)
            assert (await public.get(TAGS)).status_code == 200
            assert asked.take() == 0
        finally:
            server.thaw()
        await until(lambda: replica.is_near)
        await until_asked(public, TAGS, asked)


def itself() -> DatabaseSettings:
    """Return settings that call the primary a replica."""
    server = get_settings().db
    return server.model_copy(update={"replica_url": SecretStr(server.sqlalchemy_url().render_as_string(hide_password=False))})


async def test_a_primary_is_none(database: str) -> None:
    async with started(db=itself(), cache=UNCACHED) as application, application.client() as public:
        replica: Replica = application.fastapi.state.replica
        await until(lambda: replica.fault == ANOTHER)
        assert (await public.get(TAGS)).status_code == 200


async def test_the_service_starts_without_it(database: str) -> None:
    nowhere = get_settings().db.model_copy(update={"replica_url": SecretStr(f"postgresql://u@127.0.0.1:{free_port()}/x")})
    with structlog.testing.capture_logs() as lines:
        async with started(db=nowhere, cache=UNCACHED) as application, application.client() as public:
            await until(lambda: any(line["event"] == "replica_not_used" for line in lines))
            assert application.fastapi.state.replica.fault == AWAY
            assert (await public.get(TAGS)).status_code == 200
            assert body(await public.get(f"{API}/health"))["status"] == "warn"
            assert body(await public.get(f"{API}/health/ready"))["status"] == "pass"
    assert [line["event"] for line in lines if line["event"].startswith("replica")] == ["replica_not_used"]


async def examined(db: DatabaseSettings) -> Finding:
    """Return what the doctor says of the replica."""
    (finding,) = await check_replica(get_settings().model_copy(update={"db": db}))
    return finding


async def test_the_doctor_on_it(
    server: Standby, make: Make, on_standby: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await check_replica(get_settings()) == []
    assert (await examined(server.beside(get_settings().db))).status == "pass"
    monkeypatch.setattr(scale_out, "LONGEST_WAIT_S", 0.2)
    await on_standby.execute("SELECT pg_wal_replay_pause()")
    await make("tags")
    behind = await examined(server.beside(get_settings().db))
    assert (behind.status, "behind" in behind.detail) == ("warn", True)
    assert (await examined(itself())).status == "fail"
    away = await examined(get_settings().db.model_copy(update={"replica_url": SecretStr(f"postgresql://u@127.0.0.1:{free_port()}/x")}))
    assert (away.status, "not reached" in away.detail) == ("warn", True)


async def test_when_it_ends_readers_see_nothing_of_it(server: Standby) -> None:
    async with served(server) as (application, replica, asked), application.client() as public:
        await until_asked(public, TAGS, asked)
        server.end()
        assert (await public.get(TAGS)).status_code == 200
        await until(lambda: replica.fault == AWAY)
        assert (await public.get(TAGS)).status_code == 200
