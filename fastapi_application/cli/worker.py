"""`worker`."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import structlog

import fastapi_application.api.api_v1
import fastapi_application.jobs.housekeeping
import fastapi_application.mail.service  # noqa: F401 - these three register every job
from fastapi_application.cli.environment import environment
from fastapi_application.cli.exporter import exporter
from fastapi_application.core.metrics import open_metrics
from fastapi_application.jobs.worker import Worker
from fastapi_application.mail.senders import can_send

if TYPE_CHECKING:
    import argparse

    from fastapi_application.core.config import Settings

_ENDINGS = (signal.SIGTERM, signal.SIGINT)
_logger = structlog.get_logger(__name__)


def worker(arguments: argparse.Namespace) -> int:
    """Run jobs until a signal comes."""
    with environment() as settings:
        if not can_send(settings):
            _logger.warning("mails_wait", reason="MAIL__HOST is not set: mails stay in the database until it is")
        with exporter(settings):
            open_metrics()
            asyncio.run(_run(settings, arguments))
    return 0


async def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    worker = Worker(settings, concurrency=arguments.concurrency, heartbeat=arguments.heartbeat)
    loop = asyncio.get_running_loop()
    for number in _ENDINGS:
        loop.add_signal_handler(number, worker.stop)
    if arguments.with_parent:
        # The other end of the pipe is open as long as the parent lives, however it ends.
        loop.add_reader(sys.stdin.fileno(), _parent_has_ended, worker)
    await worker.run()


def _parent_has_ended(worker: Worker) -> None:
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    worker.stop()
