"""A load generator: keep-alive connections that send the next request as soon as they have the answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

CLOCK_STARTS_AFTER_S = 0.3


@dataclass
class Result:
    """What one round has measured."""

    seconds: float
    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    errors: int = 0

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """Return a latency in milliseconds."""
        ordered = sorted(self.latencies_s) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: list[bytes], offset: int, result: Result, begins: float) -> None:
        self._requests = requests
        self._next = offset
        self._result = result
        self._begins = begins
        self._buffer = b""
        self._missing = 0
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self.running:
            self._result.errors += 1
        self.running = False

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
            if self._missing <= 0:
                self._done()
            return
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        self._status = int(head[9:12])
        at = head.find(b"content-length: ")
        length = int(head[at + 16 : head.find(b"\r", at) if head.find(b"\r", at) > 0 else None]) if at > 0 else 0
        self._missing = length - (len(self._buffer) - end - 4)
        self._buffer = b""
        if self._missing <= 0:
            self._done()

    def close(self) -> None:
        """Stop."""
        self.running = False
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._sent = time.perf_counter()
        if self._transport is not None:
            self._transport.write(request)

    def _done(self) -> None:
        self._missing = 0
        now = time.perf_counter()
        if self._sent >= self._begins:
            self._result.latencies_s.append(now - self._sent)
            self._result.statuses[self._status] = self._result.statuses.get(self._status, 0) + 1
        if self.running:
            self._send()


def request(path: str, **headers: str) -> bytes:
    """Encode a GET."""
    lines = [f"GET {path} HTTP/1.1", "Host: bench", "Accept: application/json", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def drive(port: int, requests: list[bytes], connections: int, seconds: float) -> Result:
    """Send these requests in turn on every connection, and measure after a moment of warming up."""
    loop = asyncio.get_running_loop()
    result = Result(seconds)
    begins = time.perf_counter() + CLOCK_STARTS_AFTER_S
    clients: list[_Client] = []
    for index in range(connections):
        _, client = await loop.create_connection(
            lambda index=index: _Client(requests, index * 7, result, begins),  # type: ignore[misc] # mypy does not infer the default
            "127.0.0.1",
            port,
        )
        clients.append(client)
    await asyncio.sleep(max(0.0, begins - time.perf_counter()) + seconds)
    for client in clients:
        client.close()
    await asyncio.sleep(0)
    return result
