"""Facts for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "facts"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"text": f"Fact number {n}."}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    aircraft, designer = await make("aircraft"), await make("designers")
    return {
        **minimal(n),
        "aircraft": aircraft["slug"],
        "designer": designer["slug"],
        "source": {"title": "T", "author": None, "publisher": None, "year": 1980, "isbn": None, "url": None, "accessed": None},
    }


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"text": f"Fact number {n}, corrected."}
