"""The encyclopedia in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import literal, select, text, union_all

from fastapi_application.crud.counts import public_count
from fastapi_application.crud.models import model_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

RENDERS = ("aircraft", "articles", "countries", "design-bureaus", "designers", "engines", "facts", "icao-types", "manufacturers", "tags")
"""The kinds whose entries an answer depends on."""

# A group of those without a value makes each list add up to the total; only an aircraft of several countries counts twice.
_AIRCRAFT = text("""
    WITH counted AS (
        SELECT substr(source, strpos(source, '.') + 1) AS by, nullif(value, '') AS value, CAST(sum(total) AS bigint) AS count
        FROM group_count
        WHERE source IN ('aircraft.decade', 'aircraft.category', 'aircraft.engine_type', 'aircraft_country.country_id')
        GROUP BY source, value HAVING sum(total) > 0
    )
    SELECT json_build_object(
        'total', (SELECT CAST(sum(total) AS bigint) FROM entity_count WHERE kind = 'aircraft'),
        'by_decade', ARRAY(SELECT json_build_object('value', lpad(value, 4, '0') || 's', 'count', count)
            FROM counted WHERE by = 'decade' ORDER BY CAST(value AS integer) NULLS LAST),
        'by_country', ARRAY(SELECT json_build_object('value', code, 'name', country.name, 'count', count)
            FROM counted JOIN country ON by = 'country_id' AND CAST(country.id AS text) = value ORDER BY count DESC, code),
        'by_category', ARRAY(SELECT json_build_object('value', value, 'count', count)
            FROM counted WHERE by = 'category' ORDER BY count DESC, value),
        'by_engine_type', ARRAY(SELECT json_build_object('value', value, 'count', count)
            FROM counted WHERE by = 'engine_type' ORDER BY count DESC, value NULLS LAST)
    )
""")


class StatisticsService:
    """Counts."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.session = session

    async def statistics(self) -> bytes:
        """Render how many entries there are, and the aircraft by what they are."""
        aircraft = (await self.session.execute(_AIRCRAFT)).scalar_one()
        return orjson.dumps({"entries": await self.counts(), "aircraft": aircraft})

    async def counts(self) -> dict[str, int]:
        """Count the entries of each kind that everybody sees."""
        counts = [select(literal(kind), public_count(model_of(kind))) for kind in RENDERS]
        return dict((await self.session.execute(union_all(*counts))).tuples().all())
