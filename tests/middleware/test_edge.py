"""The edge: ids, headers, limits, HEAD, CORS, hosts and the access log, around a small application."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from fastapi_application.core.client import client_address
from fastapi_application.core.config import AppSettings, ServerSettings, Settings
from fastapi_application.core.errors import AppError
from fastapi_application.core.request_id import request_id_var
from fastapi_application.middleware import wrap_in_edge
from fastapi_application.middleware.admission import MAX_BODY_BYTES
from tests.support.application import assert_problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what the path asks for."""
    request_id = request_id_var.get()
    if scope["path"] == "/bug":
        raise RuntimeError("a bug")
    if scope["path"] == "/expected":
        raise AppError("an expected failure")
    if scope["path"] == "/read":
        length, more = 0, True
        while more:
            message = await receive()
            length, more = length + len(message.get("body", b"")), message.get("more_body", False)
        await JSONResponse({"length": length})(scope, receive, send)
        return
    await asyncio.sleep(0)
    headers = {"X-Method": scope["method"], "Content-Security-Policy": "own"} if scope["path"] == "/own" else {}
    same = request_id == request_id_var.get()
    await (Response(b"x" * 100, headers=headers) if scope["path"] == "/own" else JSONResponse({"id": request_id, "same": same}))(
        scope, receive, send
    )


