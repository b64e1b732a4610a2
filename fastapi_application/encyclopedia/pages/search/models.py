"""Tables of search. Triggers write them (see the migration), so they cannot differ from what they describe."""

from __future__ import annotations

import uuid

from sqlalchemy import Boolean, ForeignKeyConstraint, Index, Integer, SmallInteger, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from fastapi_application.core.db import Base


class SearchDocument(Base):
    """What can be found of an entity."""

    __tablename__ = "search_document"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    entity_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    summary: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(Text)
    decade: Mapped[int | None] = mapped_column(Integer)
    country_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid))
    is_public: Mapped[bool] = mapped_column(Boolean)
    head: Mapped[str] = mapped_column(TSVECTOR)
    """Names (A) and summary (B): small, so that ranking reads no long text."""
    document: Mapped[str] = mapped_column(TSVECTOR)
    """The same and the body (D): what is matched."""

    # A pending list would be searched row by row until the next vacuum.
    __table_args__ = (
        Index("ix_search_document_document", "document", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        Index("ix_search_document_kind_is_public_decade", "kind", "is_public", "decade"),
    )


class SearchName(Base):
    """One spelling of a name, or of a part of it, as `search_key` writes it."""

    __tablename__ = "search_name"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    entity_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    weight: Mapped[int] = mapped_column(SmallInteger)
    """4 the name that is shown, 3 another one, 2 a designation in a name or a surname, 1 a word of it, 0 several words."""

    __table_args__ = (
        ForeignKeyConstraint(["kind", "entity_id"], ["search_document.kind", "search_document.entity_id"], ondelete="CASCADE"),
        Index("ix_search_name_key_weight", "key", text("weight DESC")),
        Index(
            "ix_search_name_key",
            "key",
            postgresql_using="gin",
            postgresql_ops={"key": "gin_trgm_ops"},
            postgresql_with={"fastupdate": "off"},
            postgresql_where=text("length(key) >= 5 AND weight >= 1"),
        ),
    )
