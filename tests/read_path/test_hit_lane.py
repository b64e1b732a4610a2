"""The shortest way of a hit: the same answers, limits, lines and counts as the usual way, and the usual way for all else."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest
import uvicorn
from uvicorn.server import ServerState

from fastapi_application.core.config import RateLimitSettings, ServerSettings, get_settings
from fastapi_application.core.line_buffer import access_lines, use_line_buffer
from fastapi_application.middleware.hit_lane import HitLane
from fastapi_application.middleware.rate_limit import ARRIVED
from fastapi_application.middleware.slow_clients import SlowClientsProtocol
from tests.read_path.support import API, Started, started, status_of
from tests.support.application import body
from tests.support.redis import private_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

PATIENCE_S = 30
OWN = {"date", "x-request-id", "ratelimit", "vary"}
"""Headers that two answers to the same question need not share; `vary` names `Origin` where CORS has looked at it."""
USUAL_WAY = {"Origin": "https://elsewhere.example"}


@dataclass
class Served:
    """An application behind the protocol of the service, and what its lane has answered."""

    application: Started
    port: int
    state: ServerState
    taken: list[int]

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Return a client on one connection."""
        limits = httpx.Limits(max_connections=1)
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers, limits=limits, timeout=PATIENCE_S)


@asynccontextmanager
async def served(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> AsyncIterator[Served]:
    """Serve an application with settings of a test's own."""
    async with started(**changes) as application:
        quiet: dict[str, Any] = {"ws": "none", "lifespan": "off", "log_config": None, "access_log": False, "proxy_headers": False}
        config = uvicorn.Config(application.edge, http=SlowClientsProtocol, **quiet)
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
        taken: list[int] = []
        answer = HitLane.answer

        def note(lane: HitLane, hit: Any, reply: Any) -> bool:
            is_answered = answer(lane, hit, reply)
            taken.extend([1] * is_answered)
            return is_answered

        monkeypatch.setattr(HitLane, "answer", note)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SlowClientsProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
        try:
            yield Served(application, server.sockets[0].getsockname()[1], state, taken)
        finally:
            server.close()


def quotas(**changed: str) -> RateLimitSettings:
    """Return generous quotas but for these."""
    return RateLimitSettings(**{name: quota.model_dump() for name, quota in get_settings().rate_limit.quotas.items()} | changed)


@pytest.fixture
async def served_here(monkeypatch: pytest.MonkeyPatch, database: str) -> AsyncIterator[Served]:
    """Serve with generous limits."""
    async with served(monkeypatch) as world:
        yield world


def shown(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """Return what two answers to the same question share."""
    return answer.status_code, answer.content, {name: value for name, value in answer.headers.items() if name not in OWN}


def left(answer: httpx.Response) -> int:
    """Return what is left of the quota."""
    return int(answer.headers["ratelimit"].partition(";r=")[2].partition(";")[0])


FORMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("GET", {}),
    ("GET", {"Accept-Encoding": "gzip"}),
    ("GET", {"Accept-Encoding": "identity"}),
    ("GET", {"If-None-Match": "*"}),
    ("GET", {"If-None-Match": 'W/"other"'}),
    ("HEAD", {}),
    ("HEAD", {"Accept-Encoding": "gzip"}),
)


async def test_both_ways_answer_alike(served_here: Served, make: Callable[..., Any], moderator: httpx.AsyncClient) -> None:
    plane = await make("aircraft", name="Shortest Way", description="A long story of it. " * 100)
    old = plane["slug"]
    changed = {"slug": f"{old}-renamed"}
    body(await moderator.patch(f"{API}/aircraft/{old}", json=changed, headers={"If-Match": f'"{plane["id"][:8]}.{plane["version"]}"'}))
    async with served_here.client() as client:
        for path in (f"{API}/aircraft/{old}-renamed", f"{API}/aircraft/{old}", f"{API}/aircraft?size=5", "/feeds/changes.atom"):
            await client.get(path)
            for method, headers in FORMS:
                before = len(served_here.taken)
                short = await client.request(method, path, headers=headers)
                assert len(served_here.taken) == before + 1, (path, short.headers)
                usual = await client.request(method, path, headers=headers | USUAL_WAY)
                assert len(served_here.taken) == before + 1
                assert status_of(usual) == "hit; detail=memory"
                assert shown(short) == shown(usual)
                assert left(usual) <= left(short)
                assert short.headers["x-request-id"] != usual.headers["x-request-id"]


NOT_PLAIN: tuple[tuple[dict[str, str], int], ...] = (
    ({"Authorization": "Bearer nobody"}, 401),
    ({"Accept": "application/ld+json"}, 200),
    ({"Content-Length": "0"}, 200),
    ({"Connection": "close"}, 200),
    ({"Host": "elsewhere.example"}, 400),
    ({"X-Long": "a" * 17_000}, 431),
)


async def test_other_requests_go_the_usual_way(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    server = get_settings().server.model_copy(update={"allowed_hosts": ["127.0.0.1"]})
    async with served(monkeypatch, server=server) as world, world.client() as client:
        await client.get(f"{API}/countries?size=1")
        for headers, expected in NOT_PLAIN:
            before = len(world.taken)
            await client.get(f"{API}/countries?size=1")
            assert len(world.taken) == before + 1
            answer = await client.get(f"{API}/countries?size=1", headers=headers)
            assert len(world.taken) == before + 1, headers
            assert answer.status_code == expected, headers


async def test_the_client_s_own_request_id_is_repeated_if_it_is_harmless(served_here: Served) -> None:
    async with served_here.client() as client:
        await client.get(f"{API}/countries")
        answers = [await client.get(f"{API}/countries", headers={"X-Request-ID": text}) for text in ("mine-1", "not mine", "a" * 129)]
    assert len(served_here.taken) == len(answers)
    assert [answer.headers["x-request-id"] in ("mine-1", "not mine", "a" * 129) for answer in answers] == [True, False, False]


async def test_each_request_is_charged_once_whichever_way_it_goes(
    monkeypatch: pytest.MonkeyPatch, database: str, make: Callable[..., Any], moderator: httpx.AsyncClient
) -> None:
    plane = await make("aircraft")
    path = f"{API}/aircraft/{plane['slug']}"
    # Nobody else has this address: the count of 127.0.0.1 is every test's.
    server = get_settings().server.model_copy(update={"trusted_proxies": ServerSettings(trusted_proxies="127.0.0.1/32").trusted_proxies})
    async with served(monkeypatch, server=server, rate_limit=quotas(anonymous="6/3600")) as world:
        async with world.client(**{"X-Forwarded-For": "10.77.0.1"}) as client:
            answers = [await client.get(path) for _ in range(3)]
            assert len(world.taken) == 2
            etag = f'"{plane["id"][:8]}.{plane["version"]}"'
            body(await moderator.patch(path, json={"name": "Overtaken"}, headers={"If-Match": etag}))
            answers += [await client.get(path) for _ in range(3)]
            assert [left(answer) for answer in answers] == [5, 4, 3, 2, 1, 0]
            assert [body(answer)["name"] == "Overtaken" for answer in answers] == [False] * 3 + [True] * 3
            assert status_of(answers[3]) == "fwd=stale; stored"
            refused = await client.get(path)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 600
        async with world.client(**{"X-Forwarded-For": "10.77.0.2"}) as neighbour:
            assert left(await neighbour.get(path)) == 5


async def test_requests_that_come_together_are_answered_in_their_order(served_here: Served) -> None:
    async with served_here.client() as client:
        paths = [f"{API}/countries?size={size}" for size in (1, 2, 3)]
        plain = [(await client.get(path)).content for path in paths]
    reader, writer = await asyncio.open_connection("127.0.0.1", served_here.port)
    order = [0, 1, 2, 0, 2, 1]
    head = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    writer.write("".join(head.format(paths[index]) for index in order).encode())
    async with asyncio.timeout(PATIENCE_S):
        for index in order:
            lines = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(lines.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert await reader.readexactly(length) == plain[index]
    assert len(served_here.taken) == len(order)
    writer.close()


async def test_a_redis_that_goes_away_while_a_hit_waits_fails_nobody(
    monkeypatch: pytest.MonkeyPatch, database: str, tmp_path: Path
) -> None:
    with private_redis(tmp_path) as redis:
        async with served(monkeypatch, redis=redis.settings) as world, world.client() as client:
            await client.get(f"{API}/countries?size=4")
            await client.get(f"{API}/countries?size=4")
            before = len(world.taken)
            assert before
            redis.freeze()
            try:
                answer = await client.get(f"{API}/countries?size=4")
            finally:
                redis.thaw()
            assert (answer.status_code, status_of(answer)) == (200, "fwd=bypass")
            assert len(world.taken) == before


@contextmanager
def written_lines() -> Iterator[io.StringIO]:
    """Catch the lines of the access log."""
    stream = io.StringIO()
    use_line_buffer(logging.StreamHandler(stream), "fastapi_application.access")
    try:
        yield stream
    finally:
        use_line_buffer(None, "")


async def test_both_ways_write_the_same_line(served_here: Served) -> None:
    with written_lines() as stream:
        async with served_here.client() as client:
            for headers in ({}, {}, USUAL_WAY):
                answer = await client.get(f"{API}/countries?size=2", headers=headers | {"X-Request-ID": "one-of-three"})
        lines = access_lines()
        assert lines is not None
        lines.flush()
    written = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    assert len(written) == 3
    assert len(served_here.taken) == 1
    for line in written:
        assert line.pop("duration_ms") >= 0
        assert line.pop("timestamp")
        size = line.pop("bytes")
        assert size in (len(answer.content), len(gzip.compress(answer.content, 5, mtime=0)))
    assert written[0] == written[1] == written[2]
    assert written[0]["request_id"] == "one-of-three"


async def test_a_server_that_drains_ends_the_connection_with_the_answer(served_here: Served) -> None:
    async with served_here.client() as client:
        await client.get(f"{API}/countries?size=6")
    reader, writer = await asyncio.open_connection("127.0.0.1", served_here.port)
    served_here.state.default_headers.append((b"connection", b"close"))
    writer.write(f"GET {API}/countries?size=6 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert b"cache-status: frankenjet; hit; detail=memory" in answer
    writer.close()


class Exchange:
    """A request whose client takes nothing."""

    keep_alive = True
    response_complete = False

    def __init__(self, path: str) -> None:
        """Ask for a path."""
        path, _, query = path.partition("?")
        headers = [(b"host", b"test")]
        self.scope: dict[str, Any] = {
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
            "client": ("10.78.0.1", 1),
        }

    def write_whole(self, *_: object) -> bool:
        """Take nothing."""
        return False


@pytest.mark.parametrize("fault", ["reads too slowly", "bug"])
async def test_what_cannot_be_written_now_goes_the_usual_way_with_what_redis_has_said(served_here: Served, fault: str) -> None:
    path = f"{API}/countries?size=3"
    async with served_here.client() as client:
        await client.get(path)
    exchange, passed_on = Exchange(path), asyncio.Event()
    if fault == "bug":
        exchange.write_whole = None  # type: ignore[method-assign, assignment] # so that calling it raises
    assert served_here.application.edge.take(exchange, passed_on.set)
    async with asyncio.timeout(PATIENCE_S):
        await passed_on.wait()
    question, reply = exchange.scope[ARRIVED]
    assert question.entry is not None
    assert reply[3] == 1
    assert not served_here.taken