def client_of(**settings: Any) -> httpx.AsyncClient:
    """Return a client of the application behind an edge with these settings."""
    edge = wrap_in_edge(application, Settings(**settings))
    return httpx.AsyncClient(transport=httpx.ASGITransport(edge, raise_app_exceptions=False), base_url="http://test")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Speak to an edge with the default settings."""
    async with client_of() as client:
        yield client


@pytest.mark.parametrize("given", ["a", "A-b_c.d:e/f", "!" * 128, "~"])
async def test_a_harmless_request_id_is_kept(given: str, client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"X-Request-ID": given})
    assert answer.headers.get_list("x-request-id") == [given]
    assert answer.json()["id"] == given


@pytest.mark.parametrize("given", [b"", b" ", b"a b", b"a" * 129, b"\xc3\xa9", b"a\tb"])
async def test_any_other_request_id_is_replaced(given: bytes, client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers=[(b"X-Request-ID", given)])
    (made,) = answer.headers.get_list("x-request-id")
    assert re.fullmatch(r"[0-9a-f]{32}", made)


async def test_concurrent_requests_keep_their_own_ids(client: httpx.AsyncClient) -> None:
    ids = [f"request-{number}" for number in range(50)]
    answers = await asyncio.gather(*(client.get("/", headers={"X-Request-ID": given}) for given in ids))
    assert [answer.json() for answer in answers] == [{"id": given, "same": True} for given in ids]


async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/", "/bug", "/expected", "/%00"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "strict-transport-security" not in headers
        assert "server" not in headers
    assert (await client.get("/own")).headers.get_list("content-security-policy") == ["own"]


async def test_https_is_pinned_where_the_public_address_is_https() -> None:
    async with client_of(app=AppSettings(public_url="https://example.org", debug_headers=True)) as client:
        headers = (await client.get("/")).headers
    assert headers["strict-transport-security"].startswith("max-age=")
    assert headers["x-worker"].isdigit()


async def test_a_bug_is_a_problem_and_the_next_request_is_served(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.get("/bug"), 500, "internal_error")
    assert "bug" not in json.dumps(problem).replace("/bug", "")
    assert (await client.get("/")).status_code == 200
    assert_problem(await client.get("/expected"), 500, "internal_error")


@pytest.mark.parametrize("header", [{}, {"Transfer-Encoding": "chunked"}])
async def test_a_body_is_counted_whatever_its_header_says(header: dict[str, str], client: httpx.AsyncClient) -> None:
    async def chunks(total: int) -> AsyncIterator[bytes]:
        for _ in range(total // 1024):
            yield b"x" * 1024

    async def send(total: int) -> httpx.Response:
        content = chunks(total) if header else b"x" * total
        return await client.post("/read", content=content, headers=header)

    assert (await send(MAX_BODY_BYTES)).json() == {"length": MAX_BODY_BYTES}
    assert_problem(await send(MAX_BODY_BYTES + 1024), 413, "body_too_large")


async def test_headers_and_addresses_are_bounded(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/", headers={"X-Long": "x" * 20_000}), 431, "headers_too_large")
    assert_problem(await client.get("/" + "x" * 3000), 414, "uri_too_long")
    assert_problem(await client.get("/?" + "x" * 9000), 414, "uri_too_long")
    assert (await client.get("/?" + "x" * 8000)).status_code == 200


@pytest.mark.parametrize("path", ["/%00", "/a%0Ab", "/%1B", "/%7F"])
async def test_control_characters_are_in_no_address(path: str, client: httpx.AsyncClient) -> None:
    assert_problem(await client.get(path), 404, "route_not_found")


async def test_head_is_get_without_its_body(client: httpx.AsyncClient) -> None:
    answer = await client.head("/own")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (answer.headers["x-method"], answer.headers["content-length"]) == ("GET", "100")


PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "if-match,authorization"}


async def test_browsers_of_configured_origins_may_call() -> None:
    async with client_of(server=ServerSettings(cors_origins=["https://friend.example"])) as client:
        friend, stranger = {"Origin": "https://friend.example"}, {"Origin": "https://stranger.example"}
        allowed = await client.options("/", headers=friend | PREFLIGHT)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://friend.example")
        assert (await client.options("/", headers=stranger | PREFLIGHT)).status_code == 400
        assert "access-control-allow-origin" not in (await client.get("/", headers=stranger)).headers
        failed = await client.get("/bug", headers=friend)
        assert failed.headers["access-control-allow-origin"] == "https://friend.example"
        assert "ETag" in failed.headers["access-control-expose-headers"]


async def test_without_configured_origins_no_browser_may(client: httpx.AsyncClient) -> None:
    answer = await client.options("/", headers={"Origin": "https://friend.example"} | PREFLIGHT)
    assert "access-control-allow-origin" not in answer.headers


async def test_only_configured_hosts_are_served() -> None:
    async with client_of(server=ServerSettings(allowed_hosts=["example.org", "*.example.net"])) as client:
        statuses = {"example.org": 200, "EXAMPLE.org:8000": 200, "a.example.net": 200, "example.net": 400, "evil.org": 400, "": 400}
        for host, status in statuses.items():
            answer = await client.get("/", headers={"Host": host})
            assert answer.status_code == status, host
        assert_problem(await client.get("/", headers={"Host": "evil.org"}), 400, "bad_request")


def address(peer: str, forwarded: str, *trusted: str) -> str:
    """Return the client's address behind trusted networks."""
    scope = {"client": (peer, 1), "headers": [(b"x-forwarded-for", forwarded.encode())] if forwarded else []}
    return client_address(scope, ServerSettings(trusted_proxies=",".join(trusted)).trusted_proxies)


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", (), "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", ("10.0.0.0/8",), "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", "", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", "nonsense", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, nonsense", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, unknown, 10.0.0.2", ("10.0.0.0/8",), "10.0.0.2"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1:51234", ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", '6.6.6.6, "[2001:db8::1]:443"', ("10.0.0.0/8",), "2001:db8::1"),
        ("10.0.0.1", "6.6.6.6,, [2001:db8::1]", ("10.0.0.0/8",), "2001:db8::1"),
        ("::1", "2001:db8::1", ("::1/128",), "2001:db8::1"),
        ("2001:db8::5", "2001:db8::1", ("::1/128",), "2001:db8::5"),
    ],
)
def test_forwarded_addresses_are_believed_from_trusted_proxies_only(
    peer: str, forwarded: str, trusted: tuple[str, ...], expected: str
) -> None:
    assert address(peer, forwarded, *trusted) == expected
