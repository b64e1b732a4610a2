"""The edge: pure ASGI layers outside the framework, so that no answer leaves without an id and headers.

From the outside in:

1. correlation id: everything below has one, every answer carries it;
2. access log: sees what was really sent;
3. security headers: on errors too;
4. last resort: an exception becomes a problem, the connection lives on;
5. admission: hosts, sizes, forms of a request that nothing below must meet;
6. limits and the read cache, in one round trip to Redis: most answers come from here;
7. HEAD: wherever there is a GET;
8. gate: how many are at work, and for how long.

Past all of them there is a way for plain hits of the read cache (`hit_lane`).

CORS stands between 3 and 4: a browser must be able to read an error. Outside all of them stands what refuses reads in a storm,
and where traces are on, their span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from fastapi_application.core.gate import Gate
from fastapi_application.core.tracing import provider
from fastapi_application.middleware.access_log import AccessLogMiddleware
from fastapi_application.middleware.admission import AdmissionMiddleware
from fastapi_application.middleware.correlation_id import CorrelationIdMiddleware
from fastapi_application.middleware.head import HeadMiddleware
from fastapi_application.middleware.hit_lane import HitLane
from fastapi_application.middleware.last_resort import LastResortMiddleware
from fastapi_application.middleware.overload import GateMiddleware, StormMiddleware
from fastapi_application.middleware.rate_limit import RateLimitMiddleware
from fastapi_application.middleware.route_names import RouteNames
from fastapi_application.middleware.security_headers import SecurityHeadersMiddleware
from fastapi_application.redis_conf.read_path import ReadPath

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from fastapi_application.core.config import Settings

EXPOSED_HEADERS = (
    "ETag",
    "Link",
    "Location",
    "X-Request-ID",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "Cache-Status",
    "Idempotency-Replayed",
)
ALLOWED_HEADERS = ("Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "X-Request-ID")


def wrap_in_edge(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Put the layers around the application, in their order. Its lifespan opens the read path that it shares with the edge."""
    read_path = app.state.read_path if isinstance(app, FastAPI) else ReadPath.of(settings)
    gate = app.state.gate if isinstance(app, FastAPI) else Gate.of(settings.server)
    names = RouteNames(app) if isinstance(app, FastAPI) else None
    app = GateMiddleware(app, gate, settings.server.deadline_s)
    app = HeadMiddleware(app)
    app = limits = RateLimitMiddleware(app, read_path, settings)
    app = admission = AdmissionMiddleware(app, settings.server.allowed_hosts)
    app = LastResortMiddleware(app)
    if settings.server.cors_origins:
        app = CORSMiddleware(
            app,
            allow_origins=settings.server.cors_origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
            max_age=3600,
        )
    app = security = SecurityHeadersMiddleware(app, settings)
    app = AccessLogMiddleware(app, settings.server.trusted_proxies, names)
    app = CorrelationIdMiddleware(app)
    spans = provider()
    if names is not None and spans is not None:
        from fastapi_application.middleware.tracing import TracingMiddleware  # noqa: PLC0415 - OpenTelemetry costs time to import

        app = TracingMiddleware(app, spans, names)
    app = StormMiddleware(app, gate, security.headers, limits.cache.may_have)
    lane = HitLane(app, limits, admission, security, names)
    # A trace knows every request, and so does a log of requests that come: where they are on, nothing goes past them.
    lane.is_open = lane.is_open and spans is None and settings.log.level != "DEBUG"
    return lane
