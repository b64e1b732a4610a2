"""`run_crud_action`: one action, one transaction, committed before anybody hears of it."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from fastapi_application.core.errors import AppError, DatabaseUnavailableError, DuplicateError, NotFoundError
from fastapi_application.crud import action
from fastapi_application.crud.action import MAX_ATTEMPTS, AfterCommit, on_commit, run_crud_action
from fastapi_application.crud.models import EntitySlug
from tests.support.log_capture import captured_lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncSession

    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]

COUNT = "SELECT count(*) FROM scratch.note WHERE text = $1"


def raising(sqlstate: str) -> str:
    """Return a statement that fails with this SQLSTATE in the server itself."""
    return f"DO $$ BEGIN RAISE EXCEPTION 'made by a test' USING ERRCODE = '{sqlstate}'; END $$"


@pytest.fixture
async def session(application: Application) -> AsyncIterator[AsyncSession]:
    """Return a session as a request has it."""
    async with application.fastapi.state.session_factory() as session:
        yield session


@pytest.fixture(autouse=True)
async def scratch(db: Connection) -> AsyncIterator[None]:
    """Make a table of the tests' own, in a schema that no migration looks at."""
    await db.execute("DROP SCHEMA IF EXISTS scratch CASCADE; CREATE SCHEMA scratch; CREATE TABLE scratch.note (text text PRIMARY KEY)")
    yield
    await db.execute("DROP SCHEMA scratch CASCADE")


