"""Articles for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "articles"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"title": f"Article {n}", "category": "event"}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    tag, aircraft, designer = await make("tags"), await make("aircraft"), await make("designers")
    bureau, maker, original = await make("design-bureaus"), await make("manufacturers"), await make("articles")
    image, other_image = await make("images"), await make("images")
    return {
        **minimal(n),
        "language": "ru",
        "summary": "A summary.",
        "content": "# A title\n\nSome *text*.\n",
        "meta_title": "Meta",
        "meta_description": "More meta.",
        "keywords": ["one", "two"],
        "tags": [tag["slug"]],
        "aircraft": [aircraft["slug"]],
        "designers": [designer["slug"]],
        "design_bureaus": [bureau["slug"]],
        "manufacturers": [maker["slug"]],
        "images": [{"image": image["slug"], "caption": "From the side."}, {"image": other_image["slug"], "caption": None}],
        "translation_of": original["slug"],
        "sources": [{"title": "T", "author": None, "publisher": None, "year": None, "isbn": None, "url": None, "accessed": None}],
    }


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"content": "Other text.\n", "keywords": ["three"]}
