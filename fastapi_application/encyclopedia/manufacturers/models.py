"""Table of manufacturers."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from sqlalchemy import JSON, CheckConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, edtf, refers_to, sort_key
from fastapi_application.encyclopedia.countries.models import Country


class Manufacturer(EntityModel):
    """A company, institute or workshop that built aircraft."""

    __tablename__ = "manufacturer"
    __kind__: ClassVar[str] = "manufacturers"
    __table_args__ = (CheckConstraint("successor_id <> id", name="successor"),)

    kind: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("name")
    original_name: Mapped[str | None] = mapped_column(Text)
    aliases: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    country_id: Mapped[uuid.UUID | None] = refers_to("country")
    country: Mapped[Country | None] = relationship(lazy="raise")
    founded = edtf("founded")
    dissolved = edtf("dissolved")
    successor_id: Mapped[uuid.UUID | None] = refers_to("manufacturer")
    successor: Mapped[Manufacturer | None] = relationship(remote_side="Manufacturer.id", lazy="raise")
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
