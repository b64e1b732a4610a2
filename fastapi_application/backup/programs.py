"""pg_dump, pg_restore and psql: found in a version that fits the server, run with their password out of sight."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi_application.backup.errors import BackupError
from fastapi_application.core.db import NO_TIMEOUTS

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from fastapi_application.core.config import DatabaseSettings

CHUNK_BYTES = 256 * 1024
_NAMES = ("pg_dump", "pg_restore", "psql")
_DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(rb"\(PostgreSQL\) (\d+)")
_LIBPQ = {"ssl": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}


@dataclass(frozen=True, slots=True)
class Programs:
    """A directory with the client programs of one major version."""

    directory: Path
    major: int

    def __getitem__(self, name: str) -> Path:
        """Return the path of a program."""
        return self.directory / name


async def find_programs(oldest: int) -> Programs:
    """Find the oldest programs that are not older than a major version: pg_dump refuses servers that are newer than itself.

    Raises:
        BackupError: there are none.

    """
    found = sorted([programs for folder in _folders() if (programs := await _programs_in(folder))], key=lambda programs: programs.major)
    for programs in found:
        if programs.major >= oldest:
            return programs
    others = f" Found here: {', '.join(str(programs.major) for programs in found)}." if found else ""
    raise BackupError(
        f"pg_dump, pg_restore and psql of PostgreSQL {oldest} or newer are needed, and are not on PATH: "
        f"install them (on Debian and Ubuntu: postgresql-client-{oldest}).{others}"
    )


def _folders() -> list[Path]:
    on_path = shutil.which("pg_dump")
    debian = sorted(_DEBIAN.glob("*/bin")) if _DEBIAN.is_dir() else []
    return list(dict.fromkeys([*([Path(on_path).parent] if on_path else []), *debian, *_of_the_wheel()]))


def _of_the_wheel() -> list[Path]:
    from fastapi_application.local.programs import client_programs  # noqa: PLC0415 - the wheels are not there in a container

    directory = client_programs()
    return [directory] if directory else []


async def _programs_in(folder: Path) -> Programs | None:
    if not all((folder / name).is_file() for name in _NAMES):
        return None
    try:
        process = await asyncio.create_subprocess_exec(folder / "pg_dump", "--version", stdout=asyncio.subprocess.PIPE)
    except OSError:
        return None
    output, _ = await process.communicate()
    match = _VERSION.search(output)
    return Programs(folder, int(match[1])) if match else None


def libpq_environment(settings: DatabaseSettings) -> dict[str, str]:
    """Return the environment in which PostgreSQL's programs find the server: every user may read a command line, not this."""
    url = settings.sqlalchemy_url()
    host, port = url.host or url.query.get("host"), url.port or url.query.get("port")
    given = {"PGHOST": host, "PGPORT": port, "PGUSER": url.username, "PGPASSWORD": url.password, "PGDATABASE": url.database}
    given |= {variable: url.query.get(name) for name, variable in _LIBPQ.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG") and "__" not in name}
    fixed = {"PGAPPNAME": "frankenjet-backup", "PGCONNECT_TIMEOUT": "10", "PGCLIENTENCODING": "UTF8", "LC_ALL": "C"}
    fixed["PGOPTIONS"] = " ".join(f"-c {name}={limit}" for name, limit in NO_TIMEOUTS.items())
    return inherited | {name: str(value) for name, value in given.items() if value} | fixed


@asynccontextmanager
async def running(*command: str | Path, env: dict[str, str], has_input: bool = False) -> AsyncIterator[Running]:
    """Run a program while the block runs; if the block ends before it, it is killed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.PIPE if has_input else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=CHUNK_BYTES,
    )
    program = Running(process, Path(command[0]).name)
    try:
        yield program
    finally:
        await program.end()


class Running:
    """A program that runs. Its errors are read all the time, so that it never waits for us."""

    def __init__(self, process: Process, name: str) -> None:
        """Begin to read."""
        self._process = process
        self._name = name
        self._errors = asyncio.create_task(self._read_errors())

    async def output(self) -> AsyncIterator[bytes]:
        """Stream what it writes, and fail at the end if it has failed."""
        assert self._process.stdout is not None  # noqa: S101 - we asked for a pipe
        while chunk := await self._process.stdout.read(CHUNK_BYTES):
            yield chunk
        await self.succeed()

    async def write(self, data: bytes) -> bool:
        """Give it input; return False when it has ended before."""
        assert self._process.stdin is not None  # noqa: S101 - we asked for a pipe
        self._process.stdin.write(data)
        try:
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    async def write_all(self, chunks: AsyncIterator[bytes]) -> bool:
        """Give it a stream; return False when it has ended before."""
        async for chunk in chunks:
            if not await self.write(chunk):
                return False
        return True

    def close_input(self) -> None:
        """There is no more input."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def succeed(self) -> None:
        """Wait for its end.

        Raises:
            BackupError: it failed, with what it said.

        """
        if await self._process.wait():
            raise BackupError(f"{self._name} failed: {await self._errors}")

    async def end(self) -> None:
        """Leave nothing behind."""
        with suppress(ProcessLookupError):
            if self._process.returncode is None:
                self._process.kill()
        await self._process.wait()
        await self._errors

    async def _read_errors(self) -> str:
        """Return its first error, else its last words."""
        assert self._process.stderr is not None  # noqa: S101 - we asked for a pipe
        first, last = "", ""
        while chunk := await self._process.stderr.read(CHUNK_BYTES):
            for line in filter(None, map(str.strip, chunk.decode(errors="replace").splitlines())):
                first = first or (line if "ERROR" in line or "error" in line else "")
                last = line
        return first or last or "it said nothing"
