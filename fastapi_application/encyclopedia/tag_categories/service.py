"""Rules of the categories of tags."""

from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.tag_categories.models import TagCategory
from fastapi_application.encyclopedia.tag_categories.schemas import TagCategoryDetail, TagCategoryItem, TagCategoryWrite


class TagCategoryService(EntityService[TagCategory, TagCategoryWrite]):
    """Categories of tags."""

    model = TagCategory
    item_schema = TagCategoryItem
    detail_schema = TagCategoryDetail
    write_schema = TagCategoryWrite
    default_sort = "sort_order,title"
