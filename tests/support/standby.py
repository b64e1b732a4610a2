"""A streaming replica of a local PostgreSQL, such as that of a test run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy import URL

from fastapi_application.local.account import account_for, ourselves
from fastapi_application.local.programs import client_programs, postgres_programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi_application.core.config import DatabaseSettings

START_S = 60
PORT = "5432"


class Standby:
    """The server: it can be frozen, and ended."""

    def __init__(self, process: subprocess.Popen[bytes], sockets: Path) -> None:
        """Know where it is."""
        self._process = process
        self.sockets = sockets

    def beside(self, primary: DatabaseSettings) -> DatabaseSettings:
        """Return the settings of the primary with the replica in them."""
        query = {"host": str(self.sockets), "port": PORT}
        url = URL.create("postgresql", primary.user, primary.password.get_secret_value(), database=primary.name, query=query)
        return primary.model_copy(update={"replica_url": SecretStr(url.render_as_string(hide_password=False))})

    def freeze(self) -> None:
        """Stop every process of it in the middle of whatever it does."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        for pid in self._children():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for pid in (*self._children(), self._process.pid):
            os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        """End it at once."""
        self.thaw()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(START_S)

    def _children(self) -> list[int]:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.is_file() else []


@contextmanager
def standby(directory: Path, primary: DatabaseSettings) -> Iterator[Standby]:
    """Copy the server of a LOCAL__DIR as it is, and let the copy follow it."""
    account = account_for(directory / "postgres/data", ourselves())
    home = (directory / "postgres").resolve()
    data, sockets = home / f"standby-{os.getpid()}", Path(tempfile.mkdtemp(prefix="frankenjet-standby-"))
    _copy(primary, data)
    for path in (sockets, data, *data.rglob("*")):
        account.own(path)
    log = directory / "standby.log"
    words: list[str | Path] = ["-D", data, "-c", f"unix_socket_directories={sockets}", "-c", f"port={PORT}", "-c", "listen_addresses="]
    with log.open("wb") as output:
        process = account.spawn([postgres_programs(account, home) / "postgres", *words], cwd=home, output=output)
    server = Standby(process, sockets)
    try:
        deadline = time.monotonic() + START_S
        while not _is_ready(data):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield server
    finally:
        if process.poll() is None:
            server.end()
        shutil.rmtree(data)
        shutil.rmtree(sockets)


def _copy(primary: DatabaseSettings, data: Path) -> None:
    programs = client_programs()
    assert programs is not None
    words = [str(programs / "pg_basebackup"), "--pgdata", str(data), "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf"]
    words += ["--host", str(primary.host), "--port", str(primary.port), "--username", primary.user, "--no-sync"]
    env = {**os.environ, "PGPASSWORD": primary.password.get_secret_value()}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _is_ready(data: Path) -> bool:
    try:
        return (data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    except (OSError, IndexError):
        return False
