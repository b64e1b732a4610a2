"""Routes of facts."""

from fastapi_application.encyclopedia.facts.service import FactService
from fastapi_application.encyclopedia.routing import entity_router

router = entity_router(FactService)
