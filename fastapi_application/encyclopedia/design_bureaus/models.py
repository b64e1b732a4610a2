"""Table of design bureaus."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from sqlalchemy import JSON, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, edtf, refers_to, sort_key
from fastapi_application.encyclopedia.countries.models import Country


class DesignBureau(EntityModel):
    """An organisation that designs aircraft which others build."""

    __tablename__ = "design_bureau"
    __kind__: ClassVar[str] = "design-bureaus"

    name: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("name")
    original_name: Mapped[str | None] = mapped_column(Text)
    aliases: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    country_id: Mapped[uuid.UUID | None] = refers_to("country")
    country: Mapped[Country | None] = relationship(lazy="raise")
    founded = edtf("founded")
    dissolved = edtf("dissolved")
    location: Mapped[str | None] = mapped_column(Text)
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
