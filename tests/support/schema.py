"""What a database's schema is, as PostgreSQL itself describes it."""

from __future__ import annotations

from tests.support.seeded import connection_to

_QUERIES = {
    "column": """
        SELECT c.relname || '.' || a.attname, concat_ws(' ',
            format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END, a.attgenerated::text,
            pg_get_expr(d.adbin, d.adrelid), nullif(a.attcollation, t.typcollation)::regcollation)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraint": """
        SELECT conrelid::regclass::text || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 0""",
    "index": "SELECT tablename || '.' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "other": """
        SELECT relkind::text || ' ' || relname, '' FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('r', 'i')
        UNION ALL SELECT 'type ' || typname, '' FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype <> 'c' AND typelem = 0
        UNION ALL SELECT 'function ' || oid::regprocedure::text, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT 'trigger ' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal""",
}
_ALEMBIC = "alembic_version"


async def schema_of(database: str) -> dict[str, str]:
    """Describe columns, constraints, indexes and whatever else there is, without Alembic's own table."""
    async with connection_to(database) as connection:
        rows = [(f"{kind} {name}", text) for kind, query in _QUERIES.items() for name, text in await connection.fetch(query)]
    return {name: text for name, text in sorted(rows) if _ALEMBIC not in name}
