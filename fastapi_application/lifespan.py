"""Opens and closes what the process holds. It starts without its servers: connections are made when needed."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
from fastapi_cache import FastAPICache

from fastapi_application.api.health import HealthService
from fastapi_application.core.db import AUTOCOMMIT_READS, create_engine, create_session_factory
from fastapi_application.core.gate import adapting
from fastapi_application.core.line_buffer import access_lines
from fastapi_application.core.replica import Replica
from fastapi_application.core.sampler import sampling
from fastapi_application.core.schema_version import SchemaVersions
from fastapi_application.core.storage import open_storage
from fastapi_application.core.tracing import close_tracing, trace_engine
from fastapi_application.core.version import VERSION
from fastapi_application.crud.cache_outbox import PUBLISHER, CachePublisher
from fastapi_application.encyclopedia.images.decoding import Decoder
from fastapi_application.encyclopedia.images.files import ImageFiles
from fastapi_application.encyclopedia.images.uploads import UploadPlaces
from fastapi_application.jobs.outbox import WAKE_UP
from fastapi_application.jobs.wake_up import wake_ups
from fastapi_application.redis_conf.cache_backend import OrjsonCoder, build_key
from fastapi_application.redis_conf.redis import create_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI
    from sqlalchemy.ext.asyncio import AsyncEngine

    from fastapi_application.core.config import Settings
    from fastapi_application.redis_conf.read_path import ReadPath

SERVICE_CONNECTIONS = 2
PATIENCE_S = 1.0
GC_THRESHOLDS = (50_000, 20, 50)
# The applications of this process, the one that `@cache` serves last.
_open: list[tuple[ReadPath, Settings]] = []
_logger = structlog.get_logger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the engine and Redis; close them in reverse order."""
    settings: Settings = app.state.settings
    read_path: ReadPath = app.state.read_path
    engine = create_engine(settings.db)
    # Few connections of their own: neither probes nor the outbox wait for a pool that requests have filled.
    # What the outbox deletes twice, or not at all, is only published twice.
    service_engine = create_engine(settings.db, pool_size=SERVICE_CONNECTIONS, isolation_level="AUTOCOMMIT", durable=False)
    publisher = CachePublisher(service_engine, read_path.generations)
    replica = _replica_of(settings, service_engine)
    redis = create_redis(settings.redis)
    trace_engine(engine)
    app.state.engine = engine
    app.state.session_factory = create_session_factory(engine)
    app.state.redis = redis
    app.state.publisher = publisher
    app.state.replica = replica
    app.state.health = HealthService(service_engine, redis, SchemaVersions.load(), replica)
    await read_path.link.start(PATIENCE_S)
    publisher.start()
    _open.append((read_path, settings))
    _register_cache()
    _freeze_heap()
    await _logger.ainfo("started", version=VERSION, mode=settings.app.mode)
    try:
        async with (
            adapting(app.state.gate),
            sampling(engine, app.state.gate, app.state.health.answering),
            wake_ups(settings) as alarm,
            open_storage(settings) as storage,
        ):
            app.state.image_files = ImageFiles(storage, Decoder())
            app.state.upload_places = UploadPlaces()
            app.state.session_factory.configure(info={**_session_info(settings, publisher), WAKE_UP: alarm.ask})
            yield
    finally:
        _open.remove((read_path, settings))
        _register_cache()
        await publisher.stop()
        await read_path.link.stop()
        await redis.aclose()
        if replica is not None:
            await replica.stop()
        await service_engine.dispose()
        await engine.dispose()
        await asyncio.to_thread(close_tracing)
        await _logger.ainfo("stopped")
        if (lines := access_lines()) is not None:
            lines.flush()


def _replica_of(settings: Settings, primary: AsyncEngine) -> Replica | None:
    """Begin to watch the replica, if there is one."""
    found = settings.db.of_replica()
    if found is None:
        return None
    replica = Replica(found, primary)
    trace_engine(replica.engine)
    replica.start()
    return replica


def _session_info(settings: Settings, publisher: CachePublisher) -> dict[str, Any]:
    """Return what every session of the process carries."""
    return {PUBLISHER: publisher, **({} if settings.db.pgbouncer else {AUTOCOMMIT_READS: True})}


def _register_cache() -> None:
    """Let `@cache` keep its values in the Redis level."""
    FastAPICache.reset()
    if _open:
        read_path, settings = _open[-1]
        prefix = f"{read_path.entry_prefix.decode()}call"
        FastAPICache.init(read_path.level, prefix, settings.cache.ttl_s, OrjsonCoder, build_key, enable=settings.cache.enabled)


def _freeze_heap() -> None:
    """Keep what start-up has made out of garbage collection: walking it each time costs readers tens of milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
