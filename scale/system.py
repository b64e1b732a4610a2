"""The scaled-out system: started in order, and nothing left of it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import asyncpg
import httpx
from sqlalchemy import URL

from fastapi_application.core.config import PROJECT_ROOT, DatabaseSettings, Settings
from fastapi_application.local import local_servers, remove_local
from fastapi_application.local.account import account_for, ourselves
from fastapi_application.local.directories import write_private
from scale.programs import Upstream, nginx_conf, pgbouncer_ini
from scale.roles import OWNER, ROLE, create_roles
from tests.support.standby import standby

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAIN = (sys.executable, str(PROJECT_ROOT / "main.py"))
EMAIL, PASSWORD = "scale@example.org", "a long password for scaling out"
START_S = 120
STOP_S = 40
_QUOTAS = ("ANONYMOUS", "READER", "EDITOR", "MODERATOR", "ADMINISTRATOR", "SEARCH", "LOGIN", "REGISTER", "PASSWORD_RESET", "UPLOAD")


class ScaleError(Exception):
    """The system does not come up."""


class ScaledSystem:
    """PostgreSQL and its replica, Redis, PgBouncer, API processes, a worker, nginx. `with` stops everything and removes it."""

    def __init__(self, directory: Path, nginx: str, pgbouncer: str) -> None:
        """Choose ports; start nothing yet."""
        self.directory = directory
        self.port, self.pgbouncer_port, self._redirecting = free_port(), free_port(), free_port()
        self.apis, self.metrics = [free_port(), free_port()], [free_port(), free_port()]
        self._uncached = free_port()
        self._programs = {"nginx": nginx, "pgbouncer": pgbouncer}
        self._stack = ExitStack()
        self._pgbouncer: subprocess.Popen[bytes] | None = None
        self._servers: dict[str, str] = {}
        self._secrets = {name: secrets.token_hex(24) for name in (ROLE, OWNER, "reset", "verify")}

    def __enter__(self) -> Self:
        """Start everything in the order of a deployment."""
        self.directory.mkdir(parents=True)
        try:
            self._stack.callback(remove_local, self.directory)
            self._servers = self._stack.enter_context(local_servers(self.directory, postgres=True, redis=True))
            create_roles(self._servers, self._secrets)
            primary = DatabaseSettings.model_validate(
                {name[4:].lower(): value for name, value in self._servers.items() if name[:4] == "DB__"}
            )
            self.replica = self._stack.enter_context(standby(self.directory, primary))
            self._start_pgbouncer()
            self.command("migrate")
            self.command("create-user", "--email", EMAIL, "--role", "administrator", "--password", PASSWORD)
            for index, port in enumerate(self.apis):
                words = ("serve", "--port", str(port), "--workers", "1")
                self._start(f"api-{index}", [*MAIN, *words], METRICS__PORT=str(self.metrics[index]))
            self._start("api-uncached", [*MAIN, "serve", "--port", str(self._uncached), "--workers", "1"], CACHE__ENABLED="false")
            self._start("worker", [*MAIN, "worker"])
            for port in (*self.apis, self._uncached):
                self._wait_for(port)
            self._start_nginx()
            self._wait_for(self.port)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop in the reverse order, and remove everything."""
        self._stack.close()

    @property
    def address(self) -> str:
        """What readers see."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_addresses(self) -> list[str]:
        """Each process by itself."""
        return [f"http://127.0.0.1:{port}" for port in self.apis]

    @property
    def uncached_address(self) -> str:
        """A process without a cache, which reads from the replica what it may."""
        return f"http://127.0.0.1:{self._uncached}"

    def direct(self) -> dict[str, str]:
        """Return the settings that lead to the servers themselves, as the role that owns the tables."""
        return {**self._servers, "DB__USER": OWNER, "DB__PASSWORD": self._secrets[OWNER]}

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment of the application's processes: requests and jobs pass PgBouncer, commands do not."""
        groups = {name.upper() for name in Settings.model_fields}
        inherited = {name: value for name, value in os.environ.items() if name.partition("__")[0] not in groups}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            **inherited,
            "PYTHONPYCACHEPREFIX": str(self.directory / "compiled"),
            "LOCAL__DIR": str(self.directory),
            "LOG__LEVEL": "WARNING",
            "SERVER__TRUSTED_PROXIES": "127.0.0.1/32",
            "AUTH__ACCESS_TTL_S": "86400",
            "AUTH__LOGIN_FREE_FAILURES": "1000000",
            **{f"RATE_LIMIT__{name}": "1000000000/60" for name in _QUOTAS},
            "ACCESS_TOKEN__RESET_PASSWORD_TOKEN_SECRET": self._secrets["reset"],
            "ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET": self._secrets["verify"],
            "REDIS__URL": self._servers["REDIS__URL"],
            "DB__HOST": "127.0.0.1",
            "DB__PORT": str(self.pgbouncer_port),
            "DB__USER": ROLE,
            "DB__PASSWORD": self._secrets[ROLE],
            "DB__NAME": self._servers["DB__NAME"],
            "DB__PGBOUNCER": "true",
            "DB__REPLICA_URL": f"postgresql://{ROLE}:{self._secrets[ROLE]}@127.0.0.1:{self.pgbouncer_port}/frankenjet_replica",
            **settings,
        }

    def _migration_url(self) -> str:
        names = self.direct()
        socket_of = {"host": names["DB__HOST"], "port": names["DB__PORT"]}
        url = URL.create("postgresql", names["DB__USER"], names["DB__PASSWORD"], database=names["DB__NAME"], query=socket_of)
        return url.render_as_string(hide_password=False)

    def pooled(self) -> dict[str, Any]:
        """Return what asyncpg needs to pass PgBouncer as the application does."""
        names = self.environment()
        place = {"host": names["DB__HOST"], "port": int(names["DB__PORT"]), "database": names["DB__NAME"]}
        return {**place, "user": names["DB__USER"], "password": names["DB__PASSWORD"], "statement_cache_size": 0}

    async def scans_at_replica(self) -> int:
        """Return how often the replica has looked into a table for somebody."""
        names = self.direct()
        connection = await asyncpg.connect(
            host=str(self.replica.sockets),
            port=int(names["DB__PORT"]),
            user=names["DB__USER"],
            password=names["DB__PASSWORD"],
            database=names["DB__NAME"],
        )
        try:
            return int(await connection.fetchval("SELECT sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0)) FROM pg_stat_user_tables"))
        finally:
            await connection.close()

    def command(self, *words: str, **settings: str) -> str:
        """Run a command of the application to its end; return what it printed.

        Raises:
            ScaleError: it failed.

        """
        env = self.environment(DB__MIGRATION_URL=self._migration_url(), **settings)
        result = subprocess.run([*MAIN, *words], env=env, capture_output=True, text=True, timeout=START_S, check=False)
        if result.returncode != 0:
            raise ScaleError(f"main.py {words[0]}: {result.stderr[-2000:] or result.stdout[-2000:]}")
        return result.stdout

    def log_of(self, name: str) -> str:
        """Return what a process has written."""
        path = self.directory / f"{name}.output"
        return path.read_text(errors="replace") if path.is_file() else ""

    # --- starting -----------------------------------------------------------------------------------------------------

    def _start_pgbouncer(self) -> None:
        """As PostgreSQL's user: it refuses to be root, and may be the only one that reaches the socket."""
        account = account_for(self.directory / "postgres/data", ourselves())
        home = (self.directory / "postgres").resolve()
        upstream = Upstream(self._servers["DB__HOST"], str(self.replica.sockets), self._servers["DB__PORT"])
        write_private(home / "userlist.txt", f'"{ROLE}" "{self._secrets[ROLE]}"\n', account)
        write_private(home / "pgbouncer.ini", pgbouncer_ini(self.pgbouncer_port, upstream, home / "userlist.txt"), account)
        self._stack.callback(self.stop_pgbouncer)
        self._pooler = (account, home)
        self.start_pgbouncer()

    def start_pgbouncer(self) -> None:
        """Start it, for the first time or again."""
        account, home = self._pooler
        with (self.directory / "pgbouncer.output").open("ab") as output:
            self._pgbouncer = account.spawn([self._programs["pgbouncer"], home / "pgbouncer.ini"], cwd=home, output=output)
        self._wait(lambda: _listens(self.pgbouncer_port), "pgbouncer")

    def stop_pgbouncer(self) -> None:
        """End it at once: its clients lose their connections."""
        if self._pgbouncer is not None:
            _end(self._pgbouncer)

    def _start_nginx(self) -> None:
        path = self.directory / "nginx.conf"
        path.write_text(nginx_conf(self.port, self._redirecting, self.apis, self.directory))
        self._start("nginx", [self._programs["nginx"], "-p", str(self.directory), "-e", "stderr", "-c", str(path)])

    def _start(self, name: str, command: list[str], **settings: str) -> None:
        output = self._stack.enter_context((self.directory / f"{name}.output").open("wb"))
        process = subprocess.Popen(
            command,
            env=self.environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._stack.callback(_end, process)

    def _wait_for(self, port: int) -> None:
        self._wait(lambda: _is_ready(port), f"port {port}")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_S
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(f"{path.name}: {path.read_text(errors='replace')[-2000:]}" for path in self.directory.glob("*.output"))
                raise ScaleError(f"{what} does not come up\n{logs}")
            time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/v1/health/ready", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
