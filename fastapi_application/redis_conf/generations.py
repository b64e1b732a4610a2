"""What orders reads and writes: one clock in Redis, an epoch, and the clock of the last write that touched each tag.

A tag is `<kind>:<id>` for an entity as others show it, `<kind>:<id>+` for what its own page lists of others, `<kind>`
and `<kind>+` for any of a kind. `*` as a tag of a write means everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import structlog

from fastapi_application.core import metrics
from fastapi_application.redis_conf.link import RedisLink, Script

if TYPE_CHECKING:
    from collections.abc import Iterable

EVERYTHING = "*"
_ADVANCE = Script("gcra", "generations", "advance")
_ADOPT = Script("gcra", "generations", "adopt")
_KEEP = Script("gcra", "generations", "keep")
_LOOK = Script("gcra", "generations", "look")
_DAY_S = 86_400
_logger = structlog.get_logger(__name__)


class Moment(NamedTuple):
    """A point of the clock: what was read from the database after it may be kept under it."""

    epoch: bytes
    clock: int


class Generations:
    """The clock and the tags of one database."""

    def __init__(self, link: RedisLink, namespace: str, entry_ttl_s: int) -> None:
        """Name the keys.

        Args:
            link: the way to Redis.
            namespace: of the database; two databases may share a Redis.
            entry_ttl_s: life of what is kept under the tags, in seconds; tags live longer, only to spare misses.

        """
        self.link = link
        self.prefix = f"frankenjet:{namespace}:"
        self.clock_key = f"{self.prefix}clock".encode()
        self.epoch_key = f"{self.prefix}epoch".encode()
        self._run_id_key = f"{self.prefix}run-id".encode()
        self._tag_prefix = f"{self.prefix}tag:".encode()
        self.tag_life = str(max(_DAY_S, 2 * entry_ttl_s)).encode()
        link.when_mended(self._adopt)

    def tag_keys(self, tags: Iterable[str]) -> tuple[bytes, ...]:
        """Return the keys of tags."""
        return tuple(self._tag_prefix + tag.encode() for tag in sorted(tags))

    async def advance(self, tags: Iterable[str]) -> None:
        """Make everything that shows one of these tags older than the clock.

        Raises:
            RedisAwayError: it is not known whether that happened.

        """
        await self.advance_on(self.link, tags)

    async def advance_on(self, link: RedisLink, tags: Iterable[str]) -> None:
        """Advance the clock over a given link; see `advance`."""
        everything = EVERYTHING in (tags := set(tags))
        keys = () if everything else self.tag_keys(tags)
        metrics.cache_invalidated(len(tags))
        await link.run(_ADVANCE, (self.clock_key, self.epoch_key, *keys), (self.tag_life, int(everything)))

    def keep(self, tag_keys: tuple[bytes, ...], key: bytes = b"", entry: bytes = b"", ttl_s: int = 1) -> None:
        """Put tags on the clock, and an entry into the Redis level where there is one; nobody waits for it."""
        self.link.post(_KEEP, (self.clock_key, self.epoch_key, key, *tag_keys), (self.tag_life, entry, ttl_s))

    async def look(self, key: bytes) -> tuple[Moment, int, bytes | None]:
        """Return the clock, and the remaining life in seconds and the bytes of a current entry of the Redis level."""
        epoch_clock = await self.link.run(_LOOK, (self.clock_key, self.epoch_key, key), (self.tag_life,))
        clock, epoch, ttl, *entry = epoch_clock
        return Moment(epoch, int(clock)), ttl, entry[0] if entry else None

    async def _adopt(self, link: RedisLink) -> None:
        """Begin a new epoch if this is another server, or another life of it: it may hold older data."""
        server: bytes = await link.command("INFO", "server")
        run_id = next(line.partition(b":")[2].strip() for line in server.splitlines() if line.startswith((b"run_id:", b"server_run_id:")))
        if await link.run(_ADOPT, (self.clock_key, self.epoch_key, self._run_id_key), (run_id,)):
            _logger.info("cache_epoch_begun", reason="redis has another run id")
