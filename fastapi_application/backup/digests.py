"""A digest of the rows of each table, the same on every server that holds the same rows, in whatever order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

ONE_TEXT = (
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL intervalstyle = 'iso_8601'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL search_path = ''",
)
"""Settings under which equal rows have equal texts."""
_TABLES = text("""
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1
""")


async def table_names(session: AsyncSession) -> list[str]:
    """List all tables but those of the system and of extensions, quoted, with their schemas."""
    return list(await session.scalars(_TABLES))


async def table_digests(session: AsyncSession) -> dict[str, str]:
    """Compute the digest of every table, in the session's transaction."""
    for statement in ONE_TEXT:
        await session.execute(text(statement))
    return {name: str(await session.scalar(text(f"SELECT {digest_of(name)}"))) for name in await table_names(session)}


def digest_of(table: str) -> str:
    """Return an expression: the number of rows, and the sums of two halves of the SHA-256 of each row's text."""
    # The name comes from the catalogue, quoted by the server.
    return (
        f"(SELECT count(*) || ':' || coalesce(sum({_half(1)}), 0) || ':' || coalesce(sum({_half(17)}), 0) "  # noqa: S608
        f"FROM (SELECT encode(sha256(convert_to(t::text, 'UTF8')), 'hex') AS h FROM ONLY {table} t) AS hashed)"
    )


def _half(first: int) -> str:
    # The type of SQL's standard; the colons of PostgreSQL's own notation would be parameters to SQLAlchemy.
    return f"CAST(CAST('x' || substr(h, {first}, 16) AS bit(64)) AS bigint)"


def check_of(tables: dict[str, str]) -> str:
    """Return a statement that fails unless each table has its digest."""
    checks = " ".join(
        f"IF {digest_of(name)} IS DISTINCT FROM '{digest}' THEN RAISE EXCEPTION 'the rows of % differ', {_literal(name)}; END IF;"
        for name, digest in sorted(tables.items())
    )
    return f"{'; '.join(ONE_TEXT)}; DO {_dollar_quoted(f'BEGIN {checks} END')};"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _dollar_quoted(body: str) -> str:
    return f"$restore_check${body}$restore_check$"
