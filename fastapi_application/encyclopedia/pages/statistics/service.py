"""The encyclopedia in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

RENDERS = ("aircraft", "articles", "countries", "design-bureaus", "designers", "engines", "facts", "icao-types", "manufacturers", "tags")
"""The kinds whose entries an answer depends on."""

_COUNTS = """
    (SELECT json_object_agg(kind, count ORDER BY kind) FROM (
        SELECT kind, count(*) AS count FROM search_document WHERE is_public GROUP BY kind
        UNION ALL SELECT 'countries', count(*) FROM country
        UNION ALL SELECT 'facts', count(*) FROM fact
        UNION ALL SELECT 'icao-types', count(*) FROM icao_type
        UNION ALL SELECT 'tags', count(*) FROM tag
    ) AS counts)
"""

# A group of those without a value makes each list add up to the total; only an aircraft of several countries counts twice.
_STATISTICS = text(f"""
    SELECT {_COUNTS} AS entries, json_build_object(
        'total', (SELECT count(*) FROM aircraft),
        'by_decade', ARRAY(SELECT json_build_object('value', lpad(CAST(decade AS text), 4, '0') || 's', 'count', count(*))
            FROM search_document WHERE kind = 'aircraft' GROUP BY decade ORDER BY decade NULLS LAST),
        'by_country', ARRAY(SELECT json_build_object('value', code, 'name', country.name, 'count', count)
            FROM (SELECT country_id, count(*) AS count FROM aircraft_country GROUP BY country_id) AS counted
            JOIN country ON country.id = country_id ORDER BY count DESC, code),
        'by_category', ARRAY(SELECT json_build_object('value', category, 'count', count(*))
            FROM aircraft GROUP BY category ORDER BY count(*) DESC, category),
        'by_engine_type', ARRAY(SELECT json_build_object('value', engine_type, 'count', count(*))
            FROM aircraft GROUP BY engine_type ORDER BY count(*) DESC, engine_type NULLS LAST)
    ) AS aircraft
""")  # noqa: S608 - constants of this file
COUNTS = text(f"SELECT {_COUNTS}")


class StatisticsService:
    """Counts."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.session = session

    async def statistics(self) -> bytes:
        """Render how many entries there are, and the aircraft by what they are."""
        row = (await self.session.execute(_STATISTICS)).mappings().one()
        return orjson.dumps(dict(row))

    async def counts(self) -> dict[str, Any]:
        """Count the entries of each kind that everybody sees."""
        counts: dict[str, Any] = (await self.session.execute(COUNTS)).scalar_one()
        return counts
