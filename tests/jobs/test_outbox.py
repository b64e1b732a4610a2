"""The outbox: a job is there if and only if its change is, and one worker at a time has it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from sqlalchemy import Integer, literal, select

from fastapi_application.core.request_id import request_id_var
from fastapi_application.crud.action import run_crud_action
from fastapi_application.jobs.outbox import FIRST_WAIT_S, LONGEST_WAIT_S, WAKE_UP, ClaimedJob, Outbox, _wait, enqueue
from tests.support.jobs import row_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

    from tests.support.application import Application
    from tests.support.jobs import Connection


@pytest.fixture
def sessions(application: Application) -> async_sessionmaker[AsyncSession]:
    """Make sessions as requests have them."""
    factory: async_sessionmaker[AsyncSession] = application.fastapi.state.session_factory
    return factory


@pytest.fixture
async def session(sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[AsyncSession]:
    """Return one of them."""
    async with sessions() as session:
        yield session


async def claim(session: AsyncSession, *names: str) -> ClaimedJob | None:
    return await run_crud_action(session, Outbox(session).claim, names)


async def test_a_committed_change_leaves_its_job_and_then_one_wake_up(session: AsyncSession, db: Connection) -> None:
    seen: list[int] = []

    async def wake_up() -> None:
        seen.append(await db.fetchval("SELECT count(*) FROM outbox_job"))

    session.info[WAKE_UP] = wake_up
    token = request_id_var.set("the request")
    identifier = await run_crud_action(session, enqueue, session, "greet", {"name": "Ada", "number": 1})
    request_id_var.reset(token)
    row = await row_of(db, identifier)
    assert (row["name"], orjson.loads(row["payload"]), row["request_id"]) == ("greet", {"name": "Ada", "number": 1}, "the request")
    assert (row["attempts"], row["done_at"], row["given_up_at"], row["last_error"]) == (0, None, None, None)
    assert seen == [1], "the wake-up comes after the commit"


async def test_a_change_that_is_rolled_back_leaves_no_job_and_wakes_nobody(session: AsyncSession, db: Connection) -> None:
    woken: list[Any] = []

    async def wake_up() -> None:
        woken.append(1)

    async def fail() -> None:
        await enqueue(session, "greet", {})
        raise RuntimeError

    session.info[WAKE_UP] = wake_up
    with pytest.raises(RuntimeError):
        await run_crud_action(session, fail)
    assert await db.fetchval("SELECT count(*) FROM outbox_job") == 0
    assert woken == []


async def test_a_claim_counts_the_attempt_and_puts_the_next_one_off(session: AsyncSession, db: Connection) -> None:
    identifier = await run_crud_action(session, enqueue, session, "greet", {"name": "Ada"})
    assert await claim(session, "another name") is None
    claimed = await claim(session, "another name", "greet")
    assert claimed is not None
    assert (claimed.id, claimed.payload, claimed.attempt) == (identifier, {"name": "Ada"}, 1)
    row = await row_of(db, identifier)
    assert row["attempts"] == 1
    assert timedelta(0) < row["wait"] <= timedelta(seconds=FIRST_WAIT_S * 1.25)
    assert await claim(session, "greet") is None


async def test_a_job_waits_for_its_time(session: AsyncSession, db: Connection) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    identifier = await run_crud_action(session, enqueue, session, "greet", {}, run_at=later)
    assert await claim(session, "greet") is None
    await db.execute("UPDATE outbox_job SET run_at = now() WHERE id = $1", identifier)
    claimed = await claim(session, "greet")
    assert claimed is not None
    assert claimed.id == identifier


async def test_what_has_waited_longest_is_first(session: AsyncSession) -> None:
    now = datetime.now(UTC)
    last = await run_crud_action(session, enqueue, session, "greet", {}, run_at=now - timedelta(minutes=1))
    first = await run_crud_action(session, enqueue, session, "greet", {}, run_at=now - timedelta(minutes=2))
    claimed = [await claim(session, "greet"), await claim(session, "greet")]
    assert [job.id for job in claimed if job] == [first, last]


async def test_many_claims_at_once_never_meet(sessions: async_sessionmaker[AsyncSession], session: AsyncSession) -> None:
    jobs = {await run_crud_action(session, enqueue, session, "greet", {}) for _ in range(4)}

    async def claim_one() -> uuid.UUID | None:
        async with sessions() as other:
            claimed = await claim(other, "greet")
        return claimed.id if claimed else None

    found = [identifier for identifier in await asyncio.gather(*(claim_one() for _ in range(8))) if identifier]
    assert len(found) == len(set(found))
    rest = [job.id for job in [await claim(session, "greet") for _ in range(5)] if job]
    assert sorted([*found, *rest]) == sorted(jobs)


@pytest.mark.usefixtures("no_wait")
async def test_a_job_in_hand_is_locked_for_all_others(sessions: async_sessionmaker[AsyncSession], session: AsyncSession) -> None:
    await run_crud_action(session, enqueue, session, "greet", {})
    claimed = await claim(session, "greet")
    assert claimed is not None

    async def hold() -> None:
        assert await Outbox(session).lock(claimed)
        async with sessions() as other:
            assert await claim(other, "greet") is None
            assert not await run_crud_action(other, Outbox(other).lock, claimed)

    await run_crud_action(session, hold)
    second = await claim(session, "greet")
    assert second is not None
    assert second.attempt == 2
    assert not await run_crud_action(session, Outbox(session).lock, claimed), "the first attempt is over"


async def test_waits_double_up_to_an_hour_with_chance(session: AsyncSession) -> None:
    async def waits() -> list[float]:
        attempts = [_wait(literal(attempt, Integer)) for attempt in range(1, 31)]
        row = (await session.execute(select(*attempts))).one()
        return [wait.total_seconds() for wait in row]

    first, second = [await run_crud_action(session, waits) for _ in range(2)]
    for attempt, wait in enumerate(first):
        middle = min(FIRST_WAIT_S * 2**attempt, LONGEST_WAIT_S)
        assert middle * 0.75 <= wait <= middle * 1.25
    assert first != second
    assert 18 * 3600 < sum(first) < 30 * 3600


async def test_finished_jobs_are_forgotten_after_a_week_and_others_are_not(session: AsyncSession, db: Connection) -> None:
    old, new, unfinished, given_up = [await run_crud_action(session, enqueue, session, "greet", {}) for _ in range(4)]
    await db.execute("UPDATE outbox_job SET done_at = now() - interval '8 days', created_at = now() - interval '9 days' WHERE id = $1", old)
    await db.execute("UPDATE outbox_job SET done_at = now() - interval '6 days' WHERE id = $1", new)
    await db.execute("UPDATE outbox_job SET run_at = now() - interval '90 days' WHERE id = $1", unfinished)
    await db.execute("UPDATE outbox_job SET given_up_at = now() - interval '90 days' WHERE id = $1", given_up)
    await run_crud_action(session, Outbox(session).forget_finished, 7)
    assert {row["id"] for row in await db.fetch("SELECT id FROM outbox_job")} == {new, unfinished, given_up}
