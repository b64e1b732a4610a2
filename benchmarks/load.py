"""Load: wrk where it is installed, else a generator of our own, which costs more than the servers that it measures."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from dataclasses import dataclass

import uvloop

_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Result:
    """What one round has measured."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answers: int
    failures: int


def tool() -> str:
    """Name what drives."""
    return "wrk" if shutil.which("wrk") else "the bundled generator (install wrk: this one is the bottleneck of the fastest rows)"


def drive(port: int, path: str, connections: int, seconds: float, headers: dict[str, str]) -> Result:
    """Ask for one page on keep-alive connections, each again as soon as it has its answer."""
    if shutil.which("wrk"):
        return _wrk(port, path, connections, seconds, headers)
    return uvloop.run(_generate(port, _request(path, headers), connections, seconds))


# --- wrk ----------------------------------------------------------------------------------------------------------------


def _wrk(port: int, path: str, connections: int, seconds: float, headers: dict[str, str]) -> Result:
    options = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", *options, f"http://127.0.0.1:{port}{path}"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", report)
    failures = int(wrong[1]) if wrong else 0
    failures += sum(map(int, broken.groups())) if broken else 0
    return Result(_number(r"Requests/sec:\s+([\d.]+)", report), _ms("50", report), _ms("99", report), _total(report), failures)


def _number(pattern: str, report: str) -> float:
    found = re.search(pattern, report)
    if found is None:
        raise SystemExit(report)
    return float(found[1])


def _ms(percent: str, report: str) -> float:
    found = re.search(rf"\s{percent}%\s+([\d.]+)(us|ms|s|m)\b", report)
    return float(found[1]) * _MS[found[2]] if found else 0.0


def _total(report: str) -> int:
    return int(_number(r"(\d+) requests in", report))


# --- the bundled generator ---------------------------------------------------------------------------------------------


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, latencies: list[float]) -> None:
        self._request = request
        self._latencies = latencies
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._missing = 0
        self._sent = 0.0
        self.failures = 0
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.failures += self.running

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._buffer += data
            head, end, body = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._buffer = b""
            self._missing = _length(head) - len(body)
            self.failures += head[9:12] not in (b"200", b"304")
        if self._missing <= 0:
            self._missing = 0
            self._latencies.append(time.perf_counter() - self._sent)
            if self.running:
                self._send()

    def close(self) -> None:
        """Stop."""
        self.running = False
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        if self._transport is not None:
            self._transport.write(self._request)


def _length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


def _request(path: str, headers: dict[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def _generate(port: int, request: bytes, connections: int, seconds: float) -> Result:
    loop, latencies = asyncio.get_running_loop(), list[float]()
    begun = time.perf_counter()
    clients = [(await loop.create_connection(lambda: _Client(request, latencies), "127.0.0.1", port))[1] for _ in range(connections)]
    await asyncio.sleep(seconds)
    took = time.perf_counter() - begun
    for client in clients:
        client.close()
    ordered = sorted(latencies) or [0.0]
    p50, p99 = (ordered[int((len(ordered) - 1) * part)] * 1000 for part in (0.5, 0.99))
    return Result(len(latencies) / took, p50, p99, len(latencies), sum(client.failures for client in clients))
