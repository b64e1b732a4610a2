"""Bodies of the categories of tags."""

from typing import Annotated

from pydantic import BaseModel, Field

from fastapi_application.crud.read_query import ReverseCount, ReverseList
from fastapi_application.crud.schemas import EntityItem, Name, Reference, WriteSchema
from fastapi_application.encyclopedia.tags.models import Tag


class TagCategoryFields(BaseModel):
    """What requests and responses share."""

    title: Name
    sort_order: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0


class TagCategoryWrite(TagCategoryFields, WriteSchema):
    """The writable fields of a category."""


class TagCategoryItem(TagCategoryFields, EntityItem):
    """A category in a list."""


class TagCategoryDetail(TagCategoryItem):
    """A category."""

    tags: Annotated[list[Reference], ReverseList(Tag, "category")]
    tags_count: Annotated[int, ReverseCount(Tag, "category")]
