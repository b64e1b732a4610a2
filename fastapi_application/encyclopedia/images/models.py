"""Table of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import JSON, BigInteger, Integer, Text, inspect, or_, select
from sqlalchemy.orm import Mapped, aliased, mapped_column

from fastapi_application.crud.models import EntityModel, model_of, sort_key

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

PROCESSING, READY, FAILED = "processing", "ready", "failed"
NOT_DECODABLE, GIVEN_UP = "not_decodable", "given_up"
REQUIRED = ("alt", "licence", "author", "source_url")
"""What must be known of an image before the public sees it."""
USED_BY = ("aircraft", "articles")


class Image(EntityModel):
    """A picture: what is known of it, and which files it has in the storage."""

    __tablename__ = "image"
    __kind__: ClassVar[str] = "images"
    is_public_by_itself: ClassVar[bool] = False

    name: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("name")
    alt: Mapped[str | None] = mapped_column(Text)
    caption: Mapped[str | None] = mapped_column(Text)
    licence: Mapped[str | None] = mapped_column(Text)
    author: Mapped[str | None] = mapped_column(Text)
    author_url: Mapped[str | None] = mapped_column(Text)
    source_url: Mapped[str | None] = mapped_column(Text)
    credit: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    sha256: Mapped[str] = mapped_column(Text, unique=True)
    """Of the stored original, in hexadecimal digits."""
    upload_sha256: Mapped[str] = mapped_column(Text, unique=True)
    """Of the file as it was sent, which is stored nowhere: the same file is not taken twice."""
    media_type: Mapped[str] = mapped_column(Text)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    bytes: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(Text)
    renditions: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    problem: Mapped[str | None] = mapped_column(Text)
    """Why there are no renditions, when there will be none by themselves."""

    @classmethod
    def is_public(cls, entity: Any) -> ColumnElement[bool]:
        """Once its fields are complete, unless only texts use it that are not public: it would tell of them."""
        known = [getattr(entity, name).is_not(None) for name in REQUIRED]
        used, shown = zip(*(_uses(kind, entity) for kind in USED_BY), strict=True)
        condition: ColumnElement[bool] = or_(*shown, ~or_(*used))
        for column in known:
            condition &= column
        return condition

    @classmethod
    def is_readable(cls, entity: Any) -> Any:
        """The same; of an entity in memory only what it can tell itself."""
        if isinstance(entity, Image):
            return all(getattr(entity, name) is not None for name in REQUIRED)
        return cls.is_public(entity)


def _uses(kind: str, image: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Whether entities of a kind use the image, and whether public ones do."""
    model = model_of(kind)
    owner, link = aliased(model), aliased(inspect(model).relationships["images"].mapper.class_)
    used = select(link.position).where(link.image_id == image.id)
    public = model.is_public(owner)
    owned = getattr(link, f"{link.__owner__}_id") == owner.id
    return used.exists(), (used if public is None else used.where(owned, public)).exists()
