"""Tags for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "tags"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"name": f"Tag {n}"}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    category = await make("tag-categories")
    return {**minimal(n), "category": category["slug"]}


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"name": f"Tag {n}, renamed"}
