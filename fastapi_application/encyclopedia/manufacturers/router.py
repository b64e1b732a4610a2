"""Routes of manufacturers."""

from fastapi_application.encyclopedia.manufacturers.service import ManufacturerService
from fastapi_application.encyclopedia.routing import entity_router

router = entity_router(ManufacturerService)
