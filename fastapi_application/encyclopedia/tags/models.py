"""Table of tags."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Text, inspect, select
from sqlalchemy.orm import Mapped, aliased, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, model_of, refers_to, sort_key
from fastapi_application.encyclopedia.tag_categories.models import TagCategory

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement


class Tag(EntityModel):
    """A word that articles are found by."""

    __tablename__ = "tag"
    __kind__: ClassVar[str] = "tags"
    is_public_by_itself: ClassVar[bool] = False

    name: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("name")
    category_id: Mapped[uuid.UUID | None] = refers_to("tag_category")
    category: Mapped[TagCategory | None] = relationship(lazy="raise")

    @classmethod
    def is_public(cls, entity: Any) -> ColumnElement[bool]:
        """A tag that only unpublished articles bear would tell of them: it is in no list."""
        articles = model_of("articles")
        article, link = aliased(articles), aliased(inspect(articles).relationships["tags"].mapper.class_)
        borne = select(link.position).where(link.tag_id == entity.id)
        public = articles.is_public(article)
        shown = borne.where(link.article_id == article.id, *([] if public is None else [public]))
        condition: ColumnElement[bool] = ~borne.exists() | shown.exists()
        return condition

    @classmethod
    def is_readable(cls, entity: Any) -> None:  # noqa: ARG003 - signature of the hook
        """Its own page stays where it is, without those articles, for whoever knows the address."""
        return
