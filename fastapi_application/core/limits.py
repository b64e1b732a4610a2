"""Limits that both the edge and a route must know."""

MAX_BODY_BYTES = 1024 * 1024
MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""Of the file itself."""
_FORM_BYTES = 64 * 1024
"""What stands around the file in an upload: boundaries, headers, the other fields."""

LARGER_BODIES = {("POST", "/api/v1/images"): MAX_IMAGE_BYTES + _FORM_BYTES}


def max_body_bytes(method: str, path: str) -> int:
    """Return how many bytes the body of such a request may have."""
    return LARGER_BODIES.get((method, path), MAX_BODY_BYTES)
