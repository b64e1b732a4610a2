"""Starts the system, runs the checks, and says how it went."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scale import freshness, pooler, story
from scale.programs import find_program
from scale.report import BrokenError, Report
from scale.system import ScaledSystem, ScaleError

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_RUN = 75
TESTS = ("tests/contract", "tests/history", "tests/read_path/test_freshness.py::test_random_writes_and_reads")
# They look into the process of the application, or load its servers in another way …
_IN_PROCESS = (
    "tests/contract/test_query_counts.py",
    "tests/history/test_atomicity.py",
    "tests/history/test_revisions.py::test_the_starter_encyclopedia_has_a_history_and_a_feed",
    "tests/history/test_workflow.py::test_each_step_is_an_entry_of_the_audit_log",
)
# … or send what no client of HTTP sends: headers that are not allowed, a body of which they see whether it was read.
_NOT_HTTP = (
    "tests/contract/test_access.py::test_a_body_that_is_too_large_is_refused_before_the_token",
    "tests/contract/test_access.py::test_a_write_by_a_reader_is_403_before_its_body_is_read",
    "tests/contract/test_access.py::test_a_write_with_a_bad_token_is_401",
    "tests/contract/test_access.py::test_a_write_without_a_token_is_401_before_its_body_is_read",
    "tests/contract/test_access.py::test_what_is_not_a_token_is_401",
    "tests/contract/test_preconditions.py::test_a_write_that_names_no_version_is_428",
    "tests/history/test_safe_writes.py::test_what_is_not_a_key_is_422",
    # nginx itself refuses a second line of If-Match.
    "tests/contract/test_preconditions.py::test_if_match_may_come_in_several_lines",
)
LEFT_OUT = (*_IN_PROCESS, *_NOT_HTTP)


def main() -> int:
    """Run everything; 1 if something is not as it must be, 75 if it cannot be run here."""
    parser = argparse.ArgumentParser(prog="scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="writes that are read back everywhere (default: 200)")
    parser.add_argument("--without-tests", action="store_true", help="leave out the test suite's part over HTTP")
    arguments = parser.parse_args()
    programs = {name: find_program(name) for name in ("nginx", "pgbouncer")}
    if missing := [name for name, path in programs.items() if path is None]:
        print(f"scale: NOT RUN: {' and '.join(missing)} not found here (on Debian and Ubuntu: apt-get install {' '.join(missing)}).")
        return NOT_RUN
    report = Report()
    with tempfile.TemporaryDirectory(prefix="frankenjet-scale-", ignore_cleanup_errors=True) as directory:
        try:
            with ScaledSystem(Path(directory) / "system", str(programs["nginx"]), str(programs["pgbouncer"])) as system:
                _check(system, report, arguments)
        except (ScaleError, BrokenError) as error:
            report.must("run to the end", so=False, detail=error)
    print("\nscaled out: " + ("all is as it must be" if report.is_good else "BROKEN"))
    return int(not report.is_good)


def _check(system: ScaledSystem, report: Report, arguments: argparse.Namespace) -> None:
    _timed("the story of an editor", lambda: asyncio.run(story.tell(system, report)))
    _timed("read your writes", lambda: asyncio.run(freshness.check(system, report, arguments.rounds)))
    _timed("PgBouncer", lambda: asyncio.run(pooler.check(system, report)))
    if not arguments.without_tests:
        _timed("the test suite's part over HTTP", lambda: report.must("it passes", so=_run_tests(system)))
    errors = [line for name in ("api-0", "api-1", "worker") for line in system.log_of(name).splitlines() if '"level":"error"' in line]
    report.must("no error in the logs", so=not errors, detail=errors[:3])


def _timed(what: str, work: Callable[[], None]) -> None:
    print(f"\n{what}", flush=True)
    began = time.monotonic()
    work()
    print(f"    ({time.monotonic() - began:.0f} s)", flush=True)


def _run_tests(system: ScaledSystem) -> bool:
    """Let the tests speak to the proxy; they look at the database past PgBouncer."""
    env = system.environment(**system.direct(), DB__PGBOUNCER="false", TEST_ADDRESS=system.address)
    without = [f"--deselect={name}" for name in LEFT_OUT]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, *without]
    return subprocess.run(words, env=env, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
