"""The second yardstick: the same pages by the libraries as their READMEs show them.

Routes on the application, ORM with selectinload, a session dependency, response models, fastapi-cache2's decorator with
JsonCoder, fastapi-limiter with its `__call__` repaired and one bucket per client in Redis, two BaseHTTPMiddlewares.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi_cache import FastAPICache, JsonCoder
from fastapi_cache.backends.redis import RedisBackend
from fastapi_cache.decorator import cache
from fastapi_limiter.depends import RateLimiter
from pydantic import BaseModel, ConfigDict
from pyrate_limiter import Duration, Limiter, Rate, RedisBucket
from redis.asyncio import Redis
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import selectinload
from starlette.middleware.base import BaseHTTPMiddleware

from fastapi_application.core.config import get_settings
from fastapi_application.encyclopedia import ROUTERS
from fastapi_application.encyclopedia.aircraft.models import (
    Aircraft,
    AircraftCountry,
    AircraftDesigner,
    AircraftEngine,
    AircraftManufacturer,
)
from fastapi_application.encyclopedia.articles.models import Article, ArticleAircraft, ArticleDesigner, ArticleManufacturer, ArticleTag
from fastapi_application.encyclopedia.countries.models import Country

assert ROUTERS  # noqa: S101 - importing the registry loads every model
GENEROUS = 1_000_000_000
settings = get_settings()
redis = Redis.from_url(settings.redis.url.get_secret_value() if settings.redis.url else "redis://localhost")
engine = create_async_engine(settings.db.sqlalchemy_url(), pool_size=10, max_overflow=10)
sessions = async_sessionmaker(engine, expire_on_commit=False)
logger = structlog.get_logger()


class Shown(BaseModel):
    """Fields that every entity shows."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    slug: str
    version: int
    created_at: datetime
    updated_at: datetime


class Named(BaseModel):
    """A reference."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    slug: str
    name: str


class ArticleShown(Shown):
    """An article."""

    title: str
    category: str
    language: str
    summary: str | None
    content: str | None
    keywords: list[str]
    sources: list[dict[str, Any]]
    status: str
    published_at: datetime | None
    tags: list[Named]
    aircraft: list[Named]
    designers: list[Named]
    manufacturers: list[Named]


class AircraftShown(Shown):
    """An aircraft in a list."""

    name: str
    original_name: str | None
    category: str
    purposes: list[str]
    status: str | None
    engine_type: str | None
    engine_count: int | None
    number_built: int | None
    crew: int | None
    length_m: float | None
    wingspan_m: float | None
    max_speed_kmh: float | None
    range_km: float | None
    countries: list[Named]
    designers: list[Named]
    manufacturers: list[Named]
    engines: list[Named]


class AircraftPage(BaseModel):
    """A page."""

    items: list[AircraftShown]
    total: int


async def get_session() -> AsyncIterator[AsyncSession]:
    """Yield the session of a request."""
    async with sessions() as session:
        yield session


async def bucket_of(request: Request) -> str:
    """Name the client."""
    return request.client.host if request.client else "unknown"


class WorkingLimiter(RateLimiter):
    """The library's `__call__` fails on included routers; one bucket for each client."""

    def __init__(self) -> None:
        """Begin without buckets."""
        super().__init__(limiter=None, identifier=bucket_of)  # type: ignore[arg-type] # one for each client, below
        self._limiters: dict[str, Limiter] = {}

    async def __call__(self, request: Request, response: Response) -> None:
        """Count the request."""
        name = await self.identifier(request)
        if name not in self._limiters:
            bucket = await RedisBucket.init([Rate(GENEROUS, Duration.MINUTE)], redis, f"bench:{name}")
            self._limiters[name] = Limiter(bucket)
        if not await self._limiters[name].try_acquire_async(name, blocking=False):
            await self.callback(request, response)


