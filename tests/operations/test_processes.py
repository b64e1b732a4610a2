"""The real command with two processes: one is killed, one port has the numbers of both, a stop is announced."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.commands import Service, free_port, settings_of_this_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 60
LIVE, READY = "/api/v1/health/live", "/api/v1/health/ready"


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(database: str, metrics_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory: Path = tmp_path_factory.mktemp("processes") / "local"
    settings = {
        **settings_of_this_run(),
        "APP__DEBUG_HEADERS": "true",
        "METRICS__PORT": str(metrics_port),
        # Long enough to be seen by a slow machine; it has an end when the second signal comes.
        "SERVER__DRAIN_S": "4",
    }
    service = Service(directory, command="serve", **settings)
    service.start("--workers", "2")
    yield service
    service.close()


def eventually[T](look: Callable[[], T], good: Callable[[T], bool]) -> T:
    """Look until it is good."""
    deadline = time.monotonic() + PATIENCE_S
    while not good(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


def process_ids(service: Service, tries: int = 12) -> set[int]:
    """Return who answers."""
    found = set()
    for _ in range(tries):
        try:
            found.add(int(httpx.get(f"http://127.0.0.1:{service.port}{LIVE}").headers["x-worker"]))
        except httpx.TransportError:  # of the process that was killed
            continue
    return found


def samples(port: int, name: str) -> dict[str, float]:
    """Return the samples of a metric, by their labels."""
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    return {line.rpartition(" ")[0].removeprefix(name): float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)}


def test_numbers_of_all_processes_are_at_their_own_port_only(service: Service, metrics_port: int) -> None:
    assert len(eventually(lambda: process_ids(service), lambda ids: len(ids) == 2)) == 2
    label = f'{{method="GET",route="{LIVE}",status="200"}}'
    asked = 30
    for _ in range(asked):
        httpx.get(f"http://127.0.0.1:{service.port}{LIVE}")
    eventually(lambda: samples(metrics_port, "frankenjet_http_requests_total"), lambda found: found.get(label, 0) >= asked)
    eventually(lambda: samples(metrics_port, "frankenjet_workers"), lambda found: found == {"": 2.0})
    assert httpx.get(f"http://127.0.0.1:{service.port}/metrics").status_code == 404


def test_a_killed_process_is_replaced_while_the_other_serves(service: Service, metrics_port: int) -> None:
    before = eventually(lambda: process_ids(service), lambda ids: len(ids) == 2)
    counted = sum(samples(metrics_port, "frankenjet_http_requests_total").values())
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    after = eventually(lambda: process_ids(service), lambda ids: len(ids) == 2 and victim not in ids)
    assert len(after & before) == 1
    eventually(lambda: samples(metrics_port, "frankenjet_workers"), lambda found: found == {"": 2.0})
    assert sum(samples(metrics_port, "frankenjet_http_requests_total").values()) >= counted


def test_a_stop_is_announced_and_what_was_begun_is_finished(service: Service) -> None:
    process: Any = service._process  # noqa: SLF001 - to see it go
    with service.client() as client:
        assert client.get(READY).status_code == 200
        process.terminate()
        answer = eventually(lambda: client.get(READY), lambda answer: answer.status_code == 503)
        assert answer.json()["code"] == "shutting_down"
        assert answer.headers["connection"] == "close"
        assert client.get("/api/v1/tags").status_code == 200
    assert process.wait(PATIENCE_S) == 0
    assert service.left_behind() == set()
