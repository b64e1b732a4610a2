"""The worker: each job at least once, its own writes exactly once, and nothing lost when something goes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.config import get_settings
from fastapi_application.core.request_id import request_id_var
from fastapi_application.jobs import worker as worker_module
from fastapi_application.jobs.outbox import enqueue
from fastapi_application.jobs.registry import JobContext, JobError, PermanentJobError, job
from fastapi_application.jobs.worker import Worker
from tests.support.jobs import a_job, leave, row_of, until, until_done, until_failed, until_given_up, working
from tests.support.log_capture import captured_lines
from tests.support.network import door

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.application import Application
    from tests.support.jobs import Connection


class Calls:
    """A handler that notes how it was called, and fails as often as it is told."""

    def __init__(self, *errors: BaseException) -> None:
        """Fail with these errors first."""
        self.payloads: list[Mapping[str, Any]] = []
        self.contexts: list[JobContext] = []
        self.request_ids: list[str] = []
        self._errors = list(errors)

    async def __call__(self, context: JobContext, payload: Mapping[str, Any]) -> None:
        """Handle a job."""
        self.payloads.append(payload)
        self.contexts.append(context)
        self.request_ids.append(request_id_var.get())
        if self._errors:
            raise self._errors.pop(0)


async def test_a_job_is_done_once_and_what_it_was_about_is_forgotten(application: Application, db: Connection) -> None:
    calls = Calls()
    token = request_id_var.set("the request")
    identifier = await leave(application, "greet", name="Ada")
    request_id_var.reset(token)
    async with working(a_job("greet", calls)):
        row = await until_done(db, identifier)
    assert calls.payloads == [{"name": "Ada"}]
    assert (calls.contexts[0].id, calls.contexts[0].attempt, calls.request_ids) == (identifier, 1, ["the request"])
    assert (row["payload"], row["attempts"], row["last_error"]) == ("{}", 1, None)


async def test_two_workers_do_each_job_once(application: Application, db: Connection) -> None:
    calls = Calls()
    jobs = [await leave(application, "greet", number=number) for number in range(20)]
    async with working(a_job("greet", calls), a_job("greet", calls)):
        for identifier in jobs:
            await until_done(db, identifier)
    assert sorted(payload["number"] for payload in calls.payloads) == list(range(20))


async def test_lines_of_a_job_carry_its_id_and_its_name(application: Application, db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = captured_lines(monkeypatch, worker_module)
    identifier = await leave(application, "greet")
    async with working(a_job("greet", Calls())):
        await until_done(db, identifier)
    (line,) = [line for line in lines if line["event"] == "job_done"]
    assert (line["job"], line["job_id"], line["attempt"]) == ("greet", str(identifier), 1)


async def test_a_failed_attempt_leaves_its_error_but_none_of_its_writes(application: Application, db: Connection) -> None:
    async def write_then_fail(context: JobContext, _payload: Mapping[str, Any]) -> None:
        await enqueue(context.session, "never", {})
        raise ValueError("what the job is about")

    identifier = await leave(application, "greet", name="Ada")
    async with working(a_job("greet", write_then_fail)):
        row = await until_failed(db, identifier)
    assert (row["last_error"], row["attempts"], row["done_at"], row["given_up_at"]) == ("ValueError", 1, None, None)
    assert row["payload"] == '{"name": "Ada"}'
    assert timedelta(0) < row["wait"] < timedelta(seconds=10)
    assert await db.fetchval("SELECT count(*) FROM outbox_job WHERE name = 'never'") == 0


@pytest.mark.usefixtures("no_wait")
async def test_what_fails_is_tried_again(application: Application, db: Connection) -> None:
    # An OSError is not the database's here, and an error of the job keeps its text.
    calls = Calls(ConnectionRefusedError("secret"), JobError("put off"))
    identifier = await leave(application, "greet")
    async with working(a_job("greet", calls), concurrency=1):
        row = await until_done(db, identifier)
    assert [context.attempt for context in calls.contexts] == [1, 2, 3]
    assert (row["attempts"], row["last_error"]) == (3, None)


@pytest.mark.usefixtures("no_wait")
async def test_a_permanent_failure_is_given_up_at_once_and_stays_visible(
    application: Application, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = captured_lines(monkeypatch, worker_module)
    identifier = await leave(application, "greet", name="Ada")
    async with working(a_job("greet", Calls(PermanentJobError("refused"))), concurrency=1):
        row = await until_given_up(db, identifier)
    assert (row["last_error"], row["attempts"], row["done_at"]) == ("refused", 1, None)
    assert [line["log_level"] for line in lines if line["event"] == "job_given_up"] == ["error"]


@pytest.mark.usefixtures("no_wait")
async def test_a_job_that_always_fails_is_given_up_in_the_end(
    application: Application, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_ATTEMPTS", 3)
    calls = Calls(*(JobError(f"no {number}") for number in range(1, 10)))
    identifier = await leave(application, "greet")
    async with working(a_job("greet", calls), concurrency=1):
        row = await until_given_up(db, identifier)
    assert (row["attempts"], row["last_error"], len(calls.payloads)) == (3, "no 3", 3)


async def test_a_job_that_kills_its_worker_is_not_tried_for_ever(
    application: Application, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_ATTEMPTS", 3)
    calls = Calls()
    identifier = await leave(application, "greet")
    await db.execute("UPDATE outbox_job SET attempts = 3 WHERE id = $1", identifier)
    async with working(a_job("greet", calls)):
        row = await until_given_up(db, identifier)
    assert (row["last_error"], calls.payloads) == ("the worker died in the last attempt", [])


async def test_a_job_that_hangs_is_cut_off(application: Application, db: Connection) -> None:
    async def hang(_context: JobContext, _payload: Mapping[str, Any]) -> None:
        await asyncio.Event().wait()

    identifier = await leave(application, "greet")
    async with working(a_job("greet", hang, timeout_s=0.1)):
        row = await until_failed(db, identifier)
    assert row["last_error"] == "cut off after 0.1 s"


async def test_jobs_that_this_worker_does_not_know_or_may_not_run_wait_untouched(application: Application, db: Connection) -> None:
    newer, waiting, known = [await leave(application, name) for name in ("newer", "waiting", "greet")]
    calls = Calls()
    async with working(a_job("waiting", calls, can_run=lambda _: False) | a_job("greet", calls)):
        await until_done(db, known)
    assert [(await row_of(db, identifier))["attempts"] for identifier in (newer, waiting)] == [0, 0]


async def test_a_periodic_task_is_one_row_and_runs_again_and_again(db: Connection) -> None:
    calls = Calls(ValueError())
    jobs = a_job("clean", calls, every_s=0.05)

    async def has_run() -> bool:
        return len(calls.payloads) >= 4

    async with working(jobs, jobs):
        await until(has_run)
    (row,) = await db.fetch("SELECT * FROM outbox_job")
    assert (row["id"], row["name"], row["done_at"], row["given_up_at"]) == (jobs["clean"].periodic_id, "clean", None, None)


async def test_two_workers_run_a_periodic_task_once_in_its_time(application: Application, db: Connection) -> None:
    calls = Calls()
    jobs = a_job("clean", calls, every_s=3600) | a_job("greet", Calls())
    async with working(jobs, jobs):
        await until_done(db, await leave(application, "greet"))

        async def has_run() -> bool:
            return bool(await db.fetchval("SELECT run_at > now() + interval '59 min' FROM outbox_job WHERE name = 'clean'"))

        await until(has_run)
    async with working(jobs):  # a restart is no reason to run it either
        await until_done(db, await leave(application, "greet"))
    assert len(calls.payloads) == 1


async def test_a_stop_lets_the_job_in_hand_finish(application: Application, db: Connection) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def wait(_context: JobContext, _payload: Mapping[str, Any]) -> None:
        begun.set()
        await may_end.wait()

    first, second = await leave(application, "greet"), await leave(application, "greet")
    async with working(a_job("greet", wait), concurrency=1) as worker:
        await begun.wait()
        worker.stop()
        may_end.set()
    assert (await row_of(db, first))["done_at"] is not None
    assert (await row_of(db, second))["attempts"] == 0


async def test_a_stop_cuts_off_what_does_not_end_and_leaves_it_open(
    application: Application, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "STOP_S", 0.05)
    begun = asyncio.Event()

    async def hang(context: JobContext, _payload: Mapping[str, Any]) -> None:
        await enqueue(context.session, "never", {})
        begun.set()
        await asyncio.Event().wait()

    identifier = await leave(application, "greet")
    async with working(a_job("greet", hang)):
        await begun.wait()
    row = await row_of(db, identifier)
    assert (row["attempts"], row["done_at"], row["given_up_at"]) == (1, None, None)
    assert await db.fetchval("SELECT count(*) FROM outbox_job WHERE name = 'never'") == 0


async def test_a_worker_starts_without_its_database_and_finds_it(
    application: Application, db: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = captured_lines(monkeypatch, worker_module)
    identifier = await leave(application, "greet")
    here = get_settings()
    heartbeat = tmp_path / "alive"

    async def has_complained() -> bool:
        return "worker_waits_for_database" in [line["event"] for line in lines]

    async with door() as closed:
        there = here.model_copy(update={"db": here.db.model_copy(update={"host": "127.0.0.1", "port": closed.port})})
        worker = Worker(there, concurrency=1, heartbeat=heartbeat, jobs=a_job("greet", Calls()))
        running = asyncio.create_task(worker.run())
        await until(has_complained)
        assert not heartbeat.exists()
        assert here.db.host is not None
        await closed.open(Path(here.db.host) / f".s.PGSQL.{here.db.port}")
        await until_done(db, identifier)
        worker.stop()
        await running
    assert heartbeat.exists()
    assert [line["event"] for line in lines].count("worker_waits_for_database") == 1
    assert "worker_has_database_again" in [line["event"] for line in lines]


def test_a_name_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi_application.jobs.registry.JOBS", {})
    register = job("greet")
    register(Calls())
    with pytest.raises(ValueError, match="already"):
        register(Calls())
