"""Health: what each route asks, what it answers when something is away, and that the service comes back by itself."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from asgi_lifespan import LifespanManager

from fastapi_application.api import health
from fastapi_application.api.health import HealthService, Probe
from fastapi_application.core.config import DatabaseSettings, RedisSettings, Settings, get_settings
from fastapi_application.core.schema_version import SchemaVersions
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.middleware import wrap_in_edge
from tests.support.application import Application, assert_problem, body
from tests.support.network import Door, door
from tests.support.queries import recorded_queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    type Connection = asyncpg.Connection[asyncpg.Record]

LIVE, READY, DB, REDIS, ALL = (f"/api/v1/health{path}" for path in ("/live", "/ready", "/db", "/redis", ""))
_databases = itertools.count(1)


@asynccontextmanager
async def started(**settings: Any) -> AsyncIterator[tuple[Application, httpx.AsyncClient]]:
    """Start an application on its own settings; nothing of it is kept between tests."""
    app = create_fastapi_app(changed(**settings))
    async with LifespanManager(wrap_in_edge(app, app.state.settings)) as manager:
        application = Application(app, httpx.ASGITransport(manager.app, raise_app_exceptions=False))
        async with application.client() as client:
            yield application, client


def changed(**settings: Any) -> Settings:
    """Return the settings of the tests with some groups replaced."""
    return get_settings().model_copy(update=settings)


def behind(port: int) -> DatabaseSettings:
    """Return the database's settings, reached through a port."""
    return get_settings().db.model_copy(update={"host": "127.0.0.1", "port": port})


def redis_at(port: int) -> RedisSettings:
    """Return settings of a Redis at a port."""
    return RedisSettings(host="127.0.0.1", port=port)


def postgres_socket() -> Path:
    """Return the Unix socket of the tests' PostgreSQL."""
    settings = get_settings().db
    assert settings.host is not None
    return Path(settings.host) / f".s.PGSQL.{settings.port}"


@pytest.fixture
async def closed(database: str) -> AsyncIterator[Door]:
    """Return a port where nothing listens yet."""
    async with door() as closed:
        yield closed


@pytest.fixture
async def empty_database(db: Connection) -> AsyncIterator[str]:
    """Return a database that was never migrated."""
    name = f"health_{next(_databases)}_{get_settings().db.name}"
    await db.execute(f'CREATE DATABASE "{name}"')
    yield name
    await db.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the clock of the probes, which only the test moves."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def states(answer: httpx.Response) -> dict[str, str]:
    """Return the state of each check of an answer."""
    return {name: check["status"] for name, check in answer.json()["checks"].items()}