class RequestId(BaseHTTPMiddleware):
    """Gives each request an id."""

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Serve."""
        request_id = request.headers.get("x-request-id") or str(uuid.uuid4())
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = await call_next(request)
        response.headers["X-Request-ID"] = request_id
        return response


class AccessLine(BaseHTTPMiddleware):
    """Logs each request."""

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Serve."""
        started = time.perf_counter()
        response = await call_next(request)
        logger.info("request", method=request.method, path=request.url.path, status=response.status_code, s=time.perf_counter() - started)
        return response


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the cache."""
    FastAPICache.init(RedisBackend(redis), prefix="usual", coder=JsonCoder)
    yield


app = FastAPI(lifespan=lifespan, dependencies=[Depends(WorkingLimiter())])
app.add_middleware(AccessLine)
app.add_middleware(RequestId)
SessionDep = Annotated[AsyncSession, Depends(get_session)]


def _by_key(request_path: str) -> Any:
    def key(_function: Any, namespace: str, *, request: Request, **_: Any) -> str:
        return f"{namespace}:{request_path}:{request.url.path}?{request.url.query}"

    return key


def _named(links: list[Any], target: str) -> list[Named]:
    found = [getattr(link, target) for link in links]
    return [Named(id=item.id, slug=item.slug, name=item.name) for item in found]


async def _article(slug: str, session: AsyncSession) -> ArticleShown:
    loaded = [
        selectinload(Article.tags).selectinload(ArticleTag.tag),
        selectinload(Article.aircraft).selectinload(ArticleAircraft.aircraft),
        selectinload(Article.designers).selectinload(ArticleDesigner.designer),
        selectinload(Article.manufacturers).selectinload(ArticleManufacturer.manufacturer),
    ]
    article = (await session.execute(select(Article).where(Article.slug == slug).options(*loaded))).scalar_one_or_none()
    if article is None:
        raise HTTPException(404)
    columns = {name: getattr(article, name) for name in ArticleShown.model_fields if name not in _ARTICLE_LISTS}
    return ArticleShown(**columns, **{name: _named(getattr(article, name), target) for name, target in _ARTICLE_LISTS.items()})


_ARTICLE_LISTS = {"tags": "tag", "aircraft": "aircraft", "designers": "designer", "manufacturers": "manufacturer"}
_AIRCRAFT_LISTS = {"countries": "country", "designers": "designer", "manufacturers": "manufacturer", "engines": "engine"}


async def _aircraft(country: str | None, sort: str, name: str | None, session: AsyncSession) -> AircraftPage:
    query = select(Aircraft)
    if country:
        linked = select(AircraftCountry.aircraft_id).join(Country).where(Country.code == country)
        query = query.where(Aircraft.id.in_(linked))
    if name:
        query = query.where(Aircraft.name.ilike(f"%{name}%"))
    total = (await session.execute(select(func.count()).select_from(query.subquery()))).scalar_one()
    order = Aircraft.name if sort == "name" else Aircraft.max_speed_kmh.desc().nulls_last()
    loaded = [
        selectinload(Aircraft.countries).selectinload(AircraftCountry.country),
        selectinload(Aircraft.designers).selectinload(AircraftDesigner.designer),
        selectinload(Aircraft.manufacturers).selectinload(AircraftManufacturer.manufacturer),
        selectinload(Aircraft.engines).selectinload(AircraftEngine.engine),
    ]
    rows = (await session.execute(query.order_by(order).limit(20).options(*loaded))).scalars().all()
    items = [
        AircraftShown(
            **{key: getattr(row, key) for key in AircraftShown.model_fields if key not in _AIRCRAFT_LISTS},
            **{key: _named(getattr(row, key), target) for key, target in _AIRCRAFT_LISTS.items()},
        )
        for row in rows
    ]
    return AircraftPage(items=items, total=total)


@app.get("/api/v1/articles/{slug}", response_model=ArticleShown)
@cache(expire=3600, key_builder=_by_key("article"))
async def read_article(slug: str, session: SessionDep) -> ArticleShown:
    """Show an article."""
    return await _article(slug, session)


@app.get("/api/v1/aircraft", response_model=AircraftPage)
@cache(expire=3600, key_builder=_by_key("aircraft"))
async def list_aircraft(
    session: SessionDep, country: str | None = None, sort: Annotated[str, Query()] = "name", name: str | None = None
) -> AircraftPage:
    """List aircraft."""
    return await _aircraft(country, sort, name, session)


@app.get("/uncached/api/v1/articles/{slug}", response_model=ArticleShown)
async def read_article_uncached(slug: str, session: SessionDep) -> ArticleShown:
    """Show an article."""
    return await _article(slug, session)


@app.get("/uncached/api/v1/aircraft", response_model=AircraftPage)
async def list_aircraft_uncached(
    session: SessionDep, country: str | None = None, sort: Annotated[str, Query()] = "name", name: str | None = None
) -> AircraftPage:
    """List aircraft."""
    return await _aircraft(country, sort, name, session)
