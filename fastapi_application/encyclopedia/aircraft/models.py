"""Tables of aircraft."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from sqlalchemy import JSON, Float, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fastapi_application.crud.models import EntityModel, Link, edtf, links_to, owned_by, refers_to, sort_key
from fastapi_application.encyclopedia.countries.models import Country
from fastapi_application.encyclopedia.design_bureaus.models import DesignBureau
from fastapi_application.encyclopedia.designers.models import Designer
from fastapi_application.encyclopedia.engines.models import Engine
from fastapi_application.encyclopedia.images.models import Image
from fastapi_application.encyclopedia.manufacturers.models import Manufacturer


class Aircraft(EntityModel):
    """An aircraft type, in the widest sense: whatever flies with or without a crew. Units are in the names."""

    __tablename__ = "aircraft"
    __kind__: ClassVar[str] = "aircraft"
    reserved_slugs: ClassVar[frozenset[str]] = frozenset({"compare"})
    # What large lists are mostly ordered by, in both directions: unknown dates are last either way.
    __table_args__ = (
        Index("ix_aircraft_first_flight_earliest", "first_flight_earliest", "first_flight_latest", "id"),
        Index(
            "ix_aircraft_first_flight_earliest_descending",
            text("first_flight_earliest DESC NULLS LAST"),
            text("first_flight_latest DESC NULLS LAST"),
            "id",
        ),
        Index("ix_aircraft_max_speed_kmh", "max_speed_kmh"),
        Index("ix_aircraft_max_speed_kmh_descending", text("max_speed_kmh DESC NULLS LAST"), "id"),
        Index("ix_aircraft_updated_at", text("updated_at DESC NULLS LAST"), "id"),
        Index(None, "category", "id"),
        Index(None, "design_bureau_id", "sort_name", "id"),
    )

    name: Mapped[str] = mapped_column(Text)
    sort_name: Mapped[str] = sort_key("name")
    original_name: Mapped[str | None] = mapped_column(Text)
    aliases: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    names: Mapped[dict[str, str]] = mapped_column(JSON)
    category: Mapped[str] = mapped_column(Text)
    purposes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    status: Mapped[str | None] = mapped_column(Text)
    engine_type: Mapped[str | None] = mapped_column(Text)
    engine_count: Mapped[int | None] = mapped_column(Integer)
    first_flight = edtf("first_flight")
    introduced = edtf("introduced")
    retired = edtf("retired")
    produced_from = edtf("produced_from")
    produced_to = edtf("produced_to")
    number_built: Mapped[int | None] = mapped_column(Integer)
    crew: Mapped[int | None] = mapped_column(Integer)
    passengers: Mapped[int | None] = mapped_column(Integer)
    length_m: Mapped[float | None] = mapped_column(Float)
    wingspan_m: Mapped[float | None] = mapped_column(Float)
    rotor_diameter_m: Mapped[float | None] = mapped_column(Float)
    height_m: Mapped[float | None] = mapped_column(Float)
    wing_area_m2: Mapped[float | None] = mapped_column(Float)
    empty_weight_kg: Mapped[float | None] = mapped_column(Float)
    max_takeoff_weight_kg: Mapped[float | None] = mapped_column(Float)
    max_speed_kmh: Mapped[float | None] = mapped_column(Float)
    cruise_speed_kmh: Mapped[float | None] = mapped_column(Float)
    range_km: Mapped[float | None] = mapped_column(Float)
    service_ceiling_m: Mapped[float | None] = mapped_column(Float)
    rate_of_climb_ms: Mapped[float | None] = mapped_column(Float)
    icao_designator: Mapped[str | None] = mapped_column(Text, index=True)
    iata_designator: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    disputed: Mapped[dict[str, list[str]]] = mapped_column(JSON)
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSON)

    design_bureau_id: Mapped[uuid.UUID | None] = refers_to("design_bureau", index=False)
    design_bureau: Mapped[DesignBureau | None] = relationship(lazy="raise")
    countries: Mapped[list[AircraftCountry]] = relationship(
        back_populates="aircraft", cascade="all, delete-orphan", order_by="AircraftCountry.position", lazy="raise"
    )
    designers: Mapped[list[AircraftDesigner]] = relationship(
        back_populates="aircraft", cascade="all, delete-orphan", order_by="AircraftDesigner.position", lazy="raise"
    )
    manufacturers: Mapped[list[AircraftManufacturer]] = relationship(
        back_populates="aircraft", cascade="all, delete-orphan", order_by="AircraftManufacturer.position", lazy="raise"
    )
    engines: Mapped[list[AircraftEngine]] = relationship(
        back_populates="aircraft", cascade="all, delete-orphan", order_by="AircraftEngine.position", lazy="raise"
    )
    images: Mapped[list[AircraftImage]] = relationship(
        back_populates="aircraft", cascade="all, delete-orphan", order_by="AircraftImage.position", lazy="raise"
    )
    lineage: Mapped[list[AircraftLineage]] = relationship(
        foreign_keys="AircraftLineage.descendant_id",
        back_populates="descendant",
        cascade="all, delete-orphan",
        order_by="AircraftLineage.position",
        lazy="raise",
    )


class AircraftCountry(Link):
    """A country of origin; the first is the main one."""

    __tablename__ = "aircraft_country"
    __owner__: ClassVar[str] = "aircraft"
    __target__: ClassVar[str] = "country"

    aircraft_id: Mapped[uuid.UUID] = owned_by("aircraft")
    country_id: Mapped[uuid.UUID] = links_to("country")
    aircraft: Mapped[Aircraft] = relationship(back_populates="countries", lazy="raise")
    country: Mapped[Country] = relationship(lazy="raise")


class AircraftDesigner(Link):
    """A designer's part in an aircraft."""

    __tablename__ = "aircraft_designer"
    __owner__: ClassVar[str] = "aircraft"
    __target__: ClassVar[str] = "designer"

    aircraft_id: Mapped[uuid.UUID] = owned_by("aircraft")
    designer_id: Mapped[uuid.UUID] = links_to("designer")
    role: Mapped[str | None] = mapped_column(Text)
    aircraft: Mapped[Aircraft] = relationship(back_populates="designers", lazy="raise")
    designer: Mapped[Designer] = relationship(lazy="raise")


