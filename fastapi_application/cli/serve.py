"""`serve` and `local`."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn

from fastapi_application.cli.companion import companion
from fastapi_application.cli.environment import environment, set_variables
from fastapi_application.cli.errors import CommandError
from fastapi_application.cli.exporter import exporter
from fastapi_application.cli.supervisor import DrainingServer, Supervisor
from fastapi_application.core.config import get_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from types import FrameType

    from fastapi_application.core.config import Settings

# By their names: the process that only watches over others imports neither them nor what they stand on.
APPLICATION = "fastapi_application.create_fastapi_app:create_asgi_app"
PROTOCOL = "fastapi_application.middleware.slow_clients:SlowClientsProtocol"
GRACEFUL_SHUTDOWN_S = 20
KEEP_ALIVE_S = 75
BACKLOG = 2048
_logger = structlog.get_logger(__name__)
EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not listened on


def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    with closing(_listen(arguments)) as listener, environment() as settings:
        _name_the_service(settings, listener)
        _serve(listener, arguments)
    return 0


def local(arguments: argparse.Namespace) -> int:
    """Prepare everything, then serve, with a worker beside it."""
    with closing(_listen(arguments)) as listener, environment() as settings:
        from fastapi_application.cli.data import prepare  # noqa: PLC0415 - Alembic and the data, which `serve` needs not

        _name_the_service(settings, listener)
        prepare(settings)
        print(_first_screen(settings, listener), flush=True)
        with companion():
            _serve(listener, arguments)
    return 0


def _listen(arguments: argparse.Namespace) -> socket.socket:
    """Take the port before anything is started, and keep it."""
    server = get_settings().server
    host, port = arguments.host or server.host, server.port if arguments.port is None else arguments.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise CommandError(_cannot_listen((host, port), error)) from None
    return listener


def _cannot_listen(address: tuple[Any, ...], error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"Cannot listen on {address[0]}:{address[1]}: {reason}. Choose another port with PORT=… or --port."


def _serve(listener: socket.socket, arguments: argparse.Namespace) -> None:
    workers = arguments.workers or get_settings().server.workers
    os.environ["SERVER__WORKERS"] = str(workers)  # each process knows its share of the limits while Redis is away
    get_settings.cache_clear()
    config = uvicorn.Config(
        APPLICATION,
        factory=True,
        workers=workers,
        http=PROTOCOL,
        loop="uvloop" if sys.platform != "win32" else "auto",
        ws="none",
        # Forwarded headers are read by `core.client`, from configured proxies only; uvicorn trusts loopback.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
    )
    _open(listener)
    with exporter(get_settings()), _signals_are_the_normal_end():
        started = _run_workers(config, listener) if config.workers > 1 else _run_here(config, listener)
        if not started:
            message = "The application did not start; the log says why."
            raise CommandError(message)


def _open(listener: socket.socket) -> None:
    """Until now the port was ours, but refused connections: nobody waits while the data are loaded."""
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise CommandError(_cannot_listen(listener.getsockname(), error)) from None
    _logger.info("listening", address=listener.getsockname())


def _run_here(config: uvicorn.Config, listener: socket.socket) -> bool:
    server = DrainingServer(config)
    try:
        server.run(sockets=[listener])
    except SystemExit as end:
        return not end.code
    return server.started


def _run_workers(config: uvicorn.Config, listener: socket.socket) -> bool:
    return Supervisor(config, [listener]).run()


@contextmanager
def _signals_are_the_normal_end() -> Iterator[None]:
    """After its own shutdown uvicorn raises the signal again, for whoever started it: that is us."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _name_the_service(settings: Settings, listener: socket.socket) -> None:
    """On somebody's own machine, links in mails lead to the port that is served."""
    if settings.app.mode == "local" and "public_url" not in settings.app.model_fields_set:
        set_variables({"APP__PUBLIC_URL": _address_of(listener)})


def _address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    name = "localhost" if host in EVERY_ADDRESS or host.startswith("127.") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def _first_screen(settings: Settings, listener: socket.socket) -> str:
    base = _address_of(listener)
    database = "the embedded PostgreSQL" if settings.db.host and settings.db.host.startswith("/") else "your PostgreSQL"
    return f"""
FrankenJet API: an encyclopedia of aviation history, on {database}

  Documentation   {base}/docs
  Health          {base}/api/v1/health
  Try             curl {base}/api/v1/aircraft/concorde
                  curl '{base}/api/v1/aircraft?country=SU&first_flight=1935/1945&sort=first_flight'
  Become editor   .venv/bin/python main.py create-user --email you@example.org --role editor --password-stdin

Ctrl-C stops everything that was started here.
"""
