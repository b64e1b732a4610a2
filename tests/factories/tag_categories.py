"""Categories of tags for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "tag-categories"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"title": f"Category {n}"}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    return {**minimal(n), "sort_order": n}


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"title": f"Category {n}, renamed", "sort_order": -1}
