"""A Redis of a test's own: it can be frozen, killed, emptied and restarted from an older dump."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from fastapi_application.core.config import RedisSettings
from fastapi_application.local.programs import redis_program
from tests.support.commands import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_S = 30


class PrivateRedis:
    """A server on a port of its own, without persistence but what a test asks for."""

    def __init__(self, directory: Path) -> None:
        """Choose a port; start nothing yet."""
        self.directory = directory
        self.port = free_port()
        self.settings = RedisSettings(host="127.0.0.1", port=self.port)
        self.environment = {"REDIS__HOST": "127.0.0.1", "REDIS__PORT": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, with the last dump if there is one, and wait until it answers."""
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.directory)]
        self._process = subprocess.Popen([redis_program(), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, "Redis did not start"
            assert time.monotonic() < deadline, "Redis did not start in time"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it hang: it accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> Redis:
        """Return a client of the test's own; close it."""
        return Redis(port=self.port)

    def keep_dump(self) -> None:
        """Write down what it holds; `start` begins with that from now on."""
        with self.client() as client:
            client.save()
        shutil.copy(self.directory / "dump.rdb", self.directory / "older.rdb")

    def restore_dump(self) -> None:
        """Restart as it was at `keep_dump`."""
        self.kill()
        shutil.copy(self.directory / "older.rdb", self.directory / "dump.rdb")
        self.start()

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.kill()

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisConnectionError:
            return False


@contextmanager
def private_redis(directory: Path) -> Iterator[PrivateRedis]:
    """Run one."""
    server = PrivateRedis(directory)
    server.start()
    try:
        yield server
    finally:
        server.close()
