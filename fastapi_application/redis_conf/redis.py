"""The Redis client: short time-outs, no retries. Redis is an accelerator; nobody waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

if TYPE_CHECKING:
    from fastapi_application.core.config import RedisSettings

MAX_CONNECTIONS = 16
POOL_TIMEOUT_S = 0.15
CONNECT_TIMEOUT_S = 0.5
COMMAND_TIMEOUT_S = 0.25


def create_redis(settings: RedisSettings) -> Redis:
    """Create the client. Nothing connects yet."""
    pool = BlockingConnectionPool.from_url(
        **connection_arguments(settings),
        max_connections=MAX_CONNECTIONS,
        timeout=POOL_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=COMMAND_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)  # closes the pool with itself; `Redis(connection_pool=…)` leaves it open


def connection_arguments(settings: RedisSettings) -> dict[str, Any]:
    """Where the server is, as a connection pool's `from_url` takes it."""
    password = settings.password.get_secret_value()
    url = settings.url.get_secret_value() if settings.url else f"redis://{settings.host or 'localhost'}:{settings.port}/{settings.db}"
    return {"url": url, **({"password": password} if password else {})}
