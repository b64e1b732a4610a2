"""Tables of designers."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from sqlalchemy import JSON, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, Link, edtf, links_to, owned_by, refers_to, sort_key
from fastapi_application.encyclopedia.countries.models import Country
from fastapi_application.encyclopedia.design_bureaus.models import DesignBureau


class Designer(EntityModel):
    """A person who designed aircraft."""

    __tablename__ = "designer"
    __kind__: ClassVar[str] = "designers"

    name: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("name")
    original_name: Mapped[str | None] = mapped_column(Text)
    aliases: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    birth_date = edtf("birth_date")
    death_date = edtf("death_date")
    country_id: Mapped[uuid.UUID | None] = refers_to("country")
    country: Mapped[Country | None] = relationship(lazy="raise")
    biography: Mapped[str | None] = mapped_column(Text)
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    design_bureaus: Mapped[list[DesignerDesignBureau]] = relationship(
        back_populates="designer",
        cascade="all, delete-orphan",
        order_by="DesignerDesignBureau.position",
        lazy="raise",
    )


class DesignerDesignBureau(Link):
    """A designer's time at a design bureau."""

    __tablename__ = "designer_design_bureau"
    __owner__: ClassVar[str] = "designer"
    __target__: ClassVar[str] = "design_bureau"

    designer_id: Mapped[uuid.UUID] = owned_by("designer")
    design_bureau_id: Mapped[uuid.UUID] = links_to("design_bureau")
    role: Mapped[str | None] = mapped_column(Text)
    from_ = edtf("from")
    to = edtf("to")
    designer: Mapped[Designer] = relationship(back_populates="design_bureaus", lazy="raise")
    design_bureau: Mapped[DesignBureau] = relationship(lazy="raise")
