"""PostgreSQL from the wheel: a cluster of its own, on a Unix socket, with a password."""

import asyncio
import locale
import os
import secrets
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import asyncpg

from fastapi_application.local.account import Account, account_for
from fastapi_application.local.directories import (
    Sockets,
    make_private,
    make_secret,
    need_space,
    read_secret,
    write_private,
)
from fastapi_application.local.errors import LocalServerError, from_failed_start
from fastapi_application.local.home import home_of
from fastapi_application.local.logs import open_log
from fastapi_application.local.processes import Residents
from fastapi_application.local.programs import postgres_programs, postgres_version

NAME = "frankenjet"
PORT = 5432
"""Nothing listens there: it is a part of the socket's name."""
_START_S = 60
_INITDB_S = 60
_POLL_S = 0.02
_CLUSTER_MB = 200
_FAST_STOP_S = 15
_ORPHAN_S = 10
_INITDB_OPTIONS = (
    f"--username={NAME}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    # The wheel is built without ICU; the built-in provider sorts the same on every machine.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    # The messages that we look for in the log, and so on; what is a letter, is chosen below.
    "--locale=C",
    "--data-checksums",
    "--no-instructions",
    "--set=timezone=UTC",
)
_LETTERS = ("C.UTF-8", "en_US.UTF-8")
"""Locales of the system that know the letters of all scripts; under plain C, pg_trgm sees those of ASCII alone."""


