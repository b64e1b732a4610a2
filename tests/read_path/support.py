"""Applications with settings of a test's own, and a view of what their read cache does."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from asgi_lifespan import LifespanManager

from fastapi_application.core.config import get_settings
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.middleware import wrap_in_edge
from fastapi_application.middleware.rate_limit import RateLimitMiddleware
from tests.support.application import Application

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fastapi_application.middleware.hit_lane import HitLane
    from fastapi_application.middleware.read_cache import ReadCache
    from fastapi_application.redis_conf.link import RedisLink

API = "/api/v1"
PATIENCE_S = 30
"""For what happens by itself, on a busy machine; normally under a second."""


@dataclass
class Started(Application):
    """An application of a test's own."""

    cache: ReadCache
    edge: HitLane

    @property
    def link(self) -> RedisLink:
        """The link to Redis."""
        link: RedisLink = self.fastapi.state.read_path.link
        return link


@asynccontextmanager
async def started(**changes: Any) -> AsyncIterator[Started]:
    """Start an application on the settings of this run with some groups of them replaced."""
    app = create_fastapi_app(get_settings().model_copy(update=changes))
    edge: Any = wrap_in_edge(app, app.state.settings)
    layer = edge
    while not isinstance(layer, RateLimitMiddleware):
        layer = layer.app
    async with LifespanManager(edge) as manager:
        yield Started(app, httpx.ASGITransport(manager.app, raise_app_exceptions=False), layer.cache, edge)


def status_of(answer: httpx.Response) -> str:
    """Return what the cache says that it did."""
    return answer.headers["cache-status"].removeprefix("frankenjet; ")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens by itself."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


async def eventually(attempt: Callable[[], Awaitable[httpx.Response]], accept: Callable[[httpx.Response], bool]) -> httpx.Response:
    """Ask until the answer is as expected."""
    deadline = time.monotonic() + PATIENCE_S
    while not accept(answer := await attempt()):
        assert time.monotonic() < deadline, (answer.status_code, answer.headers, answer.text[:500])
        await asyncio.sleep(0.02)
    return answer
