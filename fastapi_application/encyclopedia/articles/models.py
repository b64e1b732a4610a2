"""Tables of articles."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import JSON, CheckConstraint, DateTime, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, Link, links_to, owned_by, refers_to, sort_key
from fastapi_application.encyclopedia.aircraft.models import Aircraft
from fastapi_application.encyclopedia.design_bureaus.models import DesignBureau
from fastapi_application.encyclopedia.designers.models import Designer
from fastapi_application.encyclopedia.images.models import Image
from fastapi_application.encyclopedia.manufacturers.models import Manufacturer
from fastapi_application.encyclopedia.tags.models import Tag

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

DRAFT, IN_REVIEW, PUBLISHED, ARCHIVED = "draft", "in_review", "published", "archived"


class Article(EntityModel):
    """A text about aviation history. The public sees it only while it is published."""

    __tablename__ = "article"
    __kind__: ClassVar[str] = "articles"
    __label__: ClassVar[str] = "title"
    __unpublished__: ClassVar[tuple[str, ...]] = ("pending_number", "pending_status", "publish_at", "rejection")
    __table_args__ = (
        CheckConstraint("translation_of_id <> id", name="translation_of"),
        Index("ix_article_published_at", text("published_at DESC NULLS LAST"), "id"),
        Index("ix_article_updated_at", text("updated_at DESC NULLS LAST"), "id"),
        Index(None, "status", "category", "id"),
        Index(None, "translation_of_id", "sort_name", "id"),
    )

    title: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("title")
    category: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    summary: Mapped[str | None] = mapped_column(Text)
    content: Mapped[str | None] = mapped_column(Text)
    meta_title: Mapped[str | None] = mapped_column(Text)
    meta_description: Mapped[str | None] = mapped_column(Text)
    keywords: Mapped[list[str]] = mapped_column(ARRAY(Text))
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    archived_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    pending_number: Mapped[int | None] = mapped_column(Integer)
    """The newest revision of a change that waits beside the published text."""
    pending_status: Mapped[str | None] = mapped_column(Text)
    publish_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When what waits is to be published."""
    rejection: Mapped[str | None] = mapped_column(Text)
    """Why what waits was sent back."""
    translation_of_id: Mapped[uuid.UUID | None] = refers_to("article", index=False)
    translation_of: Mapped[Article | None] = relationship(remote_side="Article.id", lazy="raise")
    tags: Mapped[list[ArticleTag]] = relationship(
        back_populates="article", cascade="all, delete-orphan", order_by="ArticleTag.position", lazy="raise"
    )
    aircraft: Mapped[list[ArticleAircraft]] = relationship(
        back_populates="article", cascade="all, delete-orphan", order_by="ArticleAircraft.position", lazy="raise"
    )
    designers: Mapped[list[ArticleDesigner]] = relationship(
        back_populates="article", cascade="all, delete-orphan", order_by="ArticleDesigner.position", lazy="raise"
    )
    design_bureaus: Mapped[list[ArticleDesignBureau]] = relationship(
        back_populates="article", cascade="all, delete-orphan", order_by="ArticleDesignBureau.position", lazy="raise"
    )
    manufacturers: Mapped[list[ArticleManufacturer]] = relationship(
        back_populates="article", cascade="all, delete-orphan", order_by="ArticleManufacturer.position", lazy="raise"
    )
    images: Mapped[list[ArticleImage]] = relationship(
        back_populates="article", cascade="all, delete-orphan", order_by="ArticleImage.position", lazy="raise"
    )

    @property
    def current_version(self) -> int:
        """A change that waits is newer than the published text."""
        return self.pending_number or self.version

    @classmethod
    def is_public(cls, entity: Any) -> ColumnElement[bool]:
        """Only published articles are."""
        condition: ColumnElement[bool] = entity.status == PUBLISHED
        return condition


class ArticleTag(Link):
    """An article's link to tags."""

    __tablename__ = "article_tag"
    __owner__: ClassVar[str] = "article"
    __target__: ClassVar[str] = "tag"

    article_id: Mapped[uuid.UUID] = owned_by("article")
    tag_id: Mapped[uuid.UUID] = links_to("tag")
    article: Mapped[Article] = relationship(back_populates="tags", lazy="raise")
    tag: Mapped[Tag] = relationship(lazy="raise")


class ArticleAircraft(Link):
    """An article's link to aircraft."""

    __tablename__ = "article_aircraft"
    __owner__: ClassVar[str] = "article"
    __target__: ClassVar[str] = "aircraft"

    article_id: Mapped[uuid.UUID] = owned_by("article")
    aircraft_id: Mapped[uuid.UUID] = links_to("aircraft")
    article: Mapped[Article] = relationship(back_populates="aircraft", lazy="raise")
    aircraft: Mapped[Aircraft] = relationship(lazy="raise")


class ArticleDesigner(Link):
    """An article's link to designers."""

    __tablename__ = "article_designer"
    __owner__: ClassVar[str] = "article"
    __target__: ClassVar[str] = "designer"

    article_id: Mapped[uuid.UUID] = owned_by("article")
    designer_id: Mapped[uuid.UUID] = links_to("designer")
    article: Mapped[Article] = relationship(back_populates="designers", lazy="raise")
    designer: Mapped[Designer] = relationship(lazy="raise")


class ArticleDesignBureau(Link):
    """An article's link to design bureaus."""

    __tablename__ = "article_design_bureau"
    __owner__: ClassVar[str] = "article"
    __target__: ClassVar[str] = "design_bureau"

    article_id: Mapped[uuid.UUID] = owned_by("article")
    design_bureau_id: Mapped[uuid.UUID] = links_to("design_bureau")
    article: Mapped[Article] = relationship(back_populates="design_bureaus", lazy="raise")
    design_bureau: Mapped[DesignBureau] = relationship(lazy="raise")


class ArticleManufacturer(Link):
    """An article's link to manufacturers."""

    __tablename__ = "article_manufacturer"
    __owner__: ClassVar[str] = "article"
    __target__: ClassVar[str] = "manufacturer"

    article_id: Mapped[uuid.UUID] = owned_by("article")
    manufacturer_id: Mapped[uuid.UUID] = links_to("manufacturer")
    article: Mapped[Article] = relationship(back_populates="manufacturers", lazy="raise")
    manufacturer: Mapped[Manufacturer] = relationship(lazy="raise")


class ArticleImage(Link):
    """A picture in an article."""

    __tablename__ = "article_image"
    __owner__: ClassVar[str] = "article"
    __target__: ClassVar[str] = "image"

    article_id: Mapped[uuid.UUID] = owned_by("article")
    image_id: Mapped[uuid.UUID] = links_to("image")
    caption: Mapped[str | None] = mapped_column(Text)
    article: Mapped[Article] = relationship(back_populates="images", lazy="raise")
    image: Mapped[Image] = relationship(lazy="raise")
