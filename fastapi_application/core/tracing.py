"""Traces by OpenTelemetry, through what its users and Starlette ship. Nothing of it is imported while it is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi_application.core.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from sqlalchemy.ext.asyncio import AsyncEngine

    from fastapi_application.core.config import TracingSettings

SERVICE = "frankenjet-api"


class _Tracing:
    provider: TracerProvider | None = None


def open_tracing(settings: TracingSettings, *, processor: SpanProcessor | None = None) -> None:
    """Send spans to the collector of the settings, in batches, from a thread; `processor` replaces that in tests."""
    if settings.otlp_endpoint is None and processor is None:
        return
    from opentelemetry.instrumentation.redis import RedisInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE, "service.version": VERSION}))
    provider.add_span_processor(processor or _exporting(settings))
    if not RedisInstrumentor().is_instrumented_by_opentelemetry:
        RedisInstrumentor().instrument(tracer_provider=provider)
    _Tracing.provider = provider


def _exporting(settings: TracingSettings) -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    return BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint))


def provider() -> TracerProvider | None:
    """Return what makes spans, None while traces are off."""
    return _Tracing.provider


def trace_engine(engine: AsyncEngine) -> None:
    """Make a span of each statement; its values are not in it."""
    if _Tracing.provider is not None:
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor  # noqa: PLC0415

        SQLAlchemyInstrumentor().instrument(engine=engine.sync_engine, tracer_provider=_Tracing.provider)


def close_tracing() -> None:
    """Send what is left."""
    if _Tracing.provider is not None:
        from opentelemetry.instrumentation.redis import RedisInstrumentor  # noqa: PLC0415
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor  # noqa: PLC0415

        provider, _Tracing.provider = _Tracing.provider, None
        RedisInstrumentor().uninstrument()
        if SQLAlchemyInstrumentor().is_instrumented_by_opentelemetry:
            SQLAlchemyInstrumentor().uninstrument()
        provider.shutdown()


def trace_ids() -> dict[str, Any]:
    """Return the ids of the span that is open, for log lines."""
    if _Tracing.provider is None:
        return {}
    from opentelemetry.trace import get_current_span  # noqa: PLC0415

    context = get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"} if context.is_valid else {}
