"""Design bureaus for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "design-bureaus"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"name": f"Bureau {n}"}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    country = await make("countries")
    return {
        **minimal(n),
        "original_name": f"ОКБ-{n}",
        "aliases": [{"name": f"OKB-{n}", "kind": "transliteration", "language": "en"}],
        "country": country["slug"],
        "founded": "1939-12~",
        "dissolved": None,
        "location": "Moscow",
        "sources": [{"title": "A history", "author": None, "publisher": None, "year": 1999, "isbn": None, "url": None, "accessed": None}],
    }


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"location": "Kuybyshev", "founded": "1940"}
