"""Bodies of articles."""

import uuid
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, func, null
from sqlalchemy.orm import aliased

from fastapi_application.accounts.models import User
from fastapi_application.crud.list_query import FilteredBy
from fastapi_application.crud.read_query import Computed, ReverseList, json_object, select_json, utc_text
from fastapi_application.crud.schemas import (
    AircraftRef,
    ArticleRef,
    ArticleReference,
    DesignBureauRef,
    DesignerRef,
    EntityItem,
    LanguageTag,
    LongText,
    ManufacturerRef,
    Markdown,
    Name,
    Reference,
    Schema,
    ShortText,
    Sources,
    TagRef,
    Timestamp,
    WriteSchema,
    unique,
)
from fastapi_application.encyclopedia.articles.models import DRAFT, IN_REVIEW, Article
from fastapi_application.encyclopedia.articles.workflow_schemas import Review
from fastapi_application.encyclopedia.vocabulary import ArticleCategory, ArticleStatus


class ArticleFields(BaseModel):
    """What requests and responses share."""

    title: Name
    category: ArticleCategory
    language: LanguageTag = "en"
    summary: LongText | None = None
    meta_title: Name | None = None
    meta_description: LongText | None = None
    keywords: Annotated[list[ShortText], Field(max_length=30), unique()] = []


class ArticleWrite(ArticleFields, WriteSchema):
    """The writable fields of an article. Its state is changed by actions, never by a body."""

    content: Annotated[Markdown | None, Field(description="Markdown")] = None
    tags: Annotated[list[TagRef], Field(max_length=50), unique()] = []
    aircraft: Annotated[list[AircraftRef], Field(max_length=200), unique()] = []
    designers: Annotated[list[DesignerRef], Field(max_length=200), unique()] = []
    design_bureaus: Annotated[list[DesignBureauRef], Field(max_length=200), unique()] = []
    manufacturers: Annotated[list[ManufacturerRef], Field(max_length=200), unique()] = []
    translation_of: Annotated[ArticleRef | None, Field(description="The article that this one translates")] = None
    sources: Sources = []


class Author(Schema):
    """Who wrote an article."""

    id: uuid.UUID
    display_name: str | None


class TranslationReference(ArticleReference):
    """A translation, with its language."""

    language: str


def _author(entity: Any, _everything: bool) -> ColumnElement[Any]:
    user = aliased(User)
    return json_object(select_json(Author, user), user.id == entity.created_by, within=entity)


def _original(entity: Any, everything: bool) -> ColumnElement[Any]:
    """The original, unless it is one that the public may not know of."""
    original = aliased(Article)
    found = [original.id == entity.translation_of_id, *([] if everything else [Article.is_public(original)])]
    return json_object(select_json(TranslationReference, original), *found, within=entity)


def _review(entity: Any, everything: bool) -> ColumnElement[Any]:
    """Where the text stands that the public does not see yet."""
    if not everything:
        return null()
    waits = entity.pending_number.is_not(None) | entity.status.in_((DRAFT, IN_REVIEW))
    columns = [
        func.coalesce(entity.pending_status, entity.status).label("status"),
        entity.pending_number.label("pending_revision"),
        utc_text(entity.publish_at).label("publish_at"),
        entity.rejection.label("reason"),
    ]
    return json_object(columns, waits, within=entity)


def _in_status(entity: Any, statuses: list[str]) -> ColumnElement[bool]:
    """A change that waits for review puts a published article into the queue too."""
    condition: ColumnElement[bool] = entity.status.in_(statuses)
    return condition | (entity.pending_status == IN_REVIEW) if IN_REVIEW in statuses else condition


class ArticleItem(ArticleFields, EntityItem):
    """An article in a list."""

    status: Annotated[ArticleStatus, FilteredBy(_in_status)]
    review: Annotated[Review | None, Computed(_review)]
    published_at: Timestamp | None
    archived_at: Timestamp | None
    author: Annotated[Author | None, Computed(_author, kind="user")]
    tags: list[Reference]
    aircraft: list[Reference]
    designers: list[Reference]
    design_bureaus: list[Reference]
    manufacturers: list[Reference]
    translation_of: Annotated[TranslationReference | None, Computed(_original, kind="articles")]


class ArticleDetail(ArticleItem):
    """An article."""

    content: Markdown | None
    sources: Sources
    translations: Annotated[list[TranslationReference], ReverseList(Article, "translation_of")]
