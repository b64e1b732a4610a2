"""The access log: one line for each answer, with the id of its request, and nothing that must stay secret."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from structlog.testing import LogCapture

from fastapi_application.core.config import Settings
from fastapi_application.core.logging_config import _add_request_id
from fastapi_application.middleware import access_log, last_resort, wrap_in_edge
from tests.support.log_capture import captured_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from starlette.types import Message, Receive, Scope, Send

    from tests.support.application import Application

SECRETS = {
    "query": "/api/v1/tags/nothing?access_token=hidden-query",
    "header": "hidden-header",
    "cookie": "hidden-cookie",
    "body": "hidden-body",
}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """Return the lines of the access log."""
    return captured_lines(monkeypatch, access_log, _add_request_id)


def answers(lines: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    """Return the lines of answers: those of requests are for debugging."""
    return [line for line in lines if line["event"] == "response"]


async def test_a_line_for_the_request_and_one_for_its_answer(lines: list[MutableMapping[str, Any]], anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/api/v1/health/live", headers={"X-Request-ID": "line-1"})
    request, response = lines
    assert (request["event"], request["log_level"], request["request_id"]) == ("request", "debug", "line-1")
    assert (response["event"], response["log_level"], response["request_id"]) == ("response", "info", "line-1")
    assert (response["method"], response["path"], response["status"]) == ("GET", "/api/v1/health/live", 200)
    assert response["bytes"] == len(answer.content)
    assert response["duration_ms"] >= 0
    assert response["client"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("HEAD", "/api/v1/health/live", 200),
        ("DELETE", "/api/v1/aircraft", 405),
        ("POST", "/api/v1/tags", 401),
        ("GET", "/%00", 404),
        ("GET", "/" + "a" * 5000, 414),
    ],
)
async def test_refusals_are_logged_too(
    method: str, path: str, status: int, lines: list[MutableMapping[str, Any]], anonymous: httpx.AsyncClient
) -> None:
    answer = await anonymous.request(method, path)
    (line,) = answers(lines)
    assert (answer.status_code, line["status"], line["method"]) == (status, status, method)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert len(line["path"]) <= 2048


async def test_neither_query_nor_header_nor_body_is_logged(lines: list[MutableMapping[str, Any]], anonymous: httpx.AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {SECRETS['header']}", "Cookie": SECRETS["cookie"]}
    await anonymous.post(SECRETS["query"], headers=headers, content=SECRETS["body"])
    await anonymous.post("/api/v1/auth/login", data={"username": "hidden-name", "password": "hidden-password"})
    assert len(answers(lines)) == 2
    assert "hidden" not in repr(lines)


async def test_concurrent_lines_have_the_ids_of_their_requests(lines: list[MutableMapping[str, Any]], anonymous: httpx.AsyncClient) -> None:
    ids = [f"concurrent-{index}" for index in range(30)]
    await asyncio.gather(*(anonymous.get(f"/api/v1/tags/{item}", headers={"X-Request-ID": item}) for item in ids))
    found = {line["request_id"]: line["path"] for line in answers(lines)}
    assert found == {item: f"/api/v1/tags/{item}" for item in ids}


async def test_the_client_behind_a_trusted_proxy_is_logged(lines: list[MutableMapping[str, Any]], application: Application) -> None:
    settings = Settings(server={"trusted_proxies": "127.0.0.0/8"})
    edge = wrap_in_edge(application.fastapi, settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://test") as client:
        await client.get("/api/v1/health/live", headers={"X-Forwarded-For": "6.6.6.6, 198.51.100.7"})
    assert answers(lines)[0]["client"] == "198.51.100.7"


async def test_a_client_that_went_away_is_a_499(lines: list[MutableMapping[str, Any]]) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": [], "client": None}
    await wrap_in_edge(silent, Settings())(scope, receive, send)
    (line,) = answers(lines)
    assert (line["status"], line["bytes"], line["client"]) == (499, 0, "unknown")


async def test_a_client_that_goes_away_while_it_sends_is_no_bug(
    lines: list[MutableMapping[str, Any]], application: Application, editor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    bugs = captured_lines(monkeypatch, last_resort)
    messages: Iterator[Message] = iter([{"type": "http.request", "body": b'{"name":', "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    headers = [(b"authorization", editor.headers["authorization"].encode()), (b"content-type", b"application/json"), (b"host", b"test")]
    path = "/api/v1/tags"
    scope: Scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers}
    await application.transport.app(scope, receive, send)
    assert [line["status"] for line in answers(lines)] == [499]
    assert bugs == []


def test_the_capture_is_fed_by_real_processors() -> None:
    """A line outside of any request has no id: the ids above come from the requests."""
    assert "request_id" not in _add_request_id(None, "info", {"event": "x"})
    assert LogCapture().entries == []
