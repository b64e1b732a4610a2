"""Traces: one span for each request, in the client's trace, with its statements below; nothing while they are off."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from asgi_lifespan import LifespanManager
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fastapi_application.core import logging_config
from fastapi_application.core.config import TracingSettings, get_settings
from fastapi_application.core.tracing import close_tracing, open_tracing
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.middleware import access_log, wrap_in_edge
from tests.operations.edge import client_of
from tests.support.commands import ROOT
from tests.support.log_capture import captured_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    open_tracing(TracingSettings(), processor=SimpleSpanProcessor(exporter))
    yield exporter
    close_tracing()


async def test_a_request_continues_the_trace_of_its_client(
    database: str, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = captured_lines(monkeypatch, access_log, logging_config._add_request_id)  # noqa: SLF001 - as configured
    settings = get_settings()
    async with LifespanManager(wrap_in_edge(create_fastapi_app(settings), settings)) as manager, client_of(manager.app) as client:
        answer = await client.get("/api/v1/search?q=secret", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        await client.get("/api/v1/health/live")
        finished = list(spans.get_finished_spans())
    (server,) = [span for span in finished if span.kind.name == "SERVER"]
    assert server.name == "GET /api/v1/search"
    assert server.parent is not None
    assert (f"{server.context.trace_id:032x}", f"{server.parent.span_id:016x}") == (TRACE, PARENT)
    assert server.attributes is not None
    assert server.attributes["http.response.status_code"] == 200
    assert "secret" not in str(dict(server.attributes))
    assert answer.headers["traceparent"] == f"00-{TRACE}-{server.context.span_id:016x}-01"
    below = [span for span in finished if span.parent is not None and span.parent.span_id == server.context.span_id]
    assert any("select" in span.name.lower() for span in below)
    (line,) = [line for line in lines if line["event"] == "response" and line["path"] == "/api/v1/search"]
    assert (line["trace_id"], line["span_id"]) == (TRACE, f"{server.context.span_id:016x}")


def test_while_traces_and_metrics_are_off_nothing_of_them_is_imported() -> None:
    program = (
        "import sys\n"
        "from fastapi_application.create_fastapi_app import create_asgi_app\n"
        "create_asgi_app()\n"
        "print(sorted(name for name in sys.modules if name.startswith(('opentelemetry.sdk.trace', 'opentelemetry.exporter', "
        "'opentelemetry.instrumentation', 'prometheus_client'))))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip().endswith("[]")
