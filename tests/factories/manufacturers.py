"""Manufacturers for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "manufacturers"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"name": f"Works {n}", "kind": "company"}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    country, successor = await make("countries"), await make("manufacturers")
    return {
        **minimal(n),
        "kind": "institute",
        "original_name": f"Werke {n}",
        "aliases": [],
        "country": country["slug"],
        "founded": "1912/1914",
        "dissolved": "1945",
        "successor": successor["slug"],
        "sources": [
            {
                "title": "T",
                "author": None,
                "publisher": None,
                "year": None,
                "isbn": None,
                "url": "https://example.org/t",
                "accessed": "2026-01-31",
            }
        ],
    }


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"kind": "workshop", "dissolved": "1946-05"}
