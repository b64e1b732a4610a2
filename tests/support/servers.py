"""The servers of a test run: one embedded PostgreSQL and Redis, joined by all of its processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from alembic import command
from fastapi_application.core.config import get_settings
from fastapi_application.core.schema_version import alembic_config

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

TEMPLATE = "template_seeded"


def run[T](work: Coroutine[object, object, T]) -> T:
    """Run a coroutine on a loop of its own: fixtures of the session's scope run outside the tests' loop."""
    return asyncio.run(work)


def run_directory() -> Path:
    """Return the directory that all processes of this test run share."""
    name = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"single-{os.getpid()}"
    return Path(tempfile.gettempdir()) / f"frankenjet-tests-{name[:16]}"


@contextmanager
def mutex(directory: Path) -> Iterator[None]:
    """Let one process of the run in at a time."""
    with (directory / "tests.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def use_database(name: str) -> None:
    """Point the settings of this process at a database."""
    os.environ["DB__NAME"] = name
    get_settings.cache_clear()


async def _admin(statement: str) -> None:
    settings = get_settings().db
    connection = await asyncpg.connect(
        host=settings.host, port=settings.port, user=settings.user, password=settings.password.get_secret_value(), database="postgres"
    )
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def create_database(name: str, template: str | None = None) -> None:
    """Create a database, as a copy of another one if that is named; one that is there is replaced."""
    run(_admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
    run(_admin(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else "")))


def migrate(revision: str = "head") -> None:
    """Run Alembic on the current database, as `main.py migrate` does."""
    command.upgrade(alembic_config(), revision)
