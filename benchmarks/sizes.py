"""The second part: what the same pages cost with 300, 10 000 and 100 000 aircraft and articles, from the database."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import asyncpg

from fastapi_application.core.config import get_settings
from tests.support.many import COLUMNS, COPY_SEARCH, without_indexes_of_search, without_search

if TYPE_CHECKING:
    from benchmarks.servers import Server

SIZES = (300, 10_000, 100_000)
PAGES = {
    "article by slug": "/api/v1/articles/concorde",
    "aircraft by slug": "/api/v1/aircraft/concorde",
    "tag by slug": "/api/v1/tags/cold-war",
    "manufacturer by slug": "/api/v1/manufacturers/tupolev",
    "designer by slug": "/api/v1/designers/andrei-tupolev",
    "country by slug": "/api/v1/countries/su",
    "aircraft list": "/api/v1/aircraft",
    "aircraft list, page 100": "/api/v1/aircraft?page=100&size=20",
    "aircraft list, filtered": "/api/v1/aircraft?country=SU&sort=name",
    "aircraft list, search-like": "/api/v1/aircraft?country=SU&first_flight=1935/1960&sort=-max_speed_kmh",
    "aircraft list, by cursor": "/api/v1/aircraft?cursor=&sort=-first_flight",
    "tag list": "/api/v1/tags",
    "article list": "/api/v1/articles",
    "article list, of a tag": "/api/v1/articles?tag=cold-war",
    "article list, of a category": "/api/v1/articles?category=aircraft",
    "article list, newest": "/api/v1/articles?sort=-published_at",
    "search": "/api/v1/search?q=concorde",
    "suggest": "/api/v1/suggest?q=tup",
    "timeline": "/api/v1/timeline",
    "on this day": "/api/v1/on-this-day?date=03-02",
    "statistics": "/api/v1/statistics",
    "home": "/api/v1/pages/home",
    "changes": "/api/v1/changes?limit=20",
    "lineage": "/api/v1/aircraft/concorde/lineage",
    "comparison": "/api/v1/aircraft/compare?refs=concorde,tupolev-tu-144",
    "sitemap": "/sitemap.xml",
    "feed": "/feeds/articles.atom",
}
ROUNDS = 30
_LINKS = {"aircraft": ("country", "designer", "manufacturer", "engine"), "article": ("tag", "aircraft", "designer", "manufacturer")}


async def _grow(size: int) -> None:
    settings = get_settings().db
    connection = await asyncpg.connect(
        host=settings.host, port=settings.port, user=settings.user, password=settings.password.get_secret_value(), database=settings.name
    )
    try:
        async with without_indexes_of_search(connection), without_search(connection):
            for table, label in (("aircraft", "name"), ("article", "title")):
                await _copy(connection, table, label, size)
    finally:
        await connection.close()


async def _copy(connection: asyncpg.Connection[asyncpg.Record], table: str, label: str, size: int) -> None:
    """Copy rows of a table, with their links, under names with a number."""
    there = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - names from above
    columns = await connection.fetchval(COLUMNS, table, ["id", "slug", label])
    async with connection.transaction():
        await connection.execute(f"""
            CREATE TEMPORARY TABLE made ON COMMIT DROP AS
            SELECT gen_random_uuid() AS id, source.id AS source, n
            FROM generate_series(1, {max(0, size - there)}) AS n
            JOIN (SELECT id, row_number() OVER (ORDER BY slug) - 1 AS number FROM {table}) AS source ON source.number = n % {there};
            INSERT INTO {table} (id, slug, {label}, {columns})
            SELECT made.id, left(slug, 100) || '-' || {size} || '-' || n, {label} || ' ' || n, {columns}
            FROM made JOIN {table} AS original ON original.id = made.source;
            {COPY_SEARCH}
        """)  # noqa: S608
        for target in _LINKS[table]:
            name = f"{table}_{target}"
            others = await connection.fetchval(COLUMNS, name, [f"{table}_id", "sort_name"])
            await connection.execute(f"""
                INSERT INTO {name} ({table}_id, {others})
                SELECT made.id, {others} FROM made JOIN {name} AS original ON original.{table}_id = made.source;
            """)  # noqa: S608


def _milliseconds(server: Server, path: str) -> float:
    server.body(path)
    took = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        server.body(path)
        took.append(time.perf_counter() - begun)
    return sorted(took)[ROUNDS // 2] * 1000


def compare_sizes(server: Server) -> None:
    """Print what each page takes at each size: the median of requests one after another."""
    found: dict[str, list[float]] = {title: [] for title in PAGES}
    for size in SIZES:
        asyncio.run(_grow(size))
        for title, path in PAGES.items():
            found[title].append(_milliseconds(server, path))
    print("\n" + f"{'uncached, ms':34}" + "".join(f"{size:>10}" for size in SIZES) + "    growth")
    for title, took in found.items():
        print(f"{title:34}" + "".join(f"{one:10.2f}" for one in took) + f"{took[-1] / took[0]:10.2f}")
