"""Routes of aircraft."""

from fastapi_application.encyclopedia.aircraft.service import AircraftService
from fastapi_application.encyclopedia.routing import entity_router

router = entity_router(AircraftService)
