"""Four real worker processes on one Redis: what one has acknowledged, all show; limits are one; a killed one leaves nothing stale."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.factories.registry import FACTORIES
from tests.read_path.support import API, PATIENCE_S, eventually, status_of
from tests.support.application import PASSWORD, body
from tests.support.commands import Service, settings_of_this_run
from tests.support.redis import PrivateRedis, private_redis
from tests.support.seeded import Connection, connection_to, current_database
from tests.support.servers import create_database, migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

WORKERS = 4
ROUNDS = int(os.environ.get("FRESHNESS_ROUNDS", "25"))
"""Rounds of write and read; 10 000 take a quarter of an hour."""
QUOTA = 100
NAP_S = 2
COMMENT = "?comment=a+test"
_addresses = (f"10.{a}.{b}.{c}" for a, b, c in itertools.product(range(256), range(256), range(1, 255)))


@dataclass
class World:
    """The service, and what its tests know of it."""

    service: Service
    redis: PrivateRedis
    database: str
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.service.port}"

    def client(self, token: str = "", client: str = "") -> httpx.AsyncClient:
        """Return a client on one connection, so it stays with its worker; each request comes from another address unless one is named."""

        async def come_from(request: httpx.Request) -> None:
            request.headers["X-Forwarded-For"] = client or next(_addresses)

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        limits = httpx.Limits(max_connections=1)
        return httpx.AsyncClient(base_url=self.address, headers=headers, limits=limits, timeout=30, event_hooks={"request": [come_from]})


@pytest.fixture(scope="module")
def world(database: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run four workers on a database and a Redis of their own."""
    name = f"workers_{worker_id}"
    create_database(name)
    with current_database(name), private_redis(tmp_path_factory.mktemp("redis")) as redis:
        migrate()
        settings = {
            **settings_of_this_run(),
            "DB__NAME": name,
            "REDIS__URL": f"redis://127.0.0.1:{redis.port}",
            "SERVER__TRUSTED_PROXIES": "127.0.0.1/32",
            "APP__DEBUG_HEADERS": "true",
            "RATE_LIMIT__ANONYMOUS": f"{QUOTA}/60",
            "RATE_LIMIT__ADMINISTRATOR": "1000000000/60",
            "AUTH__ACCESS_TTL_S": "86400",
            "LOG__LEVEL": "WARNING",
        }
        service = Service(tmp_path_factory.mktemp("service") / "local", command="serve", **settings)
        world = World(service, redis, name)
        created = service.run("create-user", "--email", "a@example.org", "--role", "administrator", "--password-stdin", typed=PASSWORD)
        assert created.returncode == 0, created.stderr
        service.start("--workers", str(WORKERS))
        try:
            with service.client() as client:
                login = {"username": "a@example.org", "password": PASSWORD}
                world.tokens["administrator"] = body(client.post(f"{API}/auth/login", data=login))["access_token"]
            yield world
        finally:
            service.close()


@pytest.fixture
async def db(world: World) -> AsyncIterator[Connection]:
    """Look at the database."""
    async with connection_to(world.database) as connection:
        yield connection


@asynccontextmanager
async def one_client_of_each_worker(world: World) -> AsyncIterator[dict[int, httpx.AsyncClient]]:
    """Connect to every worker: those that have answered sleep until the others have."""
    found: dict[int, httpx.AsyncClient] = {}
    async with AsyncExitStack() as stack:
        deadline, awake = time.monotonic() + PATIENCE_S, time.monotonic()
        while len(found) < WORKERS:
            assert time.monotonic() < deadline, f"only {len(found)} workers answer"
            if time.monotonic() - awake > NAP_S:  # the supervisor ends who sleeps for long
                _wake(found)
                awake = time.monotonic()
            client = await stack.enter_async_context(world.client())
            try:
                answer = await client.get(f"{API}/health/live", timeout=2)
            except httpx.TransportError:  # one that sleeps had taken the connection before it fell asleep
                continue
            found.setdefault(int(answer.headers["x-worker"]), client)
            os.kill(int(answer.headers["x-worker"]), signal.SIGSTOP)
        _wake(found)
        yield found


def _wake(workers: dict[int, httpx.AsyncClient]) -> None:
    for pid in workers:
        os.kill(pid, signal.SIGCONT)


