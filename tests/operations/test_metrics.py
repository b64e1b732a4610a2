"""What is measured: by template, with few labels, at the real edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.utils import floatToGoString
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fastapi_application.core import metrics
from fastapi_application.core.gate import Gate
from fastapi_application.core.metrics import Instruments
from fastapi_application.core.sampler import resident_bytes, sampling, watch_statements
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.middleware.route_names import UNKNOWN, RouteNames
from tests.operations.edge import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.support.application import Application


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    metrics.use(Instruments(registry))
    yield registry
    metrics.use(None)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    instruments = metrics.instruments()
    assert instruments is not None
    instruments.flush()
    return registry.get_sample_value(f"frankenjet_{name}", labels) or 0.0


async def test_requests_are_counted_by_template(anonymous: httpx.AsyncClient, registry: CollectorRegistry) -> None:
    for path in ("/api/v1/tags/none-1", "/api/v1/tags/none-2", "/api/v1/nothing-1", "/nothing/2", "/api/v1/health/live"):
        await anonymous.get(path)
    assert value(registry, "http_requests_total", method="GET", route="/api/v1/tags/{ref}", status="404") == 2
    assert value(registry, "http_requests_total", method="GET", route=UNKNOWN, status="404") == 2
    assert value(registry, "http_request_duration_seconds_count", method="GET", route="/api/v1/tags/{ref}") == 2
    assert value(registry, "http_requests_total", method="GET", route="/api/v1/health/live", status="200") == 1


async def test_clients_cannot_make_labels(anonymous: httpx.AsyncClient, registry: CollectorRegistry) -> None:
    before = len(list(registry.collect()))
    for number in range(50):
        await anonymous.request(f"METHOD{number}", f"/made-up-{number}")
    assert value(registry, "http_requests_total", method="other", route=UNKNOWN, status="404") > 0
    routes = {sample.labels["route"] for metric in registry.collect() for sample in metric.samples if "route" in sample.labels}
    methods = {sample.labels["method"] for metric in registry.collect() for sample in metric.samples if "method" in sample.labels}
    assert routes == {UNKNOWN}
    assert methods == {"other"}
    assert len(list(registry.collect())) == before


def test_every_route_has_its_template() -> None:
    app = create_fastapi_app()
    names = RouteNames(app)
    for template in app.openapi()["paths"]:
        path = template.replace("{", "").replace("}", "")
        assert names.of(path) != UNKNOWN, template
    assert names.of("/api/v1/aircraft/compare") == "/api/v1/aircraft/compare"
    assert names.of("/api/v1/aircraft/concorde") == "/api/v1/aircraft/{ref}"


async def test_statements_and_pools_are_measured(
    application: Application, anonymous: httpx.AsyncClient, registry: CollectorRegistry
) -> None:
    engine = application.fastapi.state.engine
    watch_statements(engine)
    await anonymous.get("/api/v1/tags/none-3")
    assert value(registry, "db_query_duration_seconds_count", operation="SELECT") >= 1

    async with engine.connect() as connection:
        with pytest.raises(DBAPIError):
            await connection.execute(text("DELETE FROM no_such_table"))
    assert value(registry, "db_query_failures_total") == 1
    assert value(registry, "db_query_duration_seconds_count", operation="DELETE") == 1

    async def look() -> dict[str, bool]:
        return {"database": True, "redis": False}

    async with sampling(engine, Gate(3, 4, 1), look):
        await until(lambda: value(registry, "db_pool_connections", state="allowed") > 0)
        await until(lambda: registry.get_sample_value("frankenjet_dependency_up", {"dependency": "redis"}) == 0)
    assert value(registry, "dependency_up", dependency="database") == 1
    assert value(registry, "process_resident_memory_bytes") > 10_000_000
    assert resident_bytes() > 10_000_000


def test_a_batch_is_what_single_observations_are(registry: CollectorRegistry) -> None:
    singly = Histogram("singly", "One by one", registry=registry, buckets=metrics.REQUEST_BUCKETS_S)
    for seconds in (0.0001, 0.001, 0.0011, 0.3, 5, 7, 100):
        singly.observe(seconds)
        metrics.request("GET", "/", 200, seconds)
    assert value(registry, "http_request_duration_seconds_sum", method="GET", route="/") == registry.get_sample_value("singly_sum")
    for bucket in (*map(float, metrics.REQUEST_BUCKETS_S), float("inf")):
        le = floatToGoString(bucket)  # type: ignore[no-untyped-call]
        batched = value(registry, "http_request_duration_seconds_bucket", method="GET", route="/", le=le)
        assert batched == registry.get_sample_value("singly_bucket", {"le": le})


def test_while_metrics_are_off_nothing_happens() -> None:
    assert metrics.instruments() is None
    metrics.request("GET", "/", 200, 0.1)
    metrics.shed("storm", write=False)
    metrics.cache_answer("memory")
    metrics.cache_invalidated(2)
    metrics.limiter_decided("anonymous", allowed=True, alone=True)
    metrics.redis_answered(0.1)
    metrics.redis_failed()
    metrics.query_done("SELECT 1", 0.1)
    metrics.query_failed()
    metrics.job_ended("mail", "done", 0.1)
    metrics.mail("welcome", "sent")
    metrics.upload("stored", 10)


def test_each_function_moves_its_own_metric(registry: CollectorRegistry) -> None:
    metrics.shed("storm", write=False)
    metrics.cache_answer("memory")
    metrics.cache_invalidated(2)
    metrics.limiter_decided("anonymous", allowed=False, alone=True)
    metrics.redis_answered(0.1)
    metrics.redis_failed()
    metrics.query_done("vacuum", 0.1)
    metrics.query_failed()
    metrics.job_ended("mail", "done", 0.1)
    metrics.mail("welcome", "sent")
    metrics.upload("stored", 10)
    assert value(registry, "http_requests_shed_total", reason="storm", kind="read") == 1
    assert value(registry, "cache_answers_total", source="memory") == 1
    assert value(registry, "cache_invalidations_total") == 2
    assert value(registry, "rate_limit_decisions_total", policy="anonymous", decision="refused") == 1
    assert value(registry, "rate_limit_fallbacks_total") == 1
    assert value(registry, "redis_round_trip_seconds_count") == 1
    assert value(registry, "redis_failures_total") == 1
    assert value(registry, "db_query_duration_seconds_count", operation="other") == 1
    assert value(registry, "db_query_failures_total") == 1
    assert value(registry, "jobs_total", job_name="mail", outcome="done") == 1
    assert value(registry, "mails_total", template="welcome", outcome="sent") == 1
    assert registry.get_sample_value("frankenjet_mails_total", {"template": "welcome", "outcome": "failed"}) == 0
    assert value(registry, "uploads_total", outcome="stored") == 1
    assert value(registry, "upload_bytes_total") == 10
