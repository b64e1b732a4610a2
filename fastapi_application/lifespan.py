"""Opens and closes what the process holds. It starts without its servers: connections are made when needed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from fastapi_application.api.health import HealthService
from fastapi_application.core.db import create_engine, create_session_factory
from fastapi_application.core.gate import adapting
from fastapi_application.core.sampler import sampling
from fastapi_application.core.schema_version import SchemaVersions
from fastapi_application.core.tracing import close_tracing, trace_engine
from fastapi_application.core.version import VERSION
from fastapi_application.jobs.outbox import WAKE_UP
from fastapi_application.jobs.wake_up import wake_ups
from fastapi_application.redis_conf.redis import create_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

    from fastapi_application.core.config import Settings

_logger = structlog.get_logger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the engine and Redis; close them in reverse order."""
    settings: Settings = app.state.settings
    engine = create_engine(settings.db)
    redis = create_redis(settings.redis)
    trace_engine(engine)
    app.state.engine = engine
    app.state.session_factory = create_session_factory(engine)
    app.state.redis = redis
    app.state.health = HealthService(engine, redis, SchemaVersions.load())
    await _logger.ainfo("started", version=VERSION, mode=settings.app.mode)
    try:
        async with (
            adapting(app.state.gate),
            sampling(engine, app.state.gate, app.state.health.answering),
            wake_ups(settings) as alarm,
        ):
            app.state.session_factory.configure(info={WAKE_UP: alarm.ask})
            yield
    finally:
        await redis.aclose()
        await engine.dispose()
        await asyncio.to_thread(close_tracing)
        await _logger.ainfo("stopped")