class Notes:
    """A service with one method that writes and more that fail after it."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.session = session
        self.attempts = 0
        self.called: list[str] = []

    async def write(self, note: str) -> str:
        """Insert a row."""
        self.attempts += 1
        await self.session.execute(text("INSERT INTO scratch.note VALUES (:note)"), {"note": note})
        return note

    async def write_then(self, note: str, then: Callable[[], Awaitable[Any]]) -> str:
        """Insert a row, leave a callback, and go on with something else."""
        on_commit(self.session, self.callback(f"attempt {self.attempts + 1}"), AfterCommit.CACHE_TAGS)
        await self.write(note)
        await then()
        return note

    async def write_and_call_back(self, note: str, *phases: AfterCommit) -> None:
        """Insert a row and leave a callback in each phase."""
        await self.write(note)
        for phase in phases:
            on_commit(self.session, self.callback(phase.name), phase)

    def callback(self, name: str) -> Callable[[], Awaitable[None]]:
        """Return a callback that notes that it was called."""

        async def call() -> None:
            self.called.append(name)

        return call

    def failing_with(self, sqlstate: str, times: int = 1000) -> Callable[[], Awaitable[None]]:
        """Return a step that fails in the database in the first attempts."""

        async def fail() -> None:
            if self.attempts <= times:
                await self.session.execute(text(raising(sqlstate)))

        return fail


# --- one transaction --------------------------------------------------------------------------------------------------


async def test_returns_the_result_and_the_write_is_there_on_another_connection(session: AsyncSession, db: Connection) -> None:
    assert await run_crud_action(session, Notes(session).write, "one") == "one"
    assert await db.fetchval(COUNT, "one") == 1
    assert not session.in_transaction()


async def test_arguments_reach_the_method_by_position_and_by_name(session: AsyncSession) -> None:
    async def method(first: int, *, second: int) -> tuple[int, int]:
        return first, second

    assert await run_crud_action(session, method, 1, second=2) == (1, 2)


async def test_a_session_that_has_read_is_refused_and_nothing_is_written(session: AsyncSession, db: Connection) -> None:
    await session.execute(text("SELECT 1"))
    notes = Notes(session)
    with pytest.raises(InvalidRequestError, match="already begun"):
        await run_crud_action(session, notes.write, "lost")
    assert notes.attempts == 0
    await session.rollback()
    assert await db.fetchval(COUNT, "lost") == 0


async def test_a_write_after_an_action_that_read_is_saved(session: AsyncSession, db: Connection) -> None:
    async def read() -> None:
        await session.execute(text("SELECT * FROM scratch.note"))

    await run_crud_action(session, read)
    await run_crud_action(session, Notes(session).write, "after a read")
    assert await db.fetchval(COUNT, "after a read") == 1


@pytest.mark.parametrize("error", [NotFoundError(), RuntimeError("a bug"), KeyError("another"), asyncio.CancelledError()], ids=repr)
async def test_a_failing_action_leaves_nothing_and_raises_its_error(session: AsyncSession, db: Connection, error: BaseException) -> None:
    async def fail() -> None:
        raise error

    notes = Notes(session)
    with pytest.raises(type(error)) as raised:
        await run_crud_action(session, notes.write_then, "nothing", fail)
    assert raised.value is error
    assert (notes.attempts, notes.called) == (1, [])
    assert await db.fetchval(COUNT, "nothing") == 0
    assert not session.in_transaction()


async def test_the_session_is_usable_after_a_failure(session: AsyncSession, db: Connection) -> None:
    notes = Notes(session)
    with pytest.raises(AppError):
        await run_crud_action(session, notes.write_then, "first", notes.failing_with("57014"))
    await run_crud_action(session, notes.write, "second")
    assert await db.fetchval(COUNT, "second") == 1


async def test_a_read_too_gives_its_connection_back(application: Application, session: AsyncSession) -> None:
    pool = application.fastapi.state.engine.pool
    before = pool.checkedout()

    async def read() -> int:
        await session.execute(text("SELECT 1"))
        return int(pool.checkedout())

    assert await run_crud_action(session, read) == before + 1
    assert pool.checkedout() == before


async def test_a_failing_commit_is_an_error_and_runs_no_callback(session: AsyncSession, db: Connection) -> None:
    await db.execute(
        "CREATE FUNCTION scratch.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'at the commit' USING ERRCODE = '23505'; END $$;"
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON scratch.note DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION scratch.refuse()"
    )
    notes = Notes(session)
    with pytest.raises(DuplicateError):
        await run_crud_action(session, notes.write_and_call_back, "late", AfterCommit.CACHE_TAGS)
    assert notes.called == []
    assert await db.fetchval(COUNT, "late") == 0


# --- callbacks --------------------------------------------------------------------------------------------------------


async def test_callbacks_run_by_phase_and_within_one_in_the_order_they_were_left(session: AsyncSession) -> None:
    notes = Notes(session)
    phases = [AfterCommit.FILE_DELETION, AfterCommit.JOB_WAKE_UP, AfterCommit.LIMITER_IDENTITY, AfterCommit.CACHE_TAGS]
    await run_crud_action(session, notes.write_and_call_back, "ordered", *phases)
    assert notes.called == ["CACHE_TAGS", "LIMITER_IDENTITY", "JOB_WAKE_UP", "FILE_DELETION"]

    async def leave_three() -> None:
        for name, phase in (("a", AfterCommit.JOB_WAKE_UP), ("b", AfterCommit.CACHE_TAGS), ("c", AfterCommit.JOB_WAKE_UP)):
            on_commit(session, notes.callback(name), phase)

    notes.called.clear()
    await run_crud_action(session, leave_three)
    assert notes.called == ["b", "a", "c"]


async def test_callbacks_see_the_commit(session: AsyncSession, db: Connection) -> None:
    seen: list[int] = []

    async def look() -> None:
        seen.append(await db.fetchval(COUNT, "seen"))

    async def write() -> None:
        on_commit(session, look, AfterCommit.CACHE_TAGS)
        await Notes(session).write("seen")
        await look()

    await run_crud_action(session, write)
    assert seen == [0, 1]


async def test_callbacks_do_not_run_again_for_the_next_action(session: AsyncSession) -> None:
    notes = Notes(session)
    await run_crud_action(session, notes.write_and_call_back, "first", AfterCommit.CACHE_TAGS)
    await run_crud_action(session, notes.write, "second")
    assert notes.called == ["CACHE_TAGS"]


async def test_callbacks_of_a_failed_action_do_not_run_after_the_next_one(session: AsyncSession) -> None:
    async def fail() -> None:
        raise NotFoundError

    notes = Notes(session)
    with pytest.raises(NotFoundError):
        await run_crud_action(session, notes.write_then, "failed", fail)
    await run_crud_action(session, notes.write, "fine")
    assert notes.called == []


async def test_a_failing_callback_is_logged_and_stops_neither_the_others_nor_the_answer(
    session: AsyncSession, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = captured_lines(monkeypatch, action)
    notes = Notes(session)

    async def broken() -> None:
        raise RuntimeError("Redis is away")

    async def write() -> str:
        on_commit(session, broken, AfterCommit.CACHE_TAGS)
        on_commit(session, notes.callback("after"), AfterCommit.FILE_DELETION)
        return await notes.write("kept")

    assert await run_crud_action(session, write) == "kept"
    assert await db.fetchval(COUNT, "kept") == 1
    assert notes.called == ["after"]
    assert [(line["event"], line["log_level"]) for line in lines] == [("on_commit_failed", "error")]
    assert "broken" in lines[0]["callback"]
    assert lines[0]["exc_info"]


# --- retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
@pytest.mark.parametrize("failures", [1, MAX_ATTEMPTS - 1])
async def test_a_lost_race_is_run_again_as_a_whole(session: AsyncSession, db: Connection, sqlstate: str, failures: int) -> None:
    notes = Notes(session)
    assert await run_crud_action(session, notes.write_then, "once", notes.failing_with(sqlstate, failures)) == "once"
    assert notes.attempts == failures + 1
    # The callbacks of the attempts that were rolled back are forgotten.
    assert notes.called == [f"attempt {failures + 1}"]
    assert await db.fetchval(COUNT, "once") == 1


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_a_race_lost_three_times_is_a_503(session: AsyncSession, db: Connection, sqlstate: str) -> None:
    notes = Notes(session)
    with pytest.raises(DatabaseUnavailableError) as raised:
        await run_crud_action(session, notes.write_then, "never", notes.failing_with(sqlstate))
    assert (raised.value.status, notes.attempts, notes.called) == (503, 3, [])
    assert "Retry-After" in raised.value.headers
    assert await db.fetchval(COUNT, "never") == 0


async def test_each_attempt_has_a_clean_session(session: AsyncSession, db: Connection) -> None:
    pending: list[int] = []

    async def add_then_lose() -> None:
        pending.append(len(session.new))
        session.add(EntitySlug(kind="scratch", slug=f"attempt-{len(pending)}", entity_id=uuid.uuid4()))
        with session.no_autoflush:
            await session.execute(text(raising("40001") if len(pending) < MAX_ATTEMPTS else "SELECT 1"))

    await run_crud_action(session, add_then_lose)
    assert pending == [0, 0, 0]
    saved = await db.fetch("DELETE FROM entity_slug WHERE kind = 'scratch' RETURNING slug")
    assert [row["slug"] for row in saved] == ["attempt-3"]


@pytest.mark.parametrize("sqlstate", ["23505", "23503", "23514", "22001", "55P03", "57014", "08006", "42P01", "XX000"])
async def test_other_errors_are_not_run_again(session: AsyncSession, sqlstate: str) -> None:
    notes = Notes(session)
    with pytest.raises((AppError, DBAPIError)):
        await run_crud_action(session, notes.write_then, "once", notes.failing_with(sqlstate))
    assert notes.attempts == 1


async def test_a_real_deadlock_ends_with_both_writes_saved(application: Application, db: Connection) -> None:
    await db.execute(
        "CREATE TABLE scratch.counter (id int PRIMARY KEY, value int NOT NULL); INSERT INTO scratch.counter VALUES (1, 0), (2, 0)"
    )
    first_step = asyncio.Barrier(2)
    attempts: list[str] = []

    async def add_to(session: AsyncSession, name: str, first: int, second: int) -> None:
        attempts.append(name)
        statement = text("UPDATE scratch.counter SET value = value + 1 WHERE id = :id")
        await session.execute(statement, {"id": first})
        if attempts.count(name) == 1:  # each has its first row before either asks for its second
            await first_step.wait()
        await session.execute(statement, {"id": second})

    async def run(name: str, first: int, second: int) -> None:
        async with application.fastapi.state.session_factory() as session:
            await run_crud_action(session, add_to, session, name, first, second)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(run("a", 1, 2))
        group.create_task(run("b", 2, 1))
    assert len(attempts) == 3
    assert [row["value"] for row in await db.fetch("SELECT value FROM scratch.counter ORDER BY id")] == [2, 2]
