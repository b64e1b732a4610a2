"""What every entity's table has, and the table of slugs that all kinds share."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import BigInteger, Computed, DateTime, ForeignKey, Identity, Index, Integer, SmallInteger, Text, func, text
from sqlalchemy.orm import Composite, Mapped, composite, declared_attr, mapped_column

from fastapi_application.core.dates import EdtfDate
from fastapi_application.core.db import Base

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

# Names sort without regard to case and accents, and the same on every installation, whatever its locale: "Éole" is
# among the E, "de Havilland" among the D. PostgreSQL builds without ICU have no collation that does this.
_SORT_KEY = r"regexp_replace(normalize(lower({column}), NFKD), '[\u0300-\u036f]', '', 'g')"

BY_TRIGGER = {"by_trigger": True}
"""Marks a column that only triggers write."""
_KINDS: dict[str, type[EntityModel]] = {}


def model_of(kind: str) -> type[EntityModel]:
    """The model of a kind, for example `aircraft`."""
    return _KINDS[kind]


def all_kinds() -> dict[str, type[EntityModel]]:
    """Every kind whose model is loaded."""
    return dict(_KINDS)


class EntityModel(Base):
    """An entity of the encyclopedia. A subclass names its kind: the plural noun of its routes."""

    __abstract__ = True
    __kind__: ClassVar[str]
    __label__: ClassVar[str] = "name"
    """The field that names an entity."""
    reserved_slugs: ClassVar[frozenset[str]] = frozenset()
    """What stands in the place of a slug in other routes."""
    is_public_by_itself: ClassVar[bool] = True
    """Whether a row alone tells if the public may see it: then triggers count those that it may."""
    __unpublished__: ClassVar[tuple[str, ...]] = ()
    """Columns that tell of what the public does not see yet, of a public entity too."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4, sort_order=-20)
    slug: Mapped[str] = mapped_column(Text, unique=True, sort_order=-19)
    version: Mapped[int] = mapped_column(Integer, default=1, sort_order=90)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=91)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=92)

    @declared_attr
    @classmethod
    def created_by(cls) -> Mapped[uuid.UUID | None]:
        """The account that created the entity; None is the system."""
        return mapped_column(ForeignKey("user.id"), sort_order=93)

    @declared_attr
    @classmethod
    def updated_by(cls) -> Mapped[uuid.UUID | None]:
        """The account that changed it last; None while it is as the system loaded it."""
        return mapped_column(ForeignKey("user.id"), sort_order=94)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        """Each UPDATE says `WHERE version =`: a lost race is an error, never a lost write. The service sets the next one."""
        return {"version_id_col": cls.__table__.c.version, "version_id_generator": False}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the kind."""
        super().__init_subclass__(**kwargs)
        if "__kind__" in cls.__dict__:
            _KINDS[cls.__kind__] = cls

    @classmethod
    def sort_attribute(cls, name: str) -> str:
        """Return the attribute that a field sorts by."""
        return "sort_name" if name == cls.__label__ and hasattr(cls, "sort_name") else name

    @property
    def current_version(self) -> int:
        """The version that an editor works on: the number of the newest revision."""
        return self.version

    @classmethod
    def is_public(cls, entity: Any) -> ColumnElement[bool] | None:  # noqa: ARG003 - the class or an alias
        """What the public may see, as a condition on the class or an alias of it; None where that is everything."""
        return None

    @classmethod
    def is_readable(cls, entity: Any) -> ColumnElement[bool] | None:
        """What the public may read at its own address: as a rule what it may see at all."""
        return cls.is_public(entity)


class Link(Base):
    """A row of a relation that an entity owns, with a position and often attributes of its own.

    Association objects, never `secondary=`: the flush sees each row that a change touches.
    `__owner__` names the attribute of the foreign key to the owning entity, without `_id`.
    """

    __abstract__ = True
    __owner__: ClassVar[str]
    __target__: ClassVar[str]

    position: Mapped[int] = mapped_column(SmallInteger, sort_order=50)
    sort_name: Mapped[str] = mapped_column(Text(collation="C"), server_default=text("''"), info=BY_TRIGGER, sort_order=60)
    """What the owner's name sorts by: the first that refer to an entity stand together in the index."""

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Index]:
        """Return the index by which an entity finds what refers to it."""
        target = f"{cls.__target__}_id"
        return (Index(f"ix_{cls.__tablename__}_{target}_sort_name", target, "sort_name", f"{cls.__owner__}_id"),)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        """Do not ask for what the trigger wrote: nobody reads it from here."""
        return {"eager_defaults": False}


class EntitySlug(Base):
    """Each slug that an entity has or had: the one place where slugs are unique within a kind.

    Former slugs keep their row while the entity lives, so they redirect and cannot be taken by another.
    """

    __tablename__ = "entity_slug"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    slug: Mapped[str] = mapped_column(Text, primary_key=True)
    entity_id: Mapped[uuid.UUID] = mapped_column()

    __table_args__ = (Index("ix_entity_slug_entity_id", "entity_id"),)


class EntityCount(Base):
    """How many rows each kind has: the sum of its rows here, which triggers add (`maintain_entity_count`)."""

    __tablename__ = "entity_count"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    kind: Mapped[str] = mapped_column(Text, index=True)
    total: Mapped[int] = mapped_column(BigInteger)
    public: Mapped[int] = mapped_column(BigInteger)


class GroupCount(Base):
    """How many rows have a value in a column (`aircraft_country.country_id`): the sum of its rows here (`maintain_group_count`)."""

    __tablename__ = "group_count"
    __table_args__ = (Index(None, "source", "value", postgresql_include=["total", "public"]),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)
    """Empty for the rows that have none."""
    total: Mapped[int] = mapped_column(BigInteger)
    public: Mapped[int] = mapped_column(BigInteger)


def edtf(name: str) -> Composite[EdtfDate | None]:
    """Map a date of history: the text as written, and its bounds as day numbers for filters and order."""
    return composite(
        _edtf_date,
        mapped_column(f"{name}_edtf", Text, nullable=True),
        mapped_column(f"{name}_earliest", Integer, nullable=True),
        mapped_column(f"{name}_latest", Integer, nullable=True),
    )


def sort_key(column: str) -> Any:
    """Generate the text that a name sorts by."""
    return mapped_column(Text(collation="C"), Computed(_SORT_KEY.format(column=column), persisted=True), index=True)


def _edtf_date(text: str | None, earliest: int | None, latest: int | None) -> EdtfDate | None:
    """SQLAlchemy calls this also for a row of NULLs, which is no date."""
    return None if text is None or earliest is None or latest is None else EdtfDate(text, earliest, latest)


def owned_by(table: str) -> Any:
    """Foreign key of a link to its owner: the rows go with it."""
    return mapped_column(ForeignKey(f"{table}.id", ondelete="CASCADE"), primary_key=True, sort_order=-10)


def links_to(table: str) -> Any:
    """Foreign key of a link to the other entity: it cannot be deleted while the link is there."""
    return mapped_column(ForeignKey(f"{table}.id"), primary_key=True, sort_order=-9)


def refers_to(table: str, *, index: bool = True) -> Any:
    """Foreign key of an entity to another: it cannot be deleted while this one refers to it."""
    return mapped_column(ForeignKey(f"{table}.id"), index=index)
