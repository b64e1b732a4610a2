"""Engines for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "engines"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"name": f"Engine {n}", "type": "piston"}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    country = await make("countries")
    return {
        **minimal(n),
        "original_name": f"М-{n}",
        "manufacturer_name": "Mikulin",
        "country": country["slug"],
        "first_run": "1931~",
    }


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"type": "turbojet", "first_run": "1932"}
