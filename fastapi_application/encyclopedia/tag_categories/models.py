"""Table of the categories of tags."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from fastapi_application.crud.models import EntityModel, sort_key


class TagCategory(EntityModel):
    """A category of tags."""

    __tablename__ = "tag_category"
    __kind__: ClassVar[str] = "tag-categories"
    __label__: ClassVar[str] = "title"

    title: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("title")
    sort_order: Mapped[int] = mapped_column(Integer)
