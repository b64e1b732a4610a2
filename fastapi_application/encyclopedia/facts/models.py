"""Table of facts."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from sqlalchemy import JSON, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, refers_to
from fastapi_application.encyclopedia.aircraft.models import Aircraft
from fastapi_application.encyclopedia.designers.models import Designer


class Fact(EntityModel):
    """One sentence worth knowing."""

    __tablename__ = "fact"
    __kind__: ClassVar[str] = "facts"
    __label__: ClassVar[str] = "text"

    text: Mapped[str] = mapped_column(Text)
    aircraft_id: Mapped[uuid.UUID | None] = refers_to("aircraft")
    aircraft: Mapped[Aircraft | None] = relationship(lazy="raise")
    designer_id: Mapped[uuid.UUID | None] = refers_to("designer")
    designer: Mapped[Designer | None] = relationship(lazy="raise")
    source: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
