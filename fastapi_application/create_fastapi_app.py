"""Assembles the application. Nothing here is global: two applications with two settings can live in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from fastapi_application.api.api_v1 import PARTS, PREFIX
from fastapi_application.api.docs import TITLE, add_docs
from fastapi_application.api.openapi import add_openapi
from fastapi_application.api.outside.router import router as outside
from fastapi_application.api.security_txt import router as security_txt
from fastapi_application.core.config import Settings, get_settings
from fastapi_application.core.gate import Gate
from fastapi_application.core.logging_config import configure_logging
from fastapi_application.core.metrics import open_metrics
from fastapi_application.core.tracing import open_tracing
from fastapi_application.core.version import VERSION
from fastapi_application.encyclopedia.images.media import router as media
from fastapi_application.error_handlers import add_error_handlers
from fastapi_application.lifespan import lifespan
from fastapi_application.middleware import wrap_in_edge
from fastapi_application.middleware.last_resort import LastResortMiddleware
from fastapi_application.redis_conf.read_path import ReadPath

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def create_fastapi_app(settings: Settings | None = None) -> FastAPI:
    """Assemble routes, error handlers and documentation, without the edge around them."""
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Measured and traced at the edge, where the answers of the read cache are too.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    settings = app.state.settings = settings or get_settings()
    app.state.gate = Gate.of(settings.server)
    app.state.read_path = ReadPath.of(settings)
    add_error_handlers(app)
    # Inside Starlette's own last layer, which would answer in plain text and close the connection.
    app.add_middleware(LastResortMiddleware)
    for part in PARTS:
        app.include_router(part, prefix=PREFIX)
    app.include_router(media)
    app.include_router(outside)
    app.include_router(security_txt)
    add_docs(app)
    add_openapi(app)
    return app


def create_asgi_app() -> ASGIApp:
    """Build what the server runs: logging, the application and its edge. Called once in each worker."""
    settings = get_settings()
    configure_logging(settings.log)
    open_metrics()
    open_tracing(settings.tracing)
    return wrap_in_edge(create_fastapi_app(settings), settings)
