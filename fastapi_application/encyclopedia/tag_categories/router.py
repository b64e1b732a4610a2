"""Routes of the categories of tags."""

from fastapi_application.encyclopedia.routing import entity_router
from fastapi_application.encyclopedia.tag_categories.service import TagCategoryService

router = entity_router(TagCategoryService)
