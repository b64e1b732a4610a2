"""Tables of countries."""

from __future__ import annotations

import uuid
from typing import ClassVar

from sqlalchemy import JSON, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, Link, edtf, links_to, owned_by, sort_key


class Country(EntityModel):
    """A country of today, or one that was.

    Withdrawn codes are kept for their time; a code that ISO has given away since gives way to the four-letter one.
    """

    __tablename__ = "country"
    __kind__: ClassVar[str] = "countries"

    code: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("name")
    names: Mapped[dict[str, str]] = mapped_column(JSON)
    alpha3: Mapped[str | None] = mapped_column(Text)
    iso_3166_3: Mapped[str | None] = mapped_column(Text)
    existed_from = edtf("existed_from")
    existed_to = edtf("existed_to")
    successors: Mapped[list[CountrySuccessor]] = relationship(
        foreign_keys="CountrySuccessor.predecessor_id",
        back_populates="predecessor",
        cascade="all, delete-orphan",
        order_by="CountrySuccessor.position",
        lazy="raise",
    )


class CountrySuccessor(Link):
    """A country that came after one that is no more."""

    __tablename__ = "country_successor"
    __owner__: ClassVar[str] = "predecessor"
    __target__: ClassVar[str] = "successor"

    predecessor_id: Mapped[uuid.UUID] = owned_by("country")
    successor_id: Mapped[uuid.UUID] = links_to("country")
    predecessor: Mapped[Country] = relationship(foreign_keys=[predecessor_id], back_populates="successors", lazy="raise")
    successor: Mapped[Country] = relationship(foreign_keys=[successor_id], lazy="raise")
