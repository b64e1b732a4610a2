"""The day that pages of the day are made for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple


class Day(NamedTuple):
    """A date in UTC."""

    date: str
    """`2026-11-21`."""
    ends_at: float
    """Unix time of the midnight that ends it."""

    @classmethod
    def today(cls) -> Day:
        """Return the day that it is."""
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return cls(now.date().isoformat(), midnight.timestamp())
