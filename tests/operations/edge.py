"""An application of our own behind the real edge."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from fastapi_application.core.config import Settings
from fastapi_application.middleware import wrap_in_edge

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Slow:
    """Answers when it is told to, and counts how many are at work."""

    def __init__(self) -> None:
        """Begin closed."""
        self.open = asyncio.Event()
        self.at_work = self.most_at_work = self.finished = self.cancelled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] != "/quick" and not scope["path"].startswith("/api/v1/health"):
            await self._work(scope, receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def _work(self, scope: Scope, receive: Receive) -> None:
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await self.open.wait()
            self.finished += 1
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_work -= 1


POST: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/slow",
    "raw_path": b"/slow",
    "query_string": b"",
    "headers": [(b"host", b"test")],
    "client": ("127.0.0.1", 1),
    "scheme": "http",
}


def edge_around(app: ASGIApp, **server: Any) -> ASGIApp:
    """Put the edge around an application, with these settings of the server."""
    return wrap_in_edge(app, Settings.model_validate({"server": server, "rate_limit": {"enabled": False}, "cache": {"enabled": False}}))


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    """Return a client of an application."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=60)


def behind_the_edge(app: ASGIApp, **server: Any) -> httpx.AsyncClient:
    """Return a client of an application behind the edge."""
    return client_of(edge_around(app, **server))


async def until(condition: Any) -> None:
    """Wait for a condition; the test's own time-out ends a wait that is in vain."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.005)
