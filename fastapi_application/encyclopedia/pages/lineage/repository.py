"""Walks over the graph of aircraft: one recursive query each, bounded in steps and in size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

# UNION, not UNION ALL: an aircraft is met once at each distance, however many paths lead to it.
_WALK = """
    WITH RECURSIVE older (id, steps) AS (
        SELECT CAST(:id AS uuid), 0
        UNION SELECT edge.aircraft_id, steps + 1 FROM older JOIN aircraft_lineage AS edge ON edge.descendant_id = older.id
            AND edge.type = ANY (:types) WHERE steps < :up
    ), newer (id, steps) AS (
        {start}
        UNION SELECT edge.descendant_id, steps + 1 FROM newer JOIN aircraft_lineage AS edge ON edge.aircraft_id = newer.id
            AND edge.type = ANY (:types) WHERE steps < :down
    ), node AS (
        SELECT id, min(steps) AS steps FROM (SELECT * FROM older UNION ALL SELECT * FROM newer) AS met GROUP BY id
    )
"""
_AROUND = _WALK.format(start="SELECT CAST(:id AS uuid), 0")
# From the oldest types, not from the aircraft itself.
_FROM_THE_OLDEST = _WALK.format(
    start="""SELECT id, 0 FROM older WHERE NOT EXISTS (
            SELECT FROM aircraft_lineage AS edge WHERE edge.descendant_id = older.id AND edge.type = ANY (:types))"""
)

_LINEAGE = text(f"""{_AROUND}, shown AS (
        SELECT aircraft.id, slug, name, first_flight_edtf, first_flight_earliest, steps FROM node JOIN aircraft USING (id)
        WHERE steps <= :depth ORDER BY steps, first_flight_earliest NULLS LAST, slug LIMIT :nodes
    )
    SELECT
        ARRAY(SELECT json_build_object('slug', slug, 'name', name, 'first_flight', first_flight_edtf)
            FROM shown ORDER BY steps, first_flight_earliest NULLS LAST, slug) AS nodes,
        ARRAY(SELECT json_build_object('from', descendant.slug, 'to', ancestor.slug, 'type', edge.type) FROM aircraft_lineage AS edge
            JOIN shown AS descendant ON descendant.id = edge.descendant_id JOIN shown AS ancestor ON ancestor.id = edge.aircraft_id
            ORDER BY least(descendant.steps, ancestor.steps), descendant.slug, ancestor.slug, edge.type) AS edges,
        (SELECT count(*) FROM node) > (SELECT count(*) FROM shown) AS truncated
""")  # noqa: S608 - constants of this file

_FAMILY = text(f"""{_FROM_THE_OLDEST}, shown AS (
        SELECT aircraft.id, slug, name, first_flight_edtf, first_flight_earliest, number_built
        FROM (SELECT id, min(steps) AS steps FROM newer GROUP BY id) AS member JOIN aircraft USING (id)
        ORDER BY steps, first_flight_earliest NULLS LAST, slug LIMIT :nodes
    )
    SELECT
        ARRAY(SELECT json_build_object('slug', slug, 'name', name, 'first_flight', first_flight_edtf,
            'number_built', number_built, 'variant_of', ARRAY(
                SELECT parent.slug FROM aircraft_lineage AS edge JOIN shown AS parent ON parent.id = edge.aircraft_id
                WHERE edge.descendant_id = shown.id AND edge.type = ANY (:types) ORDER BY edge.position),
            'url', '/api/v1/aircraft/' || slug)
            FROM shown ORDER BY first_flight_earliest NULLS LAST, slug) AS items,
        (SELECT slug FROM shown WHERE id IN (SELECT id FROM newer WHERE steps = 0)
            ORDER BY first_flight_earliest NULLS LAST, slug LIMIT 1) AS root,
        (SELECT count(DISTINCT id) FROM newer) > (SELECT count(*) FROM shown) AS truncated
""")  # noqa: S608 - constants of this file


class GraphRepository:
    """The graph of aircraft, for readers."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the repository to a session; the transaction is the caller's."""
        self.session = session

    async def lineage(self, identifier: uuid.UUID, types: Sequence[str], up: int, down: int, depth: int, nodes: int) -> dict[str, Any]:
        """Return nodes and edges around an aircraft; `up` and `down` are the steps to walk, one more than `depth` to shows."""
        parameters = {"id": identifier, "types": list(types), "up": up, "down": down, "depth": depth, "nodes": nodes}
        return dict((await self.session.execute(_LINEAGE, parameters)).mappings().one())

    async def family(self, identifier: uuid.UUID, types: Sequence[str], steps: int, nodes: int) -> dict[str, Any]:
        """Return the oldest types that an aircraft comes from through `types`, and everything that comes from them."""
        parameters = {"id": identifier, "types": list(types), "up": steps, "down": steps, "nodes": nodes}
        return dict((await self.session.execute(_FAMILY, parameters)).mappings().one())
