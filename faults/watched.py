"""A service with all that Prometheus watches: two processes, a worker, a mail server that answers as it is told, and steady traffic."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import subprocess
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP
from PIL import Image

from faults.client import Client
from faults.system import MAIN, System, free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from faults.client import Answer

    type Ask = Callable[[], Awaitable[Answer]]

CACHED = "/api/v1/aircraft/concorde"
API, WORKER = "frankenjet-api", "frankenjet-worker"
"""The jobs of prometheus.yml."""
PLENTY = "1000000000/60"
_POLICIES = ("ANONYMOUS", "READER", "EDITOR", "MODERATOR", "ADMINISTRATOR", "SEARCH", "LOGIN", "REGISTER", "PASSWORD_RESET", "UPLOAD")
_WORKER_STOP_S = 30
_PAUSE_S = 0.1


class MailServer:
    """Takes mails in the loop of this process, or refuses them."""

    def __init__(self) -> None:
        """Accept everything."""
        self.port = 0
        self.answer = "250 OK"
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, hostname="localhost", loop=loop), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def handle_DATA(self, *_: object) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer the end of a mail."""
        return self.answer


class Watched(System):
    """The system of the faults, with limits that are counted but not met, and with a worker."""

    def __init__(self, directory: Path) -> None:
        """Start nothing yet."""
        super().__init__(directory)
        self.worker_metrics_port = free_port()
        self.mail = MailServer()
        self.worker: subprocess.Popen[bytes] | None = None

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self.end_worker()
        super().__exit__(*_)

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment of the service and the worker."""
        limits = {"RATE_LIMIT__ENABLED": "true", **{f"RATE_LIMIT__{name}": PLENTY for name in _POLICIES}}
        mail = {"MAIL__HOST": "127.0.0.1", "MAIL__PORT": str(self.mail.port), "MAIL__TLS": "none"} if self.mail.port else {}
        return super().environment(**limits, **mail, **settings)

    def start_worker(self) -> None:
        """Start what sends the mails."""
        variables = self.environment(METRICS__PORT=str(self.worker_metrics_port), LOG__FILE=str(self.directory / "worker.log"))
        with (self.directory / "worker.stderr").open("ab") as errors:
            self.worker = subprocess.Popen(
                [*MAIN, "worker"], env=variables, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
            )

    def end_worker(self) -> None:
        """Stop it, by force if need be."""
        if self.worker is not None and self.worker.poll() is None:
            self.worker.terminate()
            try:
                self.worker.wait(_WORKER_STOP_S)
            except subprocess.TimeoutExpired:
                self.worker.kill()
                self.worker.wait()

    def kill_worker(self) -> None:
        """End it without a word."""
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()

    async def execute(self, statements: str) -> None:
        """Change the database past the service."""
        connection = await self.connect()
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    async def restart_service(self, **settings: str) -> None:
        """Begin anew with other settings."""
        await asyncio.to_thread(self.end_service)
        await self.ready_service(**settings)


class Traffic:
    """What a small encyclopedia is asked all the time: readers, a signed-in editor, new accounts, a picture now and then."""

    def __init__(self, system: Watched) -> None:
        """Ask nothing yet."""
        self._system = system
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        public, editor = Client(self._system.port), Client(self._system.port, self._system.token)
        self._tasks = [
            asyncio.create_task(self._repeat(lambda: public.ask("GET", CACHED), _PAUSE_S)),
            asyncio.create_task(self._repeat(lambda: editor.ask("GET", "/api/v1/aircraft?size=5"), _PAUSE_S)),
            asyncio.create_task(self._repeat(lambda: self._write(editor), 1)),
            asyncio.create_task(self._repeat(lambda: self._register(public), 2)),
            asyncio.create_task(self._repeat(lambda: self._upload(editor), 10)),
        ]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, ask: Ask, pause_s: float) -> None:
        while True:
            await ask()
            await asyncio.sleep(pause_s)

    async def _write(self, client: Client) -> Answer:
        body = json.dumps({"name": f"watched {next(self._numbers)}", "category": "role"}).encode()
        return await client.ask("POST", "/api/v1/tags?comment=faults", body)

    async def _register(self, client: Client) -> Answer:
        body = {"email": f"watched{next(self._numbers)}@example.org", "password": "a long password for faults"}
        return await client.ask("POST", "/api/v1/auth/register", json.dumps(body).encode())

    async def _upload(self, client: Client) -> Answer:
        number = next(self._numbers)
        picture = io.BytesIO()
        Image.new("RGB", (64, 64), (number % 256, number // 256 % 256, 99)).save(picture, "PNG")
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        body = head + picture.getvalue() + b"\r\n--x--\r\n"
        request = client.encode("POST", "/api/v1/images?comment=faults", body).replace(
            b"application/json", b"multipart/form-data; boundary=x"
        )
        return await client.send(request)
