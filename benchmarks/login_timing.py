"""What an attacker can time, and what logins cost everybody else. Run by `make bench-accounts`.

Starts servers of its own in a temporary directory, and one worker process. Prints the medians for addresses with and
without an account (interleaved, in milliseconds), their ratio, and how long `GET /health/live` takes while 32 clients
log in all the time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from fastapi_application.local import local_servers, remove_local

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]
TRIES = int(os.environ.get("TRIES", "200"))
CLIENTS = 32
SECONDS = float(os.environ.get("SECONDS", "15"))
PASSWORD = "correct horse battery staple"  # noqa: S105 - of a benchmark's account
SETTINGS = {"AUTH__LOGIN_FREE_FAILURES": "1000000000", "RATE_LIMIT__ENABLED": "false", "LOG__LEVEL": "WARNING"}


@contextmanager
def service() -> Iterator[str]:
    """Run PostgreSQL, Redis and one worker process; yield its address."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "local"
        with local_servers(directory, postgres=True, redis=True) as servers, socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            environment = {**os.environ, **SETTINGS, **servers, "LOCAL__DIR": str(directory)}
            run("migrate", environment=environment)
            run("create-user", "--email", "known@example.org", "--role", "reader", "--password", PASSWORD, environment=environment)
            probe.close()
            command = [sys.executable, "main.py", "serve", "--port", str(port)]
            with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
                try:
                    wait_until_live(f"http://127.0.0.1:{port}")
                    yield f"http://127.0.0.1:{port}"
                finally:
                    process.terminate()
        remove_local(directory)


def run(*words: str, environment: dict[str, str]) -> None:
    """Run a command of the application."""
    subprocess.run([sys.executable, "main.py", *words], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


def wait_until_live(address: str) -> None:
    """Wait for the first answer."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{address}/api/v1/health/live")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    sys.exit("the service did not start")


async def timed(request: Callable[[], Awaitable[httpx.Response]], status: int) -> float:
    """Return the milliseconds that an answer takes."""
    begin = time.perf_counter()
    answer = await request()
    elapsed = (time.perf_counter() - begin) * 1000
    if answer.status_code != status:
        sys.exit(f"expected {status}: {answer.status_code} {answer.text}")
    return elapsed


async def compare(name: str, status: int, send: Callable[[str], Awaitable[httpx.Response]]) -> None:
    """Send the same to an address with an account and to ones without, in turns."""
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    for index in range(TRIES + 10):
        for kind in sorted(times, reverse=bool(index % 2)):
            address = "known@example.org" if kind == "known" else f"nobody-{uuid.uuid4()}@example.org"
            elapsed = await timed(lambda address=address: send(address), status)  # type: ignore[misc]
            if index >= 10:  # noqa: PLR2004 - warming up
                times[kind].append(elapsed)
    known, unknown = (statistics.median(times[kind]) for kind in ("known", "unknown"))
    print(f"{name:24} known {known:7.2f} ms   unknown {unknown:7.2f} ms   ratio {known / unknown:.3f}")


async def measure_health(client: httpx.AsyncClient, *, busy: bool) -> None:
    """Time the health page for a while, alone or while others log in."""
    over = time.perf_counter() + SECONDS
    logins = 0

    async def log_in_all_the_time() -> None:
        nonlocal logins
        while time.perf_counter() < over:
            await client.post("/api/v1/auth/login", data={"username": "known@example.org", "password": PASSWORD})
            logins += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS if busy else 0):
            group.create_task(log_in_all_the_time())
        times = []
        while time.perf_counter() < over:
            times.append(await timed(lambda: client.get("/api/v1/health/live"), 200))
            await asyncio.sleep(0.01)
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    what = f"{CLIENTS} logins at once" if busy else "nobody logs in"
    print(f"/health/live, {what:20} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   ({logins / SECONDS:.0f} logins/s)")


async def main() -> None:
    """Measure everything and print it."""
    with service() as address:
        async with httpx.AsyncClient(base_url=address, timeout=30, limits=httpx.Limits(max_connections=64)) as client:
            await compare("login, wrong password", 400, lambda email: _form(client, email))
            for path, more in (("register", {"password": PASSWORD}), ("forgot-password", {}), ("request-verify-token", {})):
                await compare(path, 202, lambda email, path=path, more=more: _json(client, path, email, more))  # type: ignore[misc]
            for busy in (False, True):
                await measure_health(client, busy=busy)


async def _form(client: httpx.AsyncClient, email: str) -> httpx.Response:
    return await client.post("/api/v1/auth/login", data={"username": email, "password": "wrong"})


async def _json(client: httpx.AsyncClient, path: str, email: str, more: dict[str, str]) -> httpx.Response:
    return await client.post(f"/api/v1/auth/{path}", json={"email": email, **more})


if __name__ == "__main__":
    asyncio.run(main())
