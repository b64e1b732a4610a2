"""Designers for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "designers"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"name": f"Designer {n}"}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    country, bureau = await make("countries"), await make("design-bureaus")
    return {
        **minimal(n),
        "original_name": f"Конструктор {n}",
        "aliases": [{"name": f"D. {n}", "kind": "other", "language": None}],
        "birth_date": "1894-03-30",
        "death_date": "1977?",
        "country": country["slug"],
        "biography": f"Number {n}.\n\nDesigned *aircraft*.",
        "design_bureaus": [{"design_bureau": bureau["slug"], "role": "chief designer", "from": "1933", "to": "1970~"}],
        "sources": [{"title": "Memoirs", "author": "D.", "publisher": "P", "year": None, "isbn": None, "url": None, "accessed": None}],
    }


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"birth_date": "189X", "biography": "Another text."}
