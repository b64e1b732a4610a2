"""What one process needs of Redis: made from the settings, opened and closed by the lifespan."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fastapi_application.redis_conf.cache_backend import RedisLevel
from fastapi_application.redis_conf.generations import Generations
from fastapi_application.redis_conf.limiter import Limiter
from fastapi_application.redis_conf.link import RedisLink

if TYPE_CHECKING:
    from fastapi_application.core.config import Settings

_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def release() -> str:
    """Return a fingerprint of this code: another version may render the same row otherwise, and must not serve its bytes."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class ReadPath:
    """The link and what stands on it."""

    link: RedisLink
    generations: Generations
    level: RedisLevel
    limiter: Limiter
    entry_prefix: bytes

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make it; nothing connects yet."""
        link = RedisLink(settings.redis)
        database = settings.db.sqlalchemy_url().database or ""
        generations = Generations(link, database, settings.cache.ttl_s)
        limiter = Limiter(link, database, settings.rate_limit.quotas, enabled=settings.rate_limit.enabled, workers=settings.server.workers)
        return cls(link, generations, RedisLevel(generations), limiter, f"{generations.prefix}page:{release()}:".encode())
