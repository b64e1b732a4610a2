"""Redis: reachable, new enough, evicting what may be evicted, and on time."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_application.doctor.findings import Finding, failed, passed, warned
from fastapi_application.doctor.postgres import clock
from fastapi_application.redis_conf.redis import connection_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi_application.core.config import Settings

NAME = "redis"
OLDEST = {"redis": (7, 4), "valkey": (8, 0)}
POLICY = "volatile-lru"
_TIMEOUT_S = 3.0


async def check_redis(settings: Settings) -> list[Finding]:
    """Connect, look around, and write and remove a key."""
    client = Redis.from_url(**connection_arguments(settings.redis), socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
    try:
        info: dict[str, Any] = await client.info()
        before = time.time()
        seconds, microseconds = await client.time()
        local = (before + time.time()) / 2
        found = [*_server(info), *_memory(info), clock(f"{NAME} clock", seconds + microseconds / 1e6, local)]
        await _probe(client)
    except (RedisError, OSError) as error:
        return [
            failed(NAME, f"not reached: {str(error) or type(error).__name__}", "check REDIS__*; until then every read asks the database")
        ]
    finally:
        await client.aclose()
    return found


async def _probe(client: Redis) -> None:
    key = f"frankenjet:doctor:{secrets.token_hex(8)}"
    await client.set(key, 1, ex=10)
    await client.delete(key)


def _server(info: dict[str, Any]) -> Iterator[Finding]:
    kind = "valkey" if "valkey_version" in info else "redis"
    version = str(info.get(f"{kind}_version", "0.0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST[kind]:
        yield failed(NAME, f"{kind} {version}", f"upgrade to {kind} {'.'.join(map(str, OLDEST[kind]))} or newer")
    else:
        yield passed(NAME, f"{kind} {version}")
    if info.get("redis_mode") == "sentinel":
        yield failed(NAME, "a Sentinel, which keeps nothing itself", "point REDIS__* at what follows the primary, such as a TCP proxy")
        return
    if info.get("cluster_enabled"):
        yield failed(
            NAME, "a cluster: one script may not touch keys of several of its nodes", "use one primary with a replica for its failover"
        )
    if info.get("role") not in {"master", None}:
        yield failed(NAME, "a replica, which takes no writes", "point REDIS__* at the primary")
    if info.get("loading"):
        yield warned(NAME, "still loads its data", "wait")


def _memory(info: dict[str, Any]) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", POLICY)
    if policy != POLICY:
        yield warned(f"{NAME} memory", f"maxmemory-policy is {policy}", f"set {POLICY}: what has no expiry must stay")
    if info.get("maxmemory") == 0:
        yield warned(f"{NAME} memory", "has no limit", "set maxmemory, for example 256mb")
    elif policy == POLICY:
        yield passed(f"{NAME} memory", f"{info.get('used_memory_human', '?')} used, {POLICY}")
