"""Tables of the history and of the answers that are kept for repeated requests."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, DateTime, ForeignKey, Identity, Index, Integer, LargeBinary, SmallInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from fastapi_application.core.db import Base


class Revision(Base):
    """What an entity was after one change, whole, with everything that its write document names.

    References stand in `document` as they were shown then (id, slug, name): the id says what is meant, the rest how it
    was called. Rows are only ever added; they outlive their entity.
    """

    __tablename__ = "revision"

    entity_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    """The version of the entity after the change."""
    kind: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    comment: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What the entity showed besides the document, for example the state of an article."""
    is_live: Mapped[bool] = mapped_column(Boolean)
    """False for a change that waits beside a published text."""
    is_public: Mapped[bool] = mapped_column(Boolean)
    """Whether anybody could read this revision when it was current."""


class Change(Base):
    """A public change, numbered in the order in which changes became visible."""

    __tablename__ = "change"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    entity_id: Mapped[uuid.UUID] = mapped_column()
    slug: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())


class IdempotencyKey(Base):
    """The answer to a POST that named a key; an account's keys are its own, on each route apart."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("ix_idempotency_key_created_at", "created_at"),)

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    route: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
    status: Mapped[int | None] = mapped_column(SmallInteger)
    """None only inside the transaction that is making the answer."""
    headers: Mapped[dict[str, str] | None] = mapped_column(JSON)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