def _character_type() -> str:
    """The same on every machine that has it, whatever the user's shell says."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        return next(filter(_is_known, _LETTERS), "C")
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def _is_known(name: str) -> bool:
    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    return True


class Postgres:
    """The cluster of one LOCAL__DIR. The caller holds the lock under which servers start and stop."""

    def __init__(self, directory: Path, sockets: Sockets, us: Account) -> None:
        """Make and start nothing yet: what was left behind may have to be stopped, and nothing else."""
        self._us = us
        self._directory = directory
        self._sockets = sockets
        self._password_file = directory / "postgres.password"
        self._log = directory / "postgres.log"
        self._account = us
        self._home = directory / "postgres"
        self._data = self._home / "data"
        self._residents: Residents | None = None
        self._password = ""
        self._log_since = self._log.stat().st_size if self._log.exists() else 0

    def launch(self) -> None:
        """Make the cluster, start the server or join the running one; wait for nothing that it does by itself."""
        self._account = account_for(self._data, self._us)
        self._home = home_of(self._directory, self._account, self._us)
        self._data = self._home / "data"
        if not self._data.exists():
            self._create_cluster()
        self._check_cluster()
        self._residents = Residents(self._data, "postgres", pid_file=self._data / "postmaster.pid")
        if not self._is_running(self._residents):
            self._start(self._residents)

    def ensure(self) -> dict[str, str]:
        """Wait for the server that was launched; return its settings."""
        if self._residents is None:
            self.launch()
        self._wait_for_login()
        return {
            "DB__HOST": str(self._sockets.current("p")),
            "DB__PORT": str(PORT),
            "DB__USER": NAME,
            "DB__PASSWORD": self._password,
            "DB__NAME": NAME,
        }

    def request_stop(self) -> None:
        """Ask for a fast shutdown: open transactions are rolled back, the rest is kept."""
        if self._residents is None and self._data.is_dir():
            self._residents = Residents(self._data, "postgres", pid_file=self._data / "postmaster.pid")
        if self._residents is not None:
            self._residents.signal(signal.SIGINT)

    def wait_stopped(self) -> None:
        """Wait for it, at last without a checkpoint; the next start then replays the log."""
        residents = self._residents
        if residents is None or residents.wait_gone(_FAST_STOP_S):
            return
        self.request_stop()  # on a busy machine, one request was once not enough
        if residents.wait_gone(_FAST_STOP_S):
            return
        residents.signal(signal.SIGQUIT)
        if not residents.wait_gone(5):
            raise LocalServerError(f"The local PostgreSQL in {self._data} does not stop: process {residents.leaders()}.")

    def release(self) -> None:
        """Leave it to the processes that still use it."""
        if self._residents is not None:
            self._residents.release()

    def _create_cluster(self) -> None:
        """Prepare everything in a directory beside it, so that an interruption leaves no half of a cluster."""
        self._remove_halves()
        need_space(self._home, _CLUSTER_MB)
        programs = postgres_programs(self._account, self._home)
        password = make_secret(self._password_file, self._us)
        # A new name each time: an initdb whose starter was killed may still write to the old one.
        partial = make_private(self._home / f"data.partial-{secrets.token_hex(4)}", self._account)
        for_initdb = self._home / "initdb.password"
        write_private(for_initdb, password + "\n", self._account)
        try:
            options = (*_INITDB_OPTIONS, f"--lc-ctype={_character_type()}", f"--pwfile={for_initdb}")
            self._prepare([programs / "initdb", *options, "-D", partial])
            single: list[str | Path] = [programs / "postgres", "--single", "-D", partial, "postgres"]
            self._prepare(single, f"CREATE DATABASE {NAME}\n")
            with (partial / "postgresql.conf").open("a") as file:
                file.write("include '../server.conf'\n")
            partial.rename(self._data)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            for_initdb.unlink(missing_ok=True)

    def _remove_halves(self) -> None:
        """Delete what interrupted starts left; an initdb that outlived its starter goes on writing for a moment."""
        deadline = time.monotonic() + _ORPHAN_S
        while halves := list(self._home.glob("data.partial-*")):
            for half in halves:
                shutil.rmtree(half, ignore_errors=True)
            if time.monotonic() > deadline:
                return
            time.sleep(_POLL_S)

    def _prepare(self, command: list[str | Path], text: str = "") -> None:
        with open_log(self._log, self._us) as (log, since):
            process = self._account.spawn(command, cwd=self._home, stdin=subprocess.PIPE, output=log)
            try:
                process.communicate(text.encode(), timeout=_INITDB_S)
            except subprocess.TimeoutExpired:
                raise from_failed_start("PostgreSQL", self._log, since, "was not prepared in time") from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if process.returncode != 0:
            raise from_failed_start("PostgreSQL", self._log, since, "cannot be prepared")

    def _check_cluster(self) -> None:
        try:
            major = (self._data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise LocalServerError(f"{self._data} is not a PostgreSQL cluster: remove it and start again.") from None
        wanted = postgres_version().partition(".")[0]
        if major != wanted:
            raise LocalServerError(
                f"The local database {self._data} was made by PostgreSQL {major}, and this is PostgreSQL {wanted}: "
                f"move its data with pg_dump, or remove it to start with an empty one."
            )
        password = read_secret(self._password_file)
        if password is None:
            raise LocalServerError(
                f"The password file {self._password_file} of the local PostgreSQL is missing or empty: put it back, "
                f"or remove {self._data} to start with an empty database."
            )
        self._password = password

    def _is_running(self, residents: Residents) -> bool:
        """Whether it runs and can be reached; what is left of a crash is waited for and cleared away."""
        if self._postmaster() in residents.find():
            # A cleaner of the temporary directory may have taken the socket of a server that is ready.
            if self._socket().exists() or self._pid_file_line(8) != "ready":
                return True
            residents.signal(signal.SIGINT)
        if not residents.wait_gone(_FAST_STOP_S):
            raise LocalServerError(f"A crashed local PostgreSQL has left processes behind: {residents.leaders()}.")
        # Nobody works in the directory, so the number in the file is a zombie's or a stranger's.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        return False

    def _postmaster(self) -> int:
        number = self._pid_file_line(1)
        return int(number) if number.isdigit() else 0

    def _pid_file_line(self, number: int) -> str:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()[number - 1].strip()
        except (OSError, IndexError):
            return ""

    def _socket(self) -> Path:
        return self._sockets.current("p") / f".s.PGSQL.{PORT}"

    def _start(self, residents: Residents) -> None:
        programs = postgres_programs(self._account, self._home)
        sockets = self._sockets.fresh("p", self._account)
        directory = str(sockets).replace("'", "''")
        settings = f"listen_addresses = ''\nport = {PORT}\nunix_socket_directories = '{directory}'\n"
        write_private(self._home / "server.conf", settings, self._account)
        with open_log(self._log, self._us) as (log, self._log_since):
            command: list[str | Path] = [programs / "postgres", "-D", self._data]
            residents.adopt(self._account.spawn(command, cwd=self._home, output=log))

    def _wait_for_login(self) -> None:
        """A server that replays its log, or that was started by a process that is gone, may need a while."""
        deadline = time.monotonic() + _START_S
        while not self._can_log_in():
            if self._residents is None or not self._residents.find():
                raise from_failed_start("PostgreSQL", self._log, self._log_since, "did not start")
            if time.monotonic() > deadline:
                outcome = f"took more than {_START_S} s to start"
                raise from_failed_start("PostgreSQL", self._log, self._log_since, outcome)
            time.sleep(_POLL_S)

    def _can_log_in(self) -> bool:
        # While it replays its log each attempt would only take time from it.
        if not self._socket().exists() or self._pid_file_line(8) != "ready":
            return False
        with ThreadPoolExecutor(1) as pool:  # the caller's thread may have an event loop of its own
            return pool.submit(lambda: asyncio.run(self._log_in())).result()

    async def _log_in(self) -> bool:
        try:
            connection = await asyncpg.connect(
                host=str(self._sockets.current("p")),
                port=PORT,
                user=NAME,
                password=self._password,
                database=NAME,
                timeout=5,
            )
        except asyncpg.InvalidPasswordError as error:
            raise LocalServerError(
                f"The local PostgreSQL does not accept the password in {self._password_file}: put the right one back, "
                f"or remove {self._data} to start with an empty database."
            ) from error
        except asyncpg.InvalidCatalogNameError as error:
            raise LocalServerError(f"The local PostgreSQL in {self._data} has no database {NAME}.") from error
        except asyncpg.TooManyConnectionsError:
            return True
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        with suppress(OSError, asyncpg.PostgresError):
            await connection.close(timeout=5)
        return True
