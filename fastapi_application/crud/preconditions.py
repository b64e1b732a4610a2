"""If-Match and If-None-Match (RFC 9110, section 13)."""

from __future__ import annotations

import re

from fastapi_application.core.errors import FieldError, PreconditionRequiredError

_ETAG = re.compile(r'(?:W/)?"([^"]*)"')


def parse_if_match(header: str | None) -> frozenset[str]:
    """Return the versions (`id8.version`) that the client has seen; the content hash does not matter to a write.

    Raises:
        PreconditionRequiredError: no header, or `*`: a client must say what it has read.

    """
    if header is None or not header.strip() or header.strip() == "*":
        detail = PreconditionRequiredError.default_detail
        raise PreconditionRequiredError(errors=[FieldError("/header/if-match", "precondition_required", detail)])
    return frozenset(".".join(tag.split(".")[:2]) for tag in _ETAG.findall(header))


def none_match(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names this ETag (weak comparison), so that 304 is the answer."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return etag.strip('"') in _ETAG.findall(header)
