"""Routes of design bureaus."""

from fastapi_application.encyclopedia.design_bureaus.service import DesignBureauService
from fastapi_application.encyclopedia.routing import entity_router

router = entity_router(DesignBureauService)