async def create(writer: httpx.AsyncClient, kind: str, number: int, **fields: Any) -> dict[str, Any]:
    """Create an entity."""
    document = {**FACTORIES[kind].minimal(number), **fields}
    created: dict[str, Any] = body(await writer.post(f"{API}/{kind}{COMMENT}", json=document), 201)
    return created


async def change(writer: httpx.AsyncClient, path: str, patch: dict[str, Any]) -> None:
    """Patch an entity as it is now."""
    etag = (await writer.get(path)).headers["etag"]
    body(await writer.patch(f"{path}{COMMENT}", json=patch, headers={"If-Match": etag}))


async def publish(writer: httpx.AsyncClient, path: str) -> None:
    """Publish an article as it is now."""
    etag = (await writer.get(path)).headers["etag"]
    body(await writer.post(f"{path}/publish{COMMENT}", headers={"If-Match": etag}))


async def keep_reading(world: World, pages: list[str]) -> None:
    """Ask for pages until somebody ends it."""
    async with world.client() as client:
        for page in itertools.cycle(pages):
            assert (await client.get(page)).status_code == 200


async def test_what_is_acknowledged_is_shown_by_every_worker(world: World) -> None:
    chance = random.Random(5)  # noqa: S311 - chooses, keeps no secret
    async with one_client_of_each_worker(world) as workers, world.client(world.tokens["administrator"]) as writer:
        country, designer = await create(writer, "countries", 1), await create(writer, "designers", 1)
        refers = {"countries": [country["slug"]], "designers": [{"designer": designer["slug"]}]}
        planes = [await create(writer, "aircraft", number, **refers) for number in range(1, 4)]
        other = await create(writer, "aircraft", 9)
        lists = [f"{API}/aircraft?country={country['code']}", *(f"{API}/aircraft?size=1&page={page}&sort=slug" for page in (1, 2, 3))]
        related = f"{API}/designers/{designer['slug']}"
        pages = [*(f"{API}/aircraft/{plane['slug']}" for plane in planes), *lists, related]
        noise = [asyncio.create_task(keep_reading(world, chance.sample(pages, len(pages)))) for _ in range(3)]
        hits = 0
        try:
            for round_number in range(ROUNDS):
                index = round_number % len(planes)
                shown_on = [pages[index], lists[0], lists[1 + index], related]
                aside = f"{API}/aircraft/{other['slug']}"
                before = {page: (await next(iter(workers.values())).get(page)).headers["etag"] for page in shown_on}
                for client in workers.values():
                    await client.get(aside)
                name = f"Name {round_number}"
                await change(writer, f"{API}/aircraft/{planes[index]['id']}", {"name": name})
                for client in chance.sample(list(workers.values()), WORKERS):
                    for page in chance.sample(shown_on, len(shown_on)):
                        answer = await client.get(page)
                        assert f'"{name}"' in answer.text, (round_number, page, answer.headers)
                        assert answer.headers["etag"] != before[page]
                    # A machine that is slow for a moment may take Redis for away; nothing has touched this page all the same.
                    status = status_of(await client.get(aside))
                    assert status in ("hit; detail=memory", "fwd=bypass")
                    hits += status == "hit; detail=memory"
        finally:
            for task in noise:
                task.cancel()
            ended = await asyncio.gather(*noise, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
        assert hits


async def test_an_article_is_everywhere_when_it_is_published(world: World) -> None:
    async with one_client_of_each_worker(world) as workers, world.client(world.tokens["administrator"]) as writer:
        tag, plane = await create(writer, "tags", 20), await create(writer, "aircraft", 20)
        pages = [f"{API}/tags/{tag['slug']}", f"{API}/aircraft/{plane['slug']}", f"{API}/articles", f"{API}/articles?tag={tag['slug']}"]
        for number in range(3):
            article = await create(writer, "articles", 20 + number, tags=[tag["slug"]], aircraft=[plane["slug"]])
            path, title = f"{API}/articles/{article['slug']}", f"Published {number}"
            await change(writer, path, {"title": title})
            for client in workers.values():
                for page in pages:
                    assert f'"{title}"' not in (await client.get(page)).text
                assert (await client.get(path)).status_code == 404
            await publish(writer, path)
            for client in workers.values():
                for page in [path, *pages]:
                    assert f'"{title}"' in (await client.get(page)).text, page


async def test_a_worker_killed_between_commit_and_publication_leaves_no_stale_page(world: World, db: Connection) -> None:
    async with one_client_of_each_worker(world) as workers, world.client(world.tokens["administrator"]) as writer:
        plane = await create(writer, "aircraft", 30)
        path = f"{API}/aircraft/{plane['slug']}"
        for client in workers.values():
            await client.get(path)
        etag = (await writer.get(path)).headers["etag"]
        pid = int((await writer.get(path)).headers["x-worker"])
        await _until_empty(db)
        world.redis.freeze()
        try:
            patch = writer.patch(f"{path}{COMMENT}", json={"name": "Killed"}, headers={"If-Match": etag})
            writing = asyncio.create_task(patch)
            while not await db.fetchval("SELECT EXISTS (SELECT FROM cache_invalidation)"):  # noqa: ASYNC110 - committed
                await asyncio.sleep(0)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(httpx.TransportError):
                await writing
        finally:
            world.redis.thaw()
        await _until_empty(db)
        for worker, client in workers.items():
            if worker != pid:
                assert body(await client.get(path))["name"] == "Killed"
                await eventually(lambda client=client: client.get(path), lambda answer: status_of(answer).startswith("hit"))  # type: ignore[misc]
    # The supervisor has replaced it.
    async with one_client_of_each_worker(world) as workers:
        assert pid not in workers
        for client in workers.values():
            assert body(await client.get(path))["name"] == "Killed"


async def _until_empty(db: Connection) -> None:
    """Wait until everything is published."""
    deadline = time.monotonic() + PATIENCE_S
    while await db.fetchval("SELECT EXISTS (SELECT FROM cache_invalidation)"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_write_while_redis_hangs_is_shown_when_it_is_back(world: World, db: Connection) -> None:
    async with one_client_of_each_worker(world) as workers, world.client(world.tokens["administrator"]) as writer:
        plane = await create(writer, "aircraft", 40)
        path = f"{API}/aircraft/{plane['slug']}"
        for client in workers.values():
            await client.get(path)
        world.redis.freeze()
        try:
            await change(writer, path, {"name": "Written without Redis"})
            for client in workers.values():
                assert body(await client.get(path))["name"] == "Written without Redis"
        finally:
            world.redis.thaw()
        await _until_empty(db)
        for client in workers.values():
            assert body(await client.get(path))["name"] == "Written without Redis"


async def test_the_quota_of_a_client_is_one_for_all_workers(world: World) -> None:
    address = next(_addresses)
    page = f"{API}/countries"
    async with AsyncExitStack() as stack:
        clients: list[httpx.AsyncClient] = []
        workers: set[str] = set()
        async with asyncio.timeout(60):
            while len(clients) < 16 or len(workers) < 2:  # which worker takes a connection is the system's affair
                client = await stack.enter_async_context(world.client(client=address))
                workers.add((await client.get(f"{API}/health/live")).headers["x-worker"])
                clients.append(client)
        other = await stack.enter_async_context(world.client(client=next(_addresses)))
        await other.get(page)
        started = time.monotonic()

        async def send(client: httpx.AsyncClient) -> list[httpx.Response]:
            return [await client.get(page) for _ in range(-(-4 * QUOTA // len(clients)))]

        answers = [answer for some in await asyncio.gather(*map(send, clients)) for answer in some]
        refilled = (time.monotonic() - started) * QUOTA / 60
        passed = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(passed) + len(refused) == len(answers) >= 4 * QUOTA
        assert QUOTA <= len(passed) <= QUOTA + refilled + 1
        assert len({answer.headers["x-worker"] for answer in answers}) > 1
        assert all("ratelimit" in answer.headers and "ratelimit-policy" in answer.headers for answer in answers)
        # A request fits every 0.6 s.
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        untouched = (await other.get(page)).headers["ratelimit"]
        assert untouched.startswith((f'"anonymous";r={QUOTA - 1};', f'"anonymous";r={QUOTA - 2};'))
        await asyncio.sleep(1)
        assert (await clients[0].get(page)).status_code == 200
