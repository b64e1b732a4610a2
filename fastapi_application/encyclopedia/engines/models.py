"""Table of engines."""

from __future__ import annotations

import uuid
from typing import ClassVar

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, edtf, refers_to, sort_key
from fastapi_application.encyclopedia.countries.models import Country


class Engine(EntityModel):
    """An engine type."""

    __tablename__ = "engine"
    __kind__: ClassVar[str] = "engines"

    name: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("name")
    original_name: Mapped[str | None] = mapped_column(Text)
    manufacturer_name: Mapped[str | None] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    country_id: Mapped[uuid.UUID | None] = refers_to("country")
    country: Mapped[Country | None] = relationship(lazy="raise")
    first_run = edtf("first_run")
