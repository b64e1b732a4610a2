"""Routes of engines."""

from fastapi_application.encyclopedia.engines.service import EngineService
from fastapi_application.encyclopedia.routing import entity_router

router = entity_router(EngineService)