class AircraftManufacturer(Link):
    """Who built an aircraft, when and how many."""

    __tablename__ = "aircraft_manufacturer"
    __owner__: ClassVar[str] = "aircraft"
    __target__: ClassVar[str] = "manufacturer"

    aircraft_id: Mapped[uuid.UUID] = owned_by("aircraft")
    manufacturer_id: Mapped[uuid.UUID] = links_to("manufacturer")
    from_ = edtf("from")
    to = edtf("to")
    quantity: Mapped[int | None] = mapped_column(Integer)
    aircraft: Mapped[Aircraft] = relationship(back_populates="manufacturers", lazy="raise")
    manufacturer: Mapped[Manufacturer] = relationship(lazy="raise")


class AircraftEngine(Link):
    """An engine that was fitted. Several are mostly alternatives of its variants, not a sum."""

    __tablename__ = "aircraft_engine"
    __owner__: ClassVar[str] = "aircraft"
    __target__: ClassVar[str] = "engine"

    aircraft_id: Mapped[uuid.UUID] = owned_by("aircraft")
    engine_id: Mapped[uuid.UUID] = links_to("engine")
    count: Mapped[int | None] = mapped_column(Integer)
    aircraft: Mapped[Aircraft] = relationship(back_populates="engines", lazy="raise")
    engine: Mapped[Engine] = relationship(lazy="raise")


class AircraftImage(Link):
    """A picture of an aircraft."""

    __tablename__ = "aircraft_image"
    __owner__: ClassVar[str] = "aircraft"
    __target__: ClassVar[str] = "image"

    aircraft_id: Mapped[uuid.UUID] = owned_by("aircraft")
    image_id: Mapped[uuid.UUID] = links_to("image")
    caption: Mapped[str | None] = mapped_column(Text)
    aircraft: Mapped[Aircraft] = relationship(back_populates="images", lazy="raise")
    image: Mapped[Image] = relationship(lazy="raise")


class AircraftLineage(Link):
    """An edge from the newer aircraft (`descendant`, the owner) to the older one (`aircraft`)."""

    __tablename__ = "aircraft_lineage"
    __owner__: ClassVar[str] = "descendant"
    __target__: ClassVar[str] = "aircraft"

    descendant_id: Mapped[uuid.UUID] = owned_by("aircraft")
    aircraft_id: Mapped[uuid.UUID] = links_to("aircraft")
    type: Mapped[str] = mapped_column(Text, primary_key=True)
    descendant: Mapped[Aircraft] = relationship(foreign_keys=[descendant_id], back_populates="lineage", lazy="raise")
    aircraft: Mapped[Aircraft] = relationship(foreign_keys=[aircraft_id], lazy="raise")
