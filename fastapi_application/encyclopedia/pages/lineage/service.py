"""Lineage and family."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import orjson

from fastapi_application.crud.repository import Repository
from fastapi_application.encyclopedia.aircraft.models import Aircraft
from fastapi_application.encyclopedia.pages.lineage.repository import GraphRepository
from fastapi_application.encyclopedia.pages.lineage.schemas import MAX_NODES, MAX_STEPS, LineageParams
from fastapi_application.encyclopedia.vocabulary import LineageType

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

RENDERS = ("aircraft",)
"""The kinds whose entries an answer depends on."""
FAMILY_TYPES = ("variant_of", "licence_built_from")


class LineageService:
    """The graph around one aircraft."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.aircraft = Repository(session, Aircraft)
        self.graph = GraphRepository(session)

    async def lineage(self, ref: str, parameters: LineageParams) -> bytes:
        """Render ancestors, descendants or both."""
        identifier, slug = await self.aircraft.identify(ref)
        # One step more than is shown tells whether there is more.
        steps = parameters.depth + 1
        up = 0 if parameters.direction == "descendants" else steps
        down = 0 if parameters.direction == "ancestors" else steps
        found = await self.graph.lineage(identifier, get_args(LineageType), up, down, parameters.depth, MAX_NODES)
        return orjson.dumps({"root": slug, **found})

    async def family(self, ref: str) -> bytes:
        """Render the variants of the type that an aircraft belongs to."""
        identifier, _ = await self.aircraft.identify(ref)
        return orjson.dumps(await self.graph.family(identifier, FAMILY_TYPES, MAX_STEPS, MAX_NODES))
