"""A hundred thousand entries, made of the real ones by SQL."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

AIRCRAFT_COPIES, ARTICLE_COPIES = 172, 658
"""50 052 aircraft and 50 008 articles."""

COLUMNS = """
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname <> ALL ($2::text[])
"""
# Copies of what the triggers have made: the same text need not be read a hundred times.
COPY_SEARCH = """
    INSERT INTO search_document (kind, entity_id, slug, label, summary, language, category, decade, country_ids, is_public, head, document)
    SELECT kind, made.id, d.slug || '-' || n, label || ' ' || n, summary, language, category, decade, country_ids, is_public,
        head || setweight(to_tsvector('simple', n::text), 'A'), document || setweight(to_tsvector('simple', n::text), 'A')
    FROM made JOIN search_document AS d ON d.entity_id = made.source;
    INSERT INTO search_name (kind, entity_id, key, name, weight)
    SELECT kind, made.id, CASE WHEN weight >= 2 THEN key || n ELSE key END, name || ' ' || n, weight
    FROM made JOIN search_name AS s ON s.entity_id = made.source;
    INSERT INTO timeline_event SELECT kind, made.id, event, date_edtf, earliest, latest, month_day
    FROM made JOIN timeline_event AS e ON e.entity_id = made.source;
"""


# An index that is built at once takes a tenth of the time of one that grows by a hundred thousand texts.
_INDEXES = """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid IN ('search_document'::regclass, 'search_name'::regclass, 'timeline_event'::regclass) AND NOT indisprimary
"""


@asynccontextmanager
async def without_indexes_of_search(connection: asyncpg.Connection[asyncpg.Record]) -> AsyncIterator[None]:
    """Drop them, and build them anew at the end."""
    indexes = await connection.fetch(_INDEXES)
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    yield
    for index in indexes:
        await connection.execute(index["definition"])
    await connection.execute("VACUUM ANALYZE")


@asynccontextmanager
async def without_search(connection: asyncpg.Connection[asyncpg.Record]) -> AsyncIterator[None]:
    """Leave what is found to `COPY_SEARCH`: all else follows by its triggers."""
    tables = ("aircraft", "article", "aircraft_country")
    for table in tables:
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER search_insert")
    yield
    for table in tables:
        await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER search_insert")


async def multiply(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Copy aircraft with their countries, and articles, under names with a number."""
    async with without_indexes_of_search(connection), without_search(connection):
        await _multiply(connection)


async def _multiply(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    for table, label, copies in (("aircraft", "name", AIRCRAFT_COPIES), ("article", "title", ARTICLE_COPIES)):
        columns = await connection.fetchval(COLUMNS, table, ["id", "slug", label])
        await connection.execute(f"""
            CREATE TEMPORARY TABLE made AS
            SELECT gen_random_uuid() AS id, source.id AS source, n FROM {table} AS source, generate_series(1, {copies - 1}) AS n;
            INSERT INTO {table} (id, slug, {label}, {columns})
            SELECT made.id, slug || '-' || n, {label} || ' ' || n, {columns} FROM made JOIN {table} AS t ON t.id = made.source;
            {COPY_SEARCH}
        """)  # noqa: S608 - names from above
        if table == "aircraft":
            await connection.execute("""
                INSERT INTO aircraft_country (aircraft_id, country_id, position)
                SELECT made.id, country_id, position FROM made JOIN aircraft_country AS link ON link.aircraft_id = made.source
            """)
        await connection.execute("DROP TABLE made")
