"""Media types, and which of two a client prefers."""

from __future__ import annotations

JSON = "application/json"
JSON_LD = "application/ld+json"


def prefers(accept: str, media_type: str, default: str) -> bool:
    """Whether an Accept header asks for a media type by name, and rather than for the default one."""
    wanted = {name.strip().lower(): _quality(parameters) for name, _, parameters in (item.partition(";") for item in accept.split(","))}
    return wanted.get(media_type, 0) > 0 and wanted[media_type] >= wanted.get(default, 0)


def _quality(parameters: str) -> float:
    """Return the weight of an item of an Accept header; one that cannot be read weighs nothing."""
    found = next((part.strip()[2:] for part in parameters.split(";") if part.strip().lower().startswith("q=")), "1")
    try:
        return float(found)
    except ValueError:
        return 0
