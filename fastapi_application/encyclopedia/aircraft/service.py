"""Rules of aircraft."""

from __future__ import annotations

from fastapi_application.core.errors import CycleError
from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.aircraft.models import Aircraft
from fastapi_application.encyclopedia.aircraft.repository import LineageRepository
from fastapi_application.encyclopedia.aircraft.schemas import AircraftDetail, AircraftItem, AircraftWrite


class AircraftService(EntityService[Aircraft, AircraftWrite]):
    """Aircraft."""

    model = Aircraft
    item_schema = AircraftItem
    detail_schema = AircraftDetail
    write_schema = AircraftWrite

    async def before_write(self, changed: set[str]) -> None:
        """Writers of lineage take turns: locked before the first write, so that two of them cannot deadlock."""
        if "lineage" in changed:
            await LineageRepository(self.session).lock()

    async def after_write(self, entity: Aircraft, changed: set[str]) -> None:
        """Refuse an edge that makes an aircraft its own ancestor.

        Raises:
            CycleError: with the path.

        """
        if "lineage" in changed and (path := await LineageRepository(self.session).cycle_through(entity.id)):
            raise CycleError(path=path)
