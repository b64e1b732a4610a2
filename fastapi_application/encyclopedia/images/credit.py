"""The line that a page must show beside an image: derived from its other fields, as text and as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from fastapi_application.encyclopedia.images.licences import licence_name_and_address

if TYPE_CHECKING:
    from fastapi_application.encyclopedia.images.models import Image


def credit_of(image: Image) -> dict[str, str] | None:
    """Return title, author and licence; None before author and licence are known."""
    if image.author is None or image.licence is None:
        return None
    licence, address = licence_name_and_address(image.licence)
    html = [_link(image.name, image.source_url), _link(image.author, image.author_url), _link(licence, address, "license noopener")]
    return {"text": f"{image.name} / {image.author} / {licence}", "html": " / ".join(html)}


def _link(text: str, address: str | None, relation: str = "noopener") -> str:
    shown = escape(text)
    return shown if address is None else f'<a href="{escape(address)}" rel="{relation}">{shown}</a>'
