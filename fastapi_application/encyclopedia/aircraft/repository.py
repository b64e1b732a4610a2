"""Queries over the graph of aircraft."""

from __future__ import annotations

import uuid
from collections import defaultdict, deque
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from fastapi_application.encyclopedia.aircraft.models import Aircraft, AircraftLineage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

# One writer of edges at a time: two edges that close a cycle only together would otherwise both pass.
LINEAGE_LOCK = "SELECT pg_advisory_xact_lock(hashtext('aircraft_lineage'))"


class LineageRepository:
    """The graph of which aircraft came from which."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the repository to a session; the transaction is the caller's."""
        self.session = session

    async def lock(self) -> None:
        """Keep other writers of edges out until the transaction ends."""
        await self.session.execute(text(LINEAGE_LOCK))

    async def cycle_through(self, aircraft_id: uuid.UUID) -> list[str]:
        """Return the slugs along a shortest cycle through an aircraft, ending where it begins; empty without one."""
        edge = (AircraftLineage.descendant_id, AircraftLineage.aircraft_id)
        walk = select(*edge).where(AircraftLineage.descendant_id == aircraft_id).cte("walk", recursive=True)
        # UNION, not UNION ALL: an edge is walked once, however many paths lead over it.
        walk = walk.union(select(*edge).join(walk, walk.c.aircraft_id == AircraftLineage.descendant_id))
        older: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
        for descendant, ancestor in await self.session.execute(select(walk.c.descendant_id, walk.c.aircraft_id)):
            older[descendant].append(ancestor)
        path = _way_back(older, aircraft_id)
        if not path:
            return []
        found = await self.session.execute(select(Aircraft.id, Aircraft.slug).where(Aircraft.id.in_(path)))
        slugs = {row.id: row.slug for row in found}
        return [slugs[identifier] for identifier in path]


def _way_back(older: Mapping[uuid.UUID, Sequence[uuid.UUID]], start: uuid.UUID) -> list[uuid.UUID]:
    """Return a shortest path from an aircraft to itself, breadth first; empty without one."""
    reached_from: dict[uuid.UUID, uuid.UUID] = {}
    waiting = deque([start])
    while waiting:
        at = waiting.popleft()
        for ancestor in older.get(at, ()):
            if ancestor == start:
                path = [start, at]
                while path[-1] != start:
                    path.append(reached_from[path[-1]])
                return path[::-1]
            if ancestor not in reached_from:
                reached_from[ancestor] = at
                waiting.append(ancestor)
    return []
