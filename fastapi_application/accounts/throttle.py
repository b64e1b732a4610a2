"""Slows down guessing: after some wrong passwords each further one doubles the wait.

Failures count for the account and for the network that they come from. At a network that the account has signed in from
before, only failures for this account from there count: neither a stranger nor a neighbour can keep the owner out. A wait
is never longer than `AUTH__LOGIN_MAX_WAIT_S`, and asking again during it does not prolong it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import case, delete, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert

from fastapi_application.accounts.models import LoginFailure
from fastapi_application.core.config import get_settings
from fastapi_application.core.errors import LoginThrottledError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

NETWORK_FACTOR = 10
"""Many people share a network: it may fail that many times more often than an account before it waits."""
FORGOTTEN_AFTER = 4
"""Maximal waits of silence."""
FIRST_WAIT_S = 1.0
"""Seconds; each further failure doubles it."""
_MAX_DOUBLINGS = 30
_MAX_FAILURES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Counters:
    """What a login attempt counts for."""

    account: str
    network: str | None

    @classmethod
    def of(cls, address: str, network: str, *, is_known: bool) -> Counters:
        """Name the counters of an attempt for this account's address from this network.

        Where the account has signed in before, one counter of both is all: its owner does not wait for what
        neighbours do, and a neighbour who guesses is slowed down by it just the same.
        """
        if is_known:
            return cls(_key("account", f"{address}\n{network}"), None)
        return cls(_key("account", address), _key("network", network))


def _key(kind: str, value: str) -> str:
    return f"{kind}:{hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()}"


async def check(session: AsyncSession, counters: Counters, *, lock: bool = False) -> None:
    """Refuse an attempt that has to wait.

    Raises:
        LoginThrottledError: with the time to wait, in seconds.

    """
    statement = select(LoginFailure.blocked_until).where(LoginFailure.key.in_([key for key in (counters.account, counters.network) if key]))
    if lock:
        statement = statement.order_by(LoginFailure.key).with_for_update()
    times = [time for time in await session.scalars(statement) if time is not None]
    wait_s = (max(times) - datetime.now(UTC)).total_seconds() if times else 0
    if wait_s > 0:
        raise LoginThrottledError(math.ceil(wait_s))


async def count_failure(session: AsyncSession, counters: Counters) -> None:
    """Count a wrong password.

    Raises:
        LoginThrottledError: others were counted meanwhile, and this attempt would have had to wait: it learns nothing.

    """
    free = get_settings().auth.login_free_failures
    await count(session, counters.account, free)
    if counters.network is not None:
        await count(session, counters.network, min(free * NETWORK_FACTOR, _MAX_FAILURES))


async def count(session: AsyncSession, key: str, free: int) -> None:
    """Count one more; from the `free`th on, the next has to wait.

    Raises:
        LoginThrottledError: this one should have waited, and is not counted.

    """
    now = func.clock_timestamp()
    longest_s = get_settings().auth.login_max_wait_s
    is_over = LoginFailure.last_at < now - timedelta(seconds=longest_s * FORGOTTEN_AFTER)
    failures = case((is_over, 1), else_=LoginFailure.failures + 1)
    doublings = func.least(failures - free, _MAX_DOUBLINGS)
    wait_s = func.least(FIRST_WAIT_S * func.power(2.0, doublings), longest_s)
    until = case((failures >= free, now + func.make_interval(0, 0, 0, 0, 0, 0, wait_s)))
    first = now + timedelta(seconds=FIRST_WAIT_S) if free <= 1 else literal(None)
    statement = insert(LoginFailure).values(key=key, failures=1, last_at=now, blocked_until=first)
    statement = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={"failures": failures, "last_at": now, "blocked_until": until},
        where=or_(LoginFailure.blocked_until.is_(None), LoginFailure.blocked_until <= now),
    )
    if (await session.execute(statement.returning(LoginFailure.key))).one_or_none() is None:
        remaining = await session.scalar(select(LoginFailure.blocked_until).where(LoginFailure.key == key))
        wait = (remaining - datetime.now(UTC)).total_seconds() if remaining else 1
        raise LoginThrottledError(max(1, math.ceil(wait)))


async def tally(session: AsyncSession, name: str, *, only_if: bool = True) -> int:
    """Count one more of something that makes nobody wait, for about as long as failures are remembered; 0 if not counted."""
    now = func.clock_timestamp()
    first = select(literal(_key("tally", name)), literal(1), now).where(literal(only_if))
    statement = insert(LoginFailure).from_select(["key", "failures", "last_at"], first)
    statement = statement.on_conflict_do_update(
        index_elements=["key"], set_={"failures": func.least(LoginFailure.failures, _MAX_FAILURES - 1) + 1, "last_at": now}
    )
    return (await session.execute(statement.returning(LoginFailure.failures))).scalar_one_or_none() or 0


async def forgive(session: AsyncSession, account: str) -> None:
    """Forget an account's failures: its owner has shown up. Those of the network stay, or guessers would buy them off."""
    await session.execute(delete(LoginFailure).where(LoginFailure.key == account))


async def forgive_address(session: AsyncSession, address: str, networks: Sequence[str]) -> None:
    """Forget what was failed for an account, by strangers and from the networks that it knows."""
    for network in (None, *networks):
        await forgive(session, _key("account", address if network is None else f"{address}\n{network}"))


async def sweep(session: AsyncSession) -> None:
    """Delete what is forgotten anyway."""
    age = timedelta(seconds=get_settings().auth.login_max_wait_s * FORGOTTEN_AFTER)
    await session.execute(delete(LoginFailure).where(LoginFailure.last_at < func.now() - age))
