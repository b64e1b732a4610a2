"""Countries for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "countries"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"code": _code(n), "name": f"Country {n}"}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    successor = await make("countries")
    return {
        **minimal(n),
        "names": {"en": f"Country {n}", "ru": f"Страна {n}"},
        "alpha3": "QQQ",
        "iso_3166_3": "QQHH",
        "existed_from": "1922-12-30",
        "existed_to": "1991~",
        "successors": [successor["slug"]],
    }


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"name": f"Country {n}, renamed", "existed_to": "1991-12-26"}


def _code(n: int) -> str:
    """Return a code of four letters that no country has: counted up from QAAA."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[16 + n // 17576 % 10] + letters[n // 676 % 26] + letters[n // 26 % 26] + letters[n % 26]
