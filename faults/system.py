"""The system under test: PostgreSQL and Redis of its own behind networks that can be cut, and `main.py serve`."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

import asyncpg

from fastapi_application.core.config import PROJECT_ROOT, Settings
from fastapi_application.local import local_servers, remove_local
from fastapi_application.local.processes import Residents
from faults.client import Client
from faults.proxy import Network, Proxy

if TYPE_CHECKING:
    from collections.abc import Iterable

MAIN = (sys.executable, str(PROJECT_ROOT / "main.py"))
EMAIL, PASSWORD = "faults@example.org", "a long password for faults"
START_S = 120
STOP_S = 60
_UNIX_URL = re.compile(r"unix://:(?P<password>[^@]*)@(?P<path>[^?]+)")


class FaultsError(Exception):
    """The system could not be brought to where a scenario begins."""


class System:
    """Servers and the service. `with` stops everything and removes it."""

    def __init__(self, directory: Path, *, workers: int = 2) -> None:
        """Start nothing yet."""
        self.directory = directory
        self.workers = workers
        self.port = free_port()
        self.metrics_port = free_port()
        self.log = directory / "service.log"
        self._variables: dict[str, str] = {}
        self._users = ExitStack()
        self.database = Proxy(lambda: f"{self._variables['DB__HOST']}/.s.PGSQL.{self._variables['DB__PORT']}")
        self.redis = Proxy(lambda: unquote(self._redis_url()["path"]))
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""

    def __enter__(self) -> Self:
        """Start the servers and fill the database."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.start_servers()
        self.open_networks()
        self._command("migrate")
        self._command("seed", "--no-progress")
        self._command("create-user", "--email", EMAIL, "--role", "administrator", "--password", PASSWORD)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self.end_service()
        self.thaw()
        self.database.close()
        self.redis.close()
        self._users.close()
        remove_local(self.directory)

    # --- servers ----------------------------------------------------------------------------------------------------

    def start_servers(self) -> None:
        """Start what does not run."""
        users = ExitStack()
        self._variables = users.enter_context(local_servers(self.directory, postgres=True, redis=True))
        self._users.push(users.pop_all())

    def open_networks(self) -> None:
        """Let everything through."""
        self.database.set(Network.OPEN)
        self.redis.set(Network.OPEN)

    def postgres_pids(self) -> set[int]:
        """Return the processes of PostgreSQL."""
        data = self.directory / "postgres/data"
        return Residents(data, "postgres", pid_file=data / "postmaster.pid").find()

    def redis_pids(self) -> set[int]:
        """Return the process of Redis."""
        data = self.directory / "redis"
        return Residents(data, "redis-server", "valkey-server", pid_file=data / "server.pid").find()

    def thaw(self) -> None:
        """Let frozen servers go on."""
        send_all(self.postgres_pids() | self.redis_pids(), signal.SIGCONT)

    def crash_postgres(self) -> None:
        """End it as `pg_ctl stop -m immediate` does: without a checkpoint, and without a word to clients."""
        data = self.directory / "postgres/data"
        residents = Residents(data, "postgres", pid_file=data / "postmaster.pid")
        residents.signal(signal.SIGQUIT)
        if not residents.wait_gone(15):
            raise FaultsError("PostgreSQL does not end")

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """Look at the database past the network of the service."""
        names = self._variables
        return await asyncpg.connect(
            host=names["DB__HOST"],
            port=int(names["DB__PORT"]),
            user=names["DB__USER"],
            password=names["DB__PASSWORD"],
            database=names["DB__NAME"],
        )

    async def query(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Ask the database."""
        connection = await self.connect()
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    async def idle_in_transaction(self) -> int:
        """Count the service's sessions that hold a transaction and do nothing."""
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'frankenjet' AND state LIKE 'idle in transaction%'"
        return int((await self.query(statement))[0][0])

    def redis_command(self, *words: str) -> str:
        """Send Redis a command past the network of the service."""
        url = self._redis_url()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(unquote(url["path"]))
            for command in (("AUTH", unquote(url["password"])), words):
                connection.sendall(
                    f"*{len(command)}\r\n".encode() + b"".join(b"$%d\r\n%b\r\n" % (len(w.encode()), w.encode()) for w in command)
                )
                answer = connection.recv(65536).decode(errors="replace")
        return answer

    def _redis_url(self) -> dict[str, str]:
        found = _UNIX_URL.match(self._variables["REDIS__URL"])
        if found is None:
            raise FaultsError("Redis is not on a Unix socket")
        return found.groupdict()

    # --- the service ------------------------------------------------------------------------------------------------

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment of the service: everything passes the networks that can be cut."""
        groups = {name.upper() for name in Settings.model_fields}
        inherited = {name: value for name, value in os.environ.items() if name.partition("__")[0] not in groups}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # started often: compiled once, but not into the project
        return {
            **inherited,
            "PYTHONPYCACHEPREFIX": str(self.directory / "compiled"),
            "LOCAL__DIR": str(self.directory),
            "APP__DEBUG_HEADERS": "true",
            "LOG__FILE": str(self.log),
            "RATE_LIMIT__ENABLED": "false",
            "AUTH__ACCESS_TTL_S": "86400",
            "METRICS__PORT": str(self.metrics_port),
            "SERVER__WORKERS": str(self.workers),
            "SERVER__PORT": str(self.port),
            **self._variables,
            "DB__HOST": "127.0.0.1",
            "DB__PORT": str(self.database.port),
            "REDIS__URL": f"redis://:{self._redis_url()['password']}@127.0.0.1:{self.redis.port}/0",
            **settings,
        }

    def _command(self, *words: str) -> None:
        result = subprocess.run([*MAIN, *words], env=self.environment(), capture_output=True, text=True, timeout=START_S * 2, check=False)
        if result.returncode != 0:
            raise FaultsError(f"main.py {words[0]}: {result.stderr[-2000:]}")

    def start_service(self, **settings: str) -> None:
        """Start the service and wait until it answers at all."""
        with self.log.with_suffix(".stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [*MAIN, "serve"], env=self.environment(**settings), stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
            )
        self.wait(lambda: self.get("/api/v1/health/live")[0] == 200, "live")  # noqa: PLR2004 - HTTP

    async def ready_service(self, **settings: str) -> None:
        """Start the service if it does not run, wait until it is ready, and sign in."""
        if self.process is None or self.process.poll() is not None:
            self.start_service(**settings)
        self.wait(self.is_ready, "ready")
        if not self.token:
            await self._sign_in()

    async def _sign_in(self) -> None:
        client = Client(self.port)
        body = f"username={EMAIL.replace('@', '%40')}&password={PASSWORD.replace(' ', '+')}".encode()
        form = "application/x-www-form-urlencoded"
        head = f"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: {form}\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = await client.send(head.encode() + body)
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            raise FaultsError(f"cannot sign in: {answer.status} {answer.body!r}")
        self.token = json.loads(answer.body)["access_token"]
        client.close()

    def is_ready(self) -> bool:
        """Whether the service says that it is ready."""
        return self.get("/api/v1/health/ready")[0] == 200  # noqa: PLR2004 - HTTP

    def get(self, path: str, *, timeout_s: float = 5) -> tuple[int, dict[str, str], float]:
        """Ask once, on a connection of its own; return status, headers and seconds. No answer is status 0."""
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0, {}, time.monotonic() - began
        finally:
            connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, time.monotonic() - began

    def worker_pids(self, tries: int = 40) -> set[int]:
        """Return the processes that answer, by what they say themselves."""
        found = (self.get("/api/v1/health/live")[1].get("x-worker") for _ in range(tries))
        return {int(pid) for pid in found if pid}

    def wait(self, condition: Any, what: str, *, seconds: float = START_S) -> float:
        """Wait for a condition; return the seconds that it took."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise FaultsError(f"waited {seconds} s for: {what}")
            time.sleep(0.05)
        return time.monotonic() - began

    def terminate_service(self) -> tuple[int, float]:
        """Send SIGTERM; return exit status and seconds."""
        if self.process is None:
            raise FaultsError("the service does not run")
        began = time.monotonic()
        self.process.terminate()
        return self.process.wait(STOP_S), time.monotonic() - began

    def kill_service(self) -> None:
        """Kill every process of the service at once."""
        if self.process is not None:
            send_all(group_of(self.process.pid), signal.SIGKILL)
            self.process.wait()

    def end_service(self) -> None:
        """Stop what runs, by force if need be."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.terminate_service()
            except subprocess.TimeoutExpired:
                self.kill_service()

    def resident_bytes(self) -> int:
        """Return the memory of the service's largest process."""
        return max((_resident(pid) for pid in group_of(self.process.pid)), default=0) if self.process is not None else 0


async def sleep_until(condition: Any, *, seconds: float, step_s: float = 0.05) -> float:
    """Wait for a condition without stopping the load; return the seconds that it took, or `seconds`."""
    began = time.monotonic()
    while not await asyncio.to_thread(condition) and time.monotonic() - began < seconds:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(step_s)
    return time.monotonic() - began


def send_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes of this system."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def group_of(leader: int) -> set[int]:
    """Return the processes of a group."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            group = (entry / "stat").read_text().rpartition(")")[2].split()[2]
        except (OSError, IndexError):
            continue
        if group == str(leader):
            found.add(int(entry.name))
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
