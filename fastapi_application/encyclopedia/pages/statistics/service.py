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
    SELECT json_build_object(
        'total', (SELECT CAST(sum(total) AS bigint) FROM entity_count WHERE kind = 'aircraft'),
        'by_decade', ARRAY(SELECT json_build_object('value', lpad(CAST(decade AS text), 4, '0') || 's', 'count', count(*))
            FROM search_document WHERE kind = 'aircraft' GROUP BY decade ORDER BY decade NULLS LAST),
        'by_country', ARRAY(SELECT json_build_object('value', code, 'name', country.name, 'count', count)
            FROM (SELECT country_id, count(*) AS count FROM aircraft_country GROUP BY country_id) AS counted
            JOIN country ON country.id = country_id ORDER BY count DESC, code),
        'by_category', ARRAY(SELECT json_build_object('value', category, 'count', count(*))
            FROM aircraft GROUP BY category ORDER BY count(*) DESC, category),
        'by_engine_type', ARRAY(SELECT json_build_object('value', engine_type, 'count', count(*))
            FROM aircraft GROUP BY engine_type ORDER BY count(*) DESC, engine_type NULLS LAST)
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
