"""Routes of tags."""

from fastapi_application.encyclopedia.routing import entity_router
from fastapi_application.encyclopedia.tags.service import TagService

router = entity_router(TagService)
