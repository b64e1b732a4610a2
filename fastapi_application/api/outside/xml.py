"""XML by hand: few elements, and every text escaped in one place."""

from __future__ import annotations

import html

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'


def element(name: str, *content: str, **attributes: str) -> str:
    """Return an element around content that is XML already; attributes are escaped here."""
    given = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
    return f"<{name}{given}>{''.join(content)}</{name}>" if content else f"<{name}{given}/>"


def text_element(name: str, text: str, **attributes: str) -> str:
    """Return an element around a text."""
    return element(name, html.escape(text), **attributes)


def document(root: str) -> bytes:
    """Return the bytes of a document."""
    return (DECLARATION + root + "\n").encode()
