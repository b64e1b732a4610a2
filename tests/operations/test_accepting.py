"""A busy process takes the clients that wait; of several processes none takes all of them."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.cli.supervisor import MOST_ACCEPTED, DrainingServer, backlog_of, share_of
from tests.operations.edge import until

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 10


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Yield a port at which clients wait."""
    with ExitStack() as stack:
        port = stack.enter_context(socket.socket())
        port.bind(("127.0.0.1", 0))
        port.listen(CLIENTS)
        for _ in range(CLIENTS):
            stack.enter_context(socket.create_connection(port.getsockname()))
        port.settimeout(0)
        yield port


def test_the_length_of_the_queue_is_known_on_linux(listener: socket.socket) -> None:
    lengths = [backlog_of(listener)]
    listener.accept()[0].close()
    lengths.append(backlog_of(listener))
    assert lengths == ([CLIENTS, CLIENTS - 1] if sys.platform.startswith("linux") else [None, None])


@pytest.mark.parametrize(
    ("waiting", "processes", "share"),
    [(0, 1, 0), (1, 4, 1), (10, 1, 10), (10, 4, 3), (10_000, 2, MOST_ACCEPTED), (None, 1, MOST_ACCEPTED), (None, 4, MOST_ACCEPTED // 4)],
)
def test_each_process_takes_its_share(waiting: int | None, processes: int, share: int) -> None:
    assert share_of(waiting, processes) == share


async def test_who_waits_is_accepted_without_a_turn_of_the_loop_for_each(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi_application.cli.supervisor.backlog_of", lambda _: CLIENTS)
    served: list[asyncio.BaseTransport] = []

    class Protocol(asyncio.Protocol):
        def __init__(self, **_: Any) -> None:
            pass

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            served.append(transport)

    config: Any = SimpleNamespace(workers=2, http_protocol_class=Protocol)
    server = DrainingServer(config)
    server.lifespan = SimpleNamespace(state={})
    server.watch([listener])
    await until(lambda: len(served) == CLIENTS)  # two shares, one after the other
    server.stop_watching()
    for transport in served:
        transport.close()
