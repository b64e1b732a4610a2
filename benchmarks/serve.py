"""Serves a yardstick under the same HTTP server as the service: `python -m benchmarks.serve raw|usual --port N`."""

from __future__ import annotations

import argparse
import logging

import structlog
import uvicorn

from fastapi_application.core.config import LogSettings
from fastapi_application.core.logging_config import configure_logging
from fastapi_application.middleware.slow_clients import SlowClientsProtocol


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("application", choices=("raw", "usual"))
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    configure_logging(LogSettings(level="INFO"))
    structlog.get_logger()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    name = {"raw": "benchmarks.raw_app:app", "usual": "benchmarks.usual_stack:app"}[arguments.application]
    uvicorn.run(name, port=arguments.port, http=SlowClientsProtocol, loop="uvloop", ws="none", access_log=False, log_config=None)


if __name__ == "__main__":
    main()
