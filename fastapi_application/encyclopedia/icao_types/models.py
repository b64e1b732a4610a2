"""Table of the ICAO type designators."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from fastapi_application.crud.models import EntityModel


class IcaoType(EntityModel):
    """A row of ICAO Doc 8643. Read only: the list is ICAO's, with the list's own values."""

    __tablename__ = "icao_type"
    __kind__: ClassVar[str] = "icao-types"
    __label__: ClassVar[str] = "model"

    designator: Mapped[str] = mapped_column(Text, index=True)
    manufacturer: Mapped[str] = mapped_column(Text, index=True)
    model: Mapped[str] = mapped_column(Text, index=True)
    aircraft_class: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    engine_type: Mapped[str] = mapped_column(Text)
    engine_count: Mapped[int | None] = mapped_column(Integer)
    wake_category: Mapped[str] = mapped_column(Text)
