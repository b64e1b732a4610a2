"""`main.py worker` as a process: killed in the middle of its work, stopped by a signal, left by its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from fastapi_application.crud.action import run_crud_action
from fastapi_application.mail.service import queue_mail
from fastapi_application.mail.templates import MailTemplate
from tests.support.commands import COMMAND, ROOT, START_S, STOP_S, command_environment, settings_of_this_run
from tests.support.jobs import row_of, until, until_done
from tests.support.servers import run_directory
from tests.support.smtp import mailbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.application import Application
    from tests.support.jobs import Connection

# The command, with a writer of letters to an address that comes with the job.
SCRIPT = """
import sys
from fastapi_application.cli import worker
from fastapi_application.cli.run import run
from fastapi_application.mail.service import Letter, register_letter_writer

@register_letter_writer
async def write(session, template, user_id, extra):
    return Letter(extra["to"], "ru") if "to" in extra else None

sys.exit(run(["worker", *sys.argv[1:]]))
"""


@contextmanager
def process(*words: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on the servers of this test run; nothing of it is left."""
    env = command_environment(run_directory(), **settings_of_this_run(), **settings)
    with subprocess.Popen(words, cwd=ROOT, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        try:
            yield running
        finally:
            running.kill()


async def queue(application: Application, **extra: str) -> uuid.UUID:
    """Queue a mail."""
    async with application.fastapi.state.session_factory() as session:
        return await run_crud_action(session, queue_mail, session, MailTemplate.ADDRESS_TAKEN, uuid.uuid4(), **extra)


async def test_a_worker_that_is_killed_while_it_sends_loses_no_mail(application: Application, db: Connection, tmp_path: Path) -> None:
    async with mailbox() as box:
        settings = {"MAIL__HOST": "127.0.0.1", "MAIL__PORT": str(box.port), "MAIL__TLS": "none", "MAIL__FROM": "post@frankenjet.example"}
        box.may_answer.clear()
        identifier = await queue(application, to="ada@example.org")
        with process(sys.executable, "-c", SCRIPT, **settings) as first:

            async def has_begun() -> bool:
                assert first.poll() is None
                return box.data_begun.is_set()

            await until(has_begun, START_S)
            first.send_signal(signal.SIGKILL)
            first.wait(STOP_S)
        assert (await row_of(db, identifier))["done_at"] is None
        box.may_answer.set()
        await db.execute("UPDATE outbox_job SET run_at = now() WHERE id = $1", identifier)

        heartbeat = tmp_path / "alive"
        with process(sys.executable, "-c", SCRIPT, "--concurrency", "1", "--heartbeat", str(heartbeat), **settings) as second:
            row = await until_done(db, identifier)
            second.terminate()
            _, log = second.communicate(timeout=STOP_S)
            assert second.returncode == 0, log
    assert row["attempts"] == 2
    assert heartbeat.exists()
    assert b"Traceback" not in log
    # The first may have arrived as well: at least once, and recognisable.
    assert {message["Message-ID"] for message in box.messages} == {f"<{identifier}@frankenjet.example>"}


def test_a_worker_ends_with_its_parent() -> None:
    with process(*COMMAND, "worker", "--with-parent") as running:
        assert running.stdin is not None
        running.stdin.close()
        assert running.wait(START_S) == 0


@pytest.mark.parametrize("words", [["--concurrency", "0"], ["--concurrency", "x"], ["now"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    with process(*COMMAND, "worker", *words) as running:
        assert running.wait(START_S) == 2


def workers_of(group: int) -> set[int]:
    """Return the workers of a process group."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,pgid=,args="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return {int(pid) for pid, pgid, words in lines if int(pgid) == group and "--with-parent" in words}


def test_the_worker_beside_local_is_started_again_and_ends_with_it(tmp_path: Path) -> None:
    script = """
import threading
from fastapi_application.cli.companion import companion
with companion():
    input()
"""
    env = command_environment(run_directory(), **settings_of_this_run())
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, cwd=ROOT, env=env, stdin=subprocess.PIPE, start_new_session=True) as parent:
        try:
            first = wait_for_worker(parent.pid, set())
            os.kill(first, signal.SIGKILL)
            assert wait_for_worker(parent.pid, {first}) != first
            parent.communicate(b"\n", STOP_S)
        finally:
            parent.kill()  # its worker sees that, and ends too
        assert parent.returncode == 0
        assert workers_of(parent.pid) == set()


def wait_for_worker(group: int, before: set[int]) -> int:
    """Wait until the group has a worker that was not there before."""
    deadline = time.monotonic() + START_S
    while not (found := workers_of(group) - before):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found.pop()
