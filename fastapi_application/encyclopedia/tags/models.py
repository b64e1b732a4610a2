"""Table of tags."""

from __future__ import annotations

import uuid
from typing import ClassVar

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, refers_to, sort_key
from fastapi_application.encyclopedia.tag_categories.models import TagCategory


class Tag(EntityModel):
    """A word that articles are found by."""

    __tablename__ = "tag"
    __kind__: ClassVar[str] = "tags"

    name: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("name")
    category_id: Mapped[uuid.UUID | None] = refers_to("tag_category")
    category: Mapped[TagCategory | None] = relationship(lazy="raise")
