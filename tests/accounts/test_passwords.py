"""Password hashing: slow on purpose, so never on the event loop, and never more of it than the machine can bear."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from fastapi_application.accounts import passwords
from fastapi_application.accounts.passwords import HASHING_THREADS, hash_password, verify_password
from fastapi_application.core.errors import ServiceUnavailableError
from tests.support.application import PASSWORD, assert_problem, body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx

LOGIN = "/api/v1/auth/login"
FORM = {"username": "nobody@example.org", "password": PASSWORD}


class SlowHelper:
    """Hashes until it is told that it is done."""

    def __init__(self) -> None:
        """Hold every hash back."""
        self.done = threading.Event()
        self.threads: list[int] = []

    def verify_and_update(self, _password: str, _hashed: str) -> tuple[bool, None]:
        """Compare, in the time of a test."""
        self.threads.append(threading.get_ident())
        self.done.wait(10)
        return False, None


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SlowHelper]:
    """Make hashing take as long as the test wants."""
    helper = SlowHelper()
    monkeypatch.setattr(passwords, "_helper", helper)
    yield helper
    helper.done.set()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that no event tells of."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - threads and a counter, not tasks
            await asyncio.sleep(0.005)


async def until_hashing(helper: SlowHelper, count: int) -> None:
    """Wait until so many threads hash."""
    await until(lambda: len(helper.threads) >= count)


async def test_a_hash_is_argon2id_with_a_salt_and_verifies_only_its_password() -> None:
    one, two = await hash_password(PASSWORD), await hash_password(PASSWORD)
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != two
    assert await verify_password(PASSWORD, one)
    assert not await verify_password(PASSWORD + "x", one)
    assert not await verify_password("", one)


@pytest.mark.parametrize("password", ["пароль с пробелами", "a\0b", "x" * 1024, "\U0001f6e9"])
async def test_any_text_can_be_a_password(password: str) -> None:
    hashed = await hash_password(password)
    assert await verify_password(password, hashed)
    assert not await verify_password(password[:-1], hashed)


async def test_nobodys_password_is_never_right() -> None:
    assert not await verify_password(PASSWORD, None)


async def test_the_event_loop_goes_on_while_passwords_are_hashed(slow: SlowHelper, anonymous: httpx.AsyncClient) -> None:
    logins = [asyncio.create_task(anonymous.post(LOGIN, data=FORM)) for _ in range(HASHING_THREADS + 3)]
    await until_hashing(slow, HASHING_THREADS)
    # Were the hash on the loop, this would come only when it is over.
    assert (await anonymous.get("/api/v1/health/live")).status_code == 200
    body(await anonymous.get("/api/v1/tags"))
    assert not any(login.done() for login in logins)
    assert len(slow.threads) == HASHING_THREADS  # no more at a time
    assert threading.get_ident() not in slow.threads
    slow.done.set()
    for answer in await asyncio.gather(*logins):
        assert_problem(answer, 400, "invalid_credentials")


async def test_logins_beyond_the_queue_are_503_at_once_and_the_queue_recovers(
    slow: SlowHelper, anonymous: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", HASHING_THREADS + 1)
    waiting = [asyncio.create_task(anonymous.post(LOGIN, data=FORM)) for _ in range(HASHING_THREADS + 1)]
    await until_hashing(slow, HASHING_THREADS)
    await until(lambda: passwords._waiting == HASHING_THREADS + 1)  # noqa: SLF001 - the last one only queues
    refused = await anonymous.post(LOGIN, data=FORM)
    assert_problem(refused, 503, "overloaded")
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["cache-control"] == "no-store"
    slow.done.set()
    for answer in await asyncio.gather(*waiting):
        assert_problem(answer, 400, "invalid_credentials")
    assert_problem(await anonymous.post(LOGIN, data=FORM), 400, "invalid_credentials")


async def test_who_waits_too_long_gets_503(slow: SlowHelper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "QUEUE_TIMEOUT_S", 0.05)
    before = passwords._waiting  # noqa: SLF001
    with pytest.raises(ServiceUnavailableError):
        await verify_password(PASSWORD, None)
    assert passwords._waiting == before  # noqa: SLF001


async def test_a_client_that_goes_away_leaves_the_queue(slow: SlowHelper) -> None:
    before = passwords._waiting  # noqa: SLF001
    task = asyncio.create_task(verify_password(PASSWORD, None))
    await until_hashing(slow, 1)
    assert passwords._waiting == before + 1  # noqa: SLF001
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert passwords._waiting == before  # noqa: SLF001
