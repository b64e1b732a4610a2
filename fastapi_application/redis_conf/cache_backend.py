"""The Redis level: fastapi-cache2's backend over our link, with a checksum and with tags in place of purges."""

from __future__ import annotations

import inspect
import zlib
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from fastapi_cache import Coder
from fastapi_cache.types import Backend

from fastapi_application.redis_conf.generations import Generations, Moment
from fastapi_application.redis_conf.link import RedisAwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEFAULT_TTL_S = 3600
MAX_VALUE_BYTES = 512 * 1024
_PLAIN = (str, int, bool, UUID, Enum, type(None))
# The clock as it was before each value was computed: `@cache` asks first, then computes, then stores, all in one task.
_asked_at: ContextVar[dict[str, Moment]] = ContextVar("cache_asked_at", default={})  # noqa: B039 - never changed, only replaced


def wrap(moment: Moment, tag_keys: Iterable[bytes], value: bytes) -> bytes:
    """Put a value under the clock: epoch, stamp and tags in the first line, where scripts read them, then a checksum."""
    head = b" ".join((moment.epoch, b"%d" % moment.clock, *tag_keys))
    return b"%b\n%08x%b" % (head, zlib.crc32(value, zlib.crc32(head)), value)


def unwrap(entry: bytes) -> tuple[Moment, tuple[bytes, ...], bytes] | None:
    """Return what `wrap` was given; None for what is not whole."""
    head, _, rest = entry.partition(b"\n")
    try:
        checksum, value = int(rest[:8], 16), rest[8:]
        epoch, stamp, *tag_keys = head.split(b" ")
        moment = Moment(epoch, int(stamp))
    except ValueError:
        return None
    return (moment, tuple(tag_keys), value) if zlib.crc32(value, zlib.crc32(head)) == checksum else None


class RedisLevel(Backend):
    """What `FastAPICache` is initialised with. An entry that is not whole, or that a write has overtaken, is not there."""

    def __init__(self, generations: Generations) -> None:
        """Keep entries under this clock."""
        self.generations = generations

    async def get_with_ttl(self, key: str) -> tuple[int, bytes | None]:
        """Return the remaining life in seconds and the value; raises `RedisAwayError`, which `@cache` takes for a miss."""
        moment, ttl, entry = await self.generations.look(key.encode())
        found = unwrap(entry) if entry is not None else None
        if found is None:
            _asked_at.set({**_asked_at.get(), key: moment})
            return 0, None
        return ttl, found[2]

    async def get(self, key: str) -> bytes | None:
        """Return the value."""
        return (await self.get_with_ttl(key))[1]

    async def set(self, key: str, value: bytes, expire: int | None = None) -> None:
        """Keep a value that was computed after this task's `get`; without one it cannot be placed on the clock."""
        moment = _asked_at.get().get(key)
        if moment is None:
            raise RedisAwayError
        _asked_at.set({asked: at for asked, at in _asked_at.get().items() if asked != key})
        tags = self.generations.tag_keys([_namespace_tag(key)])
        self.put(key.encode(), wrap(moment, tags, value), tags, expire or DEFAULT_TTL_S)

    def put(self, key: bytes, entry: bytes, tag_keys: tuple[bytes, ...], ttl_s: int) -> None:
        """Send an entry on its way; nobody waits for it. One that is too large only has its tags put on the clock."""
        if len(entry) > MAX_VALUE_BYTES:
            key = entry = b""
        self.generations.keep(tag_keys, key, entry, ttl_s)

    async def clear(self, namespace: str | None = None, key: str | None = None) -> int:
        """Forget a namespace (without looking for its keys), or one key."""
        if namespace:
            await self.generations.advance([_namespace_tag(f"{namespace}:")])
            return 1
        return int(await self.generations.link.command("DEL", key)) if key else 0


def _namespace_tag(key: str) -> str:
    """Name the tag of a namespace: what stands before the last colon of a key."""
    return f"cache:{key.rpartition(':')[0]}"


class OrjsonCoder(Coder):
    """JSON as it is: no member of a value has a meaning of its own, and nothing is ever unpickled."""

    @classmethod
    def encode(cls, value: Any) -> bytes:
        """Return the bytes to keep."""
        return orjson.dumps(value)

    @classmethod
    def decode(cls, value: bytes) -> Any:
        """Return the value."""
        return orjson.loads(value)


def build_key(
    function: Callable[..., Any], namespace: str = "", *, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, **_: Any
) -> str:
    """Return the key of a call: its function and its plain arguments. What is injected has no place in a key.

    Raises:
        TypeError: an argument has no text that means the same in every process.

    """
    bound = inspect.signature(function).bind(*args, **(kwargs or {})).arguments
    odd = [name for name, value in bound.items() if not isinstance(value, _PLAIN)]
    if odd:
        message = f"{function.__qualname__}: {', '.join(odd)} cannot be part of a cache key"
        raise TypeError(message)
    words = "&".join(f"{name}={value!s}".replace("%", "%25").replace(":", "%3A").replace("&", "%26") for name, value in bound.items())
    return f"{namespace}:{function.__module__}.{function.__qualname__}({words})"
