"""Bodies of tags."""

from typing import Annotated

from pydantic import BaseModel

from fastapi_application.crud.read_query import ReverseCount, ReverseList
from fastapi_application.crud.schemas import ArticleReference, EntityItem, Name, Reference, TagCategoryRef, WriteSchema
from fastapi_application.encyclopedia.articles.models import ArticleTag


class TagFields(BaseModel):
    """What requests and responses share."""

    name: Name


class TagWrite(TagFields, WriteSchema):
    """The writable fields of a tag."""

    category: TagCategoryRef | None = None


class TagItem(TagFields, EntityItem):
    """A tag in a list."""

    category: Reference | None
    articles_count: Annotated[int, ReverseCount(ArticleTag, "tag")]


class TagDetail(TagItem):
    """A tag."""

    articles: Annotated[list[ArticleReference], ReverseList(ArticleTag, "tag")]
