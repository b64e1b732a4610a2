"""Health, in the form of `application/health+json`.

Probes of dependencies are single-flight and kept for a second: however many ask, each dependency is asked once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from fastapi_application.core.db import DATABASE_ERRORS
from fastapi_application.core.errors import RETRY_AFTER_S
from fastapi_application.core.lifecycle import is_draining
from fastapi_application.core.problems import problem_responses
from fastapi_application.core.replica import Replica
from fastapi_application.core.schema_version import SchemaVersions
from fastapi_application.core.version import VERSION
from fastapi_application.crud.bodies import refuse_query

MEDIA_TYPE = "application/health+json"
KEEP_S = 1.0
PROBE_TIMEOUT_S = 2.0

PASS, WARN, FAIL = "pass", "warn", "fail"


class Check(BaseModel):
    """One dependency."""

    status: Literal["pass", "warn", "fail"]
    latency_ms: Annotated[float | None, Field(examples=[1.2])] = None
    code: Annotated[str | None, Field(description="What fails", examples=["database_unavailable"])] = None


class Health(BaseModel):
    """The service, and what it depends on."""

    status: Literal["pass", "warn", "fail"]
    version: str
    code: str | None = None
    checks: dict[str, Check]


class Probe:
    """Asks one dependency: once at a time, and not again within a second."""

    def __init__(self, check: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """Wrap a check that returns the members of its result, or raises."""
        self._check = check
        self._result: dict[str, Any] = {}
        self._asked_at = float("-inf")
        self._flight: asyncio.Task[dict[str, Any]] | None = None

    async def ask(self) -> dict[str, Any]:
        """Return the kept result, or wait for the flight that is under way."""
        if time.monotonic() - self._asked_at < KEEP_S:
            return self._result
        if self._flight is None:
            self._flight = asyncio.create_task(self._run())
        return await asyncio.shield(self._flight)

    async def _run(self) -> dict[str, Any]:
        started = time.monotonic()
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                self._result = {"status": PASS, **await self._check()}
            self._result["latency_ms"] = round((time.monotonic() - started) * 1000, 2)
        except (*DATABASE_ERRORS, RedisError):
            self._result = {"status": FAIL}
        finally:
            self._asked_at = time.monotonic()
            self._flight = None
        return self._result


class HealthService:
    """The probes of one process."""

    def __init__(self, engine: AsyncEngine, redis: Redis, versions: SchemaVersions, replica: Replica | None = None) -> None:
        """Make a probe for each dependency; nothing is asked yet."""
        self.engine = engine
        self._redis = redis
        self._versions = versions
        self._replica = replica
        self._probes = {
            "database": Probe(self._check_database),
            "schema": Probe(self._check_schema),
            "redis": Probe(self._check_redis),
        }

    async def check_all(self) -> dict[str, dict[str, Any]]:
        """Ask everything that there is. The replica's own prober knows how that is."""
        checks = await self.check("database", "schema", "redis")
        if self._replica is not None:
            fault = self._replica.fault
            checks["replica"] = {"code": fault, "status": FAIL} if fault else {"status": PASS}
        return checks

    async def check(self, *names: str) -> dict[str, dict[str, Any]]:
        """Ask these dependencies, all at once."""
        results = await asyncio.gather(*(self._probes[name].ask() for name in names))
        codes = {"database": "database_unavailable", "schema": "database_unavailable", "redis": "redis_unavailable"}
        return {
            name: result if result["status"] == PASS else {"code": codes[name], **result}
            for name, result in zip(names, results, strict=True)
        }

    async def answering(self) -> dict[str, bool]:
        """Ask which dependencies answer, for the metrics."""
        return {name: result["status"] == PASS for name, result in (await self.check_all()).items() if name != "schema"}

    async def _check_database(self) -> dict[str, Any]:
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return {}

    async def _check_schema(self) -> dict[str, Any]:
        try:
            async with self.engine.connect() as connection:
                rows = await connection.execute(text("SELECT version_num FROM alembic_version"))
                current = {row[0] for row in rows}
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "42P01":  # no such table: never migrated
                return {"status": FAIL, "code": "schema_out_of_date"}
            raise
        return {} if self._versions.serves(current) else {"status": FAIL, "code": "schema_out_of_date"}

    async def _check_redis(self) -> dict[str, Any]:
        await self._redis.ping()
        return {}


def get_health(request: Request) -> HealthService:
    """Return the probes of this process."""
    service: HealthService = request.app.state.health
    return service


class HealthResponse(JSONResponse):
    """JSON of a content type of its own, which is also the one that OpenAPI shows."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """Serialise the body."""
        return orjson.dumps(content)


HealthDep = Annotated[HealthService, Depends(get_health)]
router = APIRouter(prefix="/health", tags=["health"], dependencies=[Depends(refuse_query)], default_response_class=HealthResponse)


def _responses(description: str) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Health"}}}
    failing = {"description": "`fail`: see `code`.", "content": content}
    return {200: {"description": description, "content": content}, **problem_responses(422), 503: failing}


def _answer(checks: dict[str, dict[str, Any]], *, optional: tuple[str, ...] = ()) -> Response:
    failing = [name for name, result in checks.items() if result["status"] == FAIL]
    required = [name for name in failing if name not in optional]
    status = FAIL if required else WARN if failing else PASS
    body: dict[str, Any] = {"status": status, "version": VERSION, "checks": checks}
    if required:
        body["code"] = checks[required[0]]["code"]
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(RETRY_AFTER_S)} if required else {})
    return HealthResponse(body, 503 if required else 200, headers)


@router.get("", operation_id="health", summary="The service and its dependencies", responses=_responses("`pass`, or `warn`."))
async def health(service: HealthDep) -> Response:
    """Ask everything."""
    return _answer(await service.check_all(), optional=("redis", "replica"))


@router.get("/live", operation_id="health_live", summary="Whether the process runs", responses=_responses("It does."))
async def live() -> Response:
    """Touch nothing: a restart would not mend a dependency."""
    return _answer({})


@router.get("/ready", operation_id="health_ready", summary="Whether to send traffic here", responses=_responses("Send it."))
async def ready(service: HealthDep) -> Response:
    """Database and schema must be there; without Redis the service only is slower. A process that is told to stop says no."""
    if is_draining():
        return _answer({"process": {"status": FAIL, "code": "shutting_down"}})
    return _answer(await service.check("database", "schema", "redis"), optional=("redis",))


@router.get("/db", operation_id="health_db", summary="PostgreSQL and its schema", responses=_responses("Both are there."))
async def database(service: HealthDep) -> Response:
    """Ask PostgreSQL."""
    return _answer(await service.check("database", "schema"))


@router.get("/redis", operation_id="health_redis", summary="Redis", responses=_responses("It is there."))
async def redis(service: HealthDep) -> Response:
    """Ask Redis."""
    return _answer(await service.check("redis"))
