"""One span for each request, outside everything, so that answers of the read cache and refusals have one too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fastapi_application.middleware.overload import HEALTH
from fastapi_application.middleware.route_names import UNKNOWN

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fastapi_application.middleware.route_names import RouteNames

_SERVER_ERROR = 500
_propagator = TraceContextTextMapPropagator()


class TracingMiddleware:
    """Continues the trace of the client's `traceparent`, and answers with one. Neither queries nor headers become attributes.

    Starlette's own middleware finds the route only where nothing between it and the router copies the scope, and puts the
    query and the client's address into the span.
    """

    def __init__(self, app: ASGIApp, provider: TracerProvider, names: RouteNames) -> None:
        """Wrap the edge."""
        self.app = app
        self.names = names
        self.tracer = provider.get_tracer("frankenjet")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request within its span."""
        if scope["type"] != "http" or scope["path"].startswith(HEALTH):
            await self.app(scope, receive, send)
            return
        carrier = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in (b"traceparent", b"tracestate")
        }
        route = self.names.of(scope["path"])
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"], "url.scheme": scope["scheme"]}
        name = scope["method"] if route == UNKNOWN else f"{scope['method']} {route}"
        with self.tracer.start_as_current_span(name, context=extract(carrier), kind=SpanKind.SERVER, attributes=attributes) as span:
            if route != UNKNOWN:
                span.set_attribute("http.route", route)

            async def send_with_trace(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= _SERVER_ERROR:
                        span.set_status(Status(StatusCode.ERROR))
                    out: dict[str, str] = {}
                    _propagator.inject(out)
                    headers = [(name.encode(), value.encode()) for name, value in out.items()]
                    message = {**message, "headers": [*message["headers"], *headers]}
                await send(message)

            await self.app(scope, receive, send_with_trace)
