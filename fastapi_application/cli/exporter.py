"""The listener for Prometheus: one port for all processes of a command, never the public one.

Each process writes its numbers to files of a private directory; a thread of the first process adds them up when asked.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from fastapi_application.cli.errors import CommandError
from fastapi_application.core.metrics import DIRECTORY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi_application.core.config import Settings

_logger = structlog.get_logger(__name__)


@contextmanager
def exporter(settings: Settings) -> Iterator[None]:
    """Answer Prometheus while the block runs, if the settings name a port.

    Raises:
        CommandError: the port is not to be had.

    """
    if settings.metrics.port is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="frankenjet-metrics-") as directory:
        os.environ[DIRECTORY_VARIABLE] = directory
        try:
            with _listener(settings.metrics.host, settings.metrics.port, directory):
                yield
        finally:
            os.environ.pop(DIRECTORY_VARIABLE, None)


@contextmanager
def _listener(host: str, port: int, directory: str) -> Iterator[None]:
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - not imported while metrics are off
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandError(f"Cannot listen on {host}:{port} for metrics: {reason}. Choose another METRICS__PORT.") from None
    _logger.info("metrics_listening", address=(host, port))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def forget_process(pid: int) -> None:
    """Take a process that has ended out of what is true of living ones; what it has counted stays counted."""
    if DIRECTORY_VARIABLE not in os.environ:
        return
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(pid)  # type: ignore[no-untyped-call]
