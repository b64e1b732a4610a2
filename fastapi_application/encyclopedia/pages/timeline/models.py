"""Table of the timeline. Triggers write it, with the documents of search."""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKeyConstraint, Index, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from fastapi_application.core.db import Base


class TimelineEvent(Base):
    """Something that happened to an entity: its date as written, and its bounds as day numbers."""

    __tablename__ = "timeline_event"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    entity_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(Text, primary_key=True)
    date_edtf: Mapped[str] = mapped_column(Text)
    earliest: Mapped[int] = mapped_column(Integer)
    latest: Mapped[int] = mapped_column(Integer)
    month_day: Mapped[str | None] = mapped_column(Text)
    """`12-17`, where the whole date is known and not qualified."""

    __table_args__ = (
        ForeignKeyConstraint(["kind", "entity_id"], ["search_document.kind", "search_document.entity_id"], ondelete="CASCADE"),
        Index("ix_timeline_event_earliest_latest", "earliest", "latest", "kind", "entity_id", "event"),
        Index("ix_timeline_event_month_day_earliest", "month_day", "earliest"),
    )
