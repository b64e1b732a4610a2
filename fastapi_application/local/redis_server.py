"""Redis (or Valkey) on a Unix socket, with a password, keeping its state over a restart."""

import socket
import time
from pathlib import Path
from signal import SIGKILL, SIGTERM
from urllib.parse import quote

from fastapi_application.local.account import Account
from fastapi_application.local.directories import Sockets, make_private, make_secret, read_secret, write_private
from fastapi_application.local.errors import LocalServerError, from_failed_start
from fastapi_application.local.logs import open_log
from fastapi_application.local.processes import Residents
from fastapi_application.local.programs import redis_program

_START_S = 60
_STOP_S = 20
_POLL_S = 0.02
_PROCESS_NAMES = ("redis-server", "valkey-server")
_SETTINGS = """\
port 0
unixsocketperm 700
daemonize no
save 3600 1 300 100 60 10000
appendonly yes
appendfsync everysec
maxmemory 256mb
maxmemory-policy volatile-lru
"""


class Redis:
    """The server of one LOCAL__DIR. The caller holds the lock under which servers start and stop."""

    def __init__(self, directory: Path, sockets: Sockets, us: Account) -> None:
        """Make the place of its files; start nothing yet."""
        self._us = us
        self._sockets = sockets
        self._data = make_private(directory / "redis", us)
        self._password_file = directory / "redis.password"
        self._log = directory / "redis.log"
        self._pid_file = self._data / "server.pid"
        self._residents = Residents(self._data, *_PROCESS_NAMES, pid_file=self._pid_file)
        self._password = ""

    def ensure(self) -> dict[str, str]:
        """Start the server or join the running one; return its settings."""
        deadline = time.monotonic() + _START_S
        self._password = read_secret(self._password_file) or make_secret(self._password_file, self._us)
        since = self._log.stat().st_size if self._log.exists() else 0
        if not self._is_running():
            since = self._start()
        while not self._answers():
            if not self._residents.find():
                raise from_failed_start("Redis", self._log, since, "did not start")
            if time.monotonic() > deadline:
                raise from_failed_start("Redis", self._log, since, f"took more than {_START_S} s to start")
            time.sleep(_POLL_S)
        return {"REDIS__URL": f"unix://:{self._password}@{quote(str(self._socket()))}?db=0"}

    def request_stop(self) -> None:
        """Ask it to write what it holds and to end."""
        self._residents.signal(SIGTERM)

    def wait_stopped(self) -> None:
        """Wait for it; one that cannot save (a full disk) is killed, its append-only file is complete to 1 s."""
        if not self._residents.wait_gone(_STOP_S):
            self._residents.signal(SIGKILL)
            self._residents.wait_gone(5)

    def release(self) -> None:
        """Leave it to the processes that still use it."""
        self._residents.release()

    def _socket(self) -> Path:
        return self._sockets.current("r") / "s"

    def _is_running(self) -> bool:
        if not self._residents.find():
            return False
        if self._socket().exists():
            return True
        # A cleaner of the temporary directory took its socket: two servers must not share the files.
        self.request_stop()
        self.wait_stopped()
        return False

    def _start(self) -> int:
        directory = self._sockets.fresh("r", self._us)
        config = self._data / "server.conf"
        write_private(config, _SETTINGS + self._own_settings(directory / "s"), self._us)
        with open_log(self._log, self._us) as (log, since):
            self._residents.adopt(self._us.spawn([redis_program(), config], cwd=self._data, output=log))
        return since

    def _own_settings(self, path: Path) -> str:
        return (
            f"unixsocket {_quoted(path)}\n"
            f"requirepass {self._password}\n"
            f"dir {_quoted(self._data)}\n"
            f"logfile {_quoted(self._log)}\n"
            f"pidfile {_quoted(self._pid_file)}\n"
        )

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self._socket()))
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = _read_lines(connection, 2)
        except OSError:
            return False
        if answer.startswith((b"-WRONGPASS", b"-ERR")):
            raise LocalServerError(
                f"The local Redis does not accept the password in {self._password_file}: "
                f"end its process {self._residents.leaders()} and start again."
            )
        return answer == b"+OK\r\n+PONG\r\n"


def _read_lines(connection: socket.socket, count: int) -> bytes:
    answer = b""
    while answer.count(b"\n") < count:
        more = connection.recv(256)
        if not more:
            break
        answer += more
    return answer


def _quoted(path: Path) -> str:
    """A path as a configuration file wants it, whatever is in its name."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
