"""Passwords: what is accepted, and Argon2id off the event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
import os
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from fastapi_application.accounts.models import NO_PASSWORD
from fastapi_application.core.errors import FieldError, ServiceUnavailableError, ValidationFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

HASHING_THREADS = 2
MAX_WAITING = 64
QUEUE_TIMEOUT_S = 5.0
MIN_LENGTH = 8
MAX_LENGTH = 128
NICENESS = 10
_COMMON = Path(__file__).with_name("common_passwords.txt")


def _yield_to_requests() -> None:
    """Let the event loop's thread run first. Linux counts niceness by thread; elsewhere it is left as it is."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


# OWASP's minimum for Argon2id: 19 MiB, two passes, one lane.
_helper = PasswordHelper(PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),)))
_pool = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="argon2", initializer=_yield_to_requests)
_waiting = 0
# Verified against when nobody has the address, so that a wrong address costs what a wrong password does.
_DUMMY_HASH = _helper.hash(_helper.generate())


def check_length(password: str, pointer: str = "/body/password") -> None:
    """Refuse a password that is too short or too long.

    Raises:
        ValidationFailedError: names the field.

    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        _refuse("invalid_password", f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.", pointer)


def check_new_password(password: str, email: str) -> None:
    """Refuse a password that an attacker would try first.

    Raises:
        ValidationFailedError: names the field.

    """
    check_length(password)
    folded = password.casefold()
    if folded in {email.casefold(), email.casefold().partition("@")[0]}:
        _refuse("invalid_password", "A password must not be the address.")
    if folded in _common_passwords():
        _refuse("common_password", "This password is one of the commonest; choose another one.")


def _refuse(code: str, detail: str, pointer: str = "/body/password") -> None:
    raise ValidationFailedError(detail, errors=[FieldError(pointer, code, detail)])


@cache
def _common_passwords() -> frozenset[str]:
    return frozenset(_COMMON.read_text().split("\n"))


async def hash_password(password: str) -> str:
    """Hash a password for storage.

    Raises:
        ServiceUnavailableError: too many logins are waiting.

    """
    return await _run(lambda: _helper.hash(_normalised(password)))


async def verify_password(password: str, hashed: str | None) -> bool:
    """Whether the password belongs to the hash; None, for an unknown account, and what is no hash cost the same.

    Raises:
        ServiceUnavailableError: too many logins are waiting.

    """
    known = hashed if hashed is not None and not hashed.startswith(NO_PASSWORD) else None
    matches, _ = await _run(lambda: _helper.verify_and_update(_normalised(password), known or _DUMMY_HASH))
    return matches and known is not None


def _normalised(password: str) -> str:
    """Keyboards differ in how they compose a letter; the password is the same."""
    return unicodedata.normalize("NFC", password)


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
