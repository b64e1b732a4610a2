"""A real HTTP server around the application: what the in-process transport cannot show."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from fastapi_application.core.config import get_settings
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.middleware import wrap_in_edge

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 20


@contextmanager
def http_server() -> Iterator[str]:
    """Serve the application on the current settings, on a free port, from a thread of its own; yield its address."""
    settings = get_settings()
    edge = wrap_in_edge(create_fastapi_app(settings), settings)
    server = uvicorn.Server(
        uvicorn.Config(edge, port=0, http="h11", ws="none", lifespan="on", log_config=None, access_log=False, server_header=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT_S)
        assert not thread.is_alive(), "the server did not stop"
