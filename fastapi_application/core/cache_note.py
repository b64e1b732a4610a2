"""How a handler tells the read cache at the edge what its answer shows. An answer without a note is never kept."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

SCOPE_KEY = "frankenjet.cache"


@dataclass(slots=True)
class CacheNote:
    """What the edge puts into the scope of a request whose answer it could keep, for the handler to fill in."""

    tags: frozenset[str] | None = None
    until: float | None = None
    """Unix time after which the answer is another one although nobody has written."""


def note_tags(scope: MutableMapping[str, Any], tags: Iterable[str], *, until: float | None = None) -> None:
    """Say which tags the answer to this request stands and falls with: a write that touches one of them ends it.

    Also covers the 404 or 308 that may come instead. Tags add up over several calls. See `redis_conf.generations`
    for what a tag is, and `crud.cache_tags` for how documents and pages get theirs.
    """
    note: CacheNote | None = scope.get(SCOPE_KEY)
    if note is None:
        return
    note.tags = (note.tags or frozenset()).union(tags)
    if until is not None:
        note.until = until if note.until is None else min(until, note.until)
