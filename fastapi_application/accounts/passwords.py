"""Password hashing: Argon2id, off the event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from fastapi_application.core.errors import ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

HASHING_THREADS = 2
MAX_WAITING = 64
QUEUE_TIMEOUT_S = 5.0
MIN_LENGTH = 8
MAX_LENGTH = 128

# OWASP's minimum for Argon2id: 19 MiB, two passes, one lane.
_helper = PasswordHelper(PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),)))
_pool = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="argon2")
_waiting = 0
# Verified against when nobody has the address, so that a wrong address costs what a wrong password does.
_DUMMY_HASH = _helper.hash(_helper.generate())


async def hash_password(password: str) -> str:
    """Hash a password for storage.

    Raises:
        ServiceUnavailableError: too many logins are waiting.

    """
    return await _run(lambda: _helper.hash(password))


async def verify_password(password: str, hashed: str | None) -> bool:
    """Whether the password belongs to the hash; None stands for an unknown account and costs the same.

    Raises:
        ServiceUnavailableError: too many logins are waiting.

    """
    matches, _ = await _run(lambda: _helper.verify_and_update(password, hashed or _DUMMY_HASH))
    return matches and hashed is not None


async def _run[T](work: Callable[[], T]) -> T:
    global _waiting  # noqa: PLW0603 - one queue per process, like the pool
    if _waiting >= MAX_WAITING:
        raise ServiceUnavailableError
    _waiting += 1
    try:
        async with asyncio.timeout(QUEUE_TIMEOUT_S):
            return await asyncio.get_running_loop().run_in_executor(_pool, work)
    except TimeoutError:
        raise ServiceUnavailableError from None
    finally:
        _waiting -= 1