# --- all is well ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "checks"),
    [
        (LIVE, set()),
        (READY, {"database", "schema", "redis"}),
        (DB, {"database", "schema"}),
        (REDIS, {"redis"}),
        (ALL, {"database", "schema", "redis"}),
    ],
)
async def test_everything_is_there(path: str, checks: set[str], anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(path)
    shown = body(answer)
    assert answer.headers["content-type"] == "application/health+json"
    assert answer.headers["cache-control"] == "no-store"
    assert (shown["status"], set(shown["checks"])) == ("pass", checks)
    assert shown["version"]
    assert all(check["status"] == "pass" and check["latency_ms"] >= 0 for check in shown["checks"].values())
    assert (await anonymous.head(path)).status_code == 200
    assert_problem(await anonymous.get(f"{path}?verbose=1"), 422, "validation_error")


# --- live -------------------------------------------------------------------------------------------------------------


async def test_live_touches_nothing(closed: Door) -> None:
    await closed.open()
    async with started(db=behind(closed.port), redis=redis_at(closed.port)) as (application, client), asyncio.timeout(1):
        application.fastapi.state.health = None  # nobody may be asked
        for _ in range(3):
            assert body(await client.get(LIVE))["checks"] == {}


async def test_live_is_well_when_nothing_else_is(closed: Door) -> None:
    async with started(db=behind(closed.port), redis=redis_at(closed.port)) as (_, client):
        assert body(await client.get(LIVE))["status"] == "pass"
        assert body(await client.get(READY), 503)["status"] == "fail"
        assert body(await client.get(LIVE))["status"] == "pass"


# --- ready ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [READY, DB, ALL])
async def test_without_the_database_it_is_not_ready(path: str, closed: Door) -> None:
    async with started(db=behind(closed.port)) as (_, client):
        answer = await client.get(path)
    assert body(answer, 503)["code"] == "database_unavailable"
    assert answer.json()["status"] == "fail"
    assert answer.headers["content-type"] == "application/health+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["checks"]["database"] == {"status": "fail", "code": "database_unavailable"}


@pytest.mark.parametrize("change", [{"name": "no_such_database"}, {"user": "nobody-here"}], ids=str)
async def test_a_database_that_refuses_us_is_away(change: dict[str, str], database: str) -> None:
    async with started(db=get_settings().db.model_copy(update=change)) as (_, client):
        assert body(await client.get(READY), 503)["code"] == "database_unavailable"
        assert_problem(await client.get("/api/v1/aircraft"), 503, "database_unavailable")


async def test_a_database_that_hangs_is_away_within_the_time_limit(closed: Door) -> None:
    await closed.open()
    async with started(db=behind(closed.port)) as (_, client), asyncio.timeout(3.5):
        answers = await asyncio.gather(client.get(READY), client.get("/api/v1/aircraft"), client.get(LIVE))
    assert body(answers[0], 503)["code"] == "database_unavailable"
    assert_problem(answers[1], 503, "database_unavailable")
    assert answers[2].status_code == 200


@pytest.mark.parametrize(("path", "status", "state"), [(READY, 200, "warn"), (ALL, 200, "warn"), (REDIS, 503, "fail"), (DB, 200, "pass")])
async def test_without_redis_it_only_warns(path: str, status: int, state: str, closed: Door) -> None:
    async with started(redis=redis_at(closed.port)) as (_, client):
        answer = await client.get(path)
    assert body(answer, status)["status"] == state
    if "redis" in answer.json()["checks"]:
        assert answer.json()["checks"]["redis"] == {"status": "fail", "code": "redis_unavailable"}
    assert ("retry-after" in answer.headers) is (status == 503)


async def test_a_redis_that_hangs_only_warns(closed: Door) -> None:
    await closed.open()
    async with started(redis=redis_at(closed.port)) as (_, client), asyncio.timeout(2):
        assert body(await client.get(READY))["status"] == "warn"


# --- the schema -------------------------------------------------------------------------------------------------------


async def test_a_database_that_was_never_migrated_is_not_ready(empty_database: str) -> None:
    async with started(db=get_settings().db.model_copy(update={"name": empty_database})) as (_, client):
        answer = await client.get(READY)
        assert body(answer, 503)["code"] == "schema_out_of_date"
        assert states(answer) == {"database": "pass", "schema": "fail", "redis": "pass"}
        assert_problem(await client.get("/api/v1/aircraft"), 503, "schema_out_of_date")


@pytest.mark.parametrize(
    ("revisions", "ready"), [(["2"], True), (["1"], False), ([], False), (["3"], True), (["1", "3"], True), (["1", "2"], False)], ids=str
)
async def test_which_schema_is_served(revisions: list[str], empty_database: str, *, ready: bool) -> None:
    """At our head or newer than we know (a rolling deploy), but not older: code of revision 2 knows 1 and 2."""
    settings = get_settings().db.model_copy(update={"name": empty_database})
    async with started(db=settings) as (application, client):
        state = application.fastapi.state
        state.health = HealthService(state.engine, state.redis, SchemaVersions(frozenset({"2"}), frozenset({"1", "2"})))
        async with state.engine.begin() as connection:
            await connection.exec_driver_sql("CREATE TABLE alembic_version (version_num text)")
            for revision in revisions:
                await connection.exec_driver_sql("INSERT INTO alembic_version VALUES ($1)", (revision,))
        answer = await client.get(READY)
    assert answer.status_code == (200 if ready else 503)
    assert answer.json().get("code") == (None if ready else "schema_out_of_date")


def test_this_code_knows_its_migrations() -> None:
    versions = SchemaVersions.load()
    assert versions.serves(set(versions.heads))
    assert len(versions.heads) == 1
    assert versions.heads <= versions.known


# --- probes -----------------------------------------------------------------------------------------------------------


async def test_a_hundred_who_ask_at_once_make_one_query_and_so_do_those_of_the_next_second(
    clock: SimpleNamespace, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started() as (application, client):
        pings: list[int] = []
        ping = application.fastapi.state.redis.ping

        async def counted() -> Any:
            pings.append(1)
            return await ping()

        monkeypatch.setattr(application.fastapi.state.redis, "ping", counted)
        with recorded_queries(application.fastapi.state.health.engine) as sent:

            def statements() -> list[str]:
                """Return what the probes have sent; the outbox shares their connections."""
                return [statement for statement in sent if "cache_invalidation" not in statement]

            answers = await asyncio.gather(*(client.get(path) for path in [READY, ALL] * 50))
            assert {answer.status_code for answer in answers} == {200}
            assert sorted(statements()) == ["SELECT 1", "SELECT version_num FROM alembic_version"]
            clock.now += 0.9
            await client.get(READY)
            assert (len(statements()), len(pings)) == (2, 1)
            clock.now += 0.2
            await client.get(READY)
            assert (len(statements()), len(pings)) == (4, 2)


async def test_a_failure_is_kept_too_and_then_forgotten(clock: SimpleNamespace) -> None:
    asked: list[float] = []

    async def check() -> dict[str, Any]:
        asked.append(clock.now)
        if len(asked) == 1:
            raise OSError
        return {}

    probe = Probe(check)
    assert [(await probe.ask())["status"] for _ in range(3)] == ["fail"] * 3
    clock.now += 1.0
    assert (await probe.ask())["status"] == "pass"
    assert asked == [1000.0, 1001.0]


async def test_who_stops_waiting_does_not_stop_the_others(clock: SimpleNamespace) -> None:
    answer = asyncio.Event()

    async def check() -> dict[str, Any]:
        await answer.wait()
        return {}

    probe = Probe(check)
    impatient, patient = asyncio.create_task(probe.ask()), asyncio.create_task(probe.ask())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    answer.set()
    assert (await patient)["status"] == "pass"


# --- the database comes and goes --------------------------------------------------------------------------------------


async def test_it_starts_without_its_database_and_becomes_ready_when_it_comes(closed: Door, clock: SimpleNamespace) -> None:
    async with started(db=behind(closed.port)) as (_, client):
        for turn in (1, 2):  # another page each time: one that is cached needs no database
            assert body(await client.get(READY), 503)["code"] == "database_unavailable"
            assert_problem(await client.get(f"/api/v1/aircraft?size={turn}"), 503, "database_unavailable")
            clock.now += 1.1
            await closed.open(postgres_socket())
            assert body(await client.get(READY))["status"] == "pass"
            assert body(await client.get(f"/api/v1/aircraft?size={turn}"))["items"] is not None
            # It goes again, with the connections that the pool holds.
            clock.now += 1.1
            await closed.close()


async def test_a_token_is_never_taken_for_none_when_the_database_is_away(closed: Door) -> None:
    async with started(db=behind(closed.port)) as (application, _), application.client("fja_some-token") as client:
        assert_problem(await client.get("/api/v1/articles"), 503, "database_unavailable")
        assert_problem(await client.post("/api/v1/tags", json={"name": "x"}), 503, "database_unavailable")
        assert_problem(await client.post("/api/v1/auth/login", data={"username": "a@b.org", "password": "x"}), 503, "database_unavailable")
