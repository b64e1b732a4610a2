"""Routes of designers."""

from fastapi_application.encyclopedia.designers.service import DesignerService
from fastapi_application.encyclopedia.routing import entity_router

router = entity_router(DesignerService)
