"""What differs between two documents: a JSON Patch, and the words of long texts."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jsonpatch

from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.schemas import MANY_LINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import BaseModel

# The time of a comparison grows with the square of these, at worst. Beyond them a passage is shown as replaced whole.
MAX_LINES = 4000
MAX_WORDS = 2000
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


class Segment(NamedTuple):
    """A piece of a text: in both versions, only in the older one, or only in the newer one."""

    op: Literal["equal", "delete", "insert"]
    text: str


def json_diff(old: Any, new: Any) -> list[dict[str, Any]]:
    """Return the operations (RFC 6902) that make `new` of `old`."""
    return list(jsonpatch.make_patch(old, new))


def word_diff(old: str, new: str) -> list[Segment]:
    """Return a text's pieces in their order: without the inserted ones they are the old text, without the deleted ones the new."""
    return list(_joined(_changed_lines(old.splitlines(keepends=True), new.splitlines(keepends=True))))


def text_diffs(old: dict[str, Any], new: dict[str, Any], schema: type[BaseModel]) -> dict[str, list[Segment]]:
    """Return the word diff of each Markdown field that differs."""
    keys = [field.key for field in fields_of(schema) if _is_markdown(field)]
    return {key: word_diff(old.get(key) or "", new.get(key) or "") for key in keys if old.get(key) != new.get(key)}


def _is_markdown(field: SchemaField) -> bool:
    return any(item is MANY_LINES for item in field.metadata)


def _changed_lines(old: list[str], new: list[str]) -> Iterator[Segment]:
    for same, before, after in _aligned(old, new, MAX_LINES):
        if same:
            yield Segment("equal", "".join(before))
        else:
            yield from _changed_words(_WORDS.findall("".join(before)), _WORDS.findall("".join(after)))


def _changed_words(old: list[str], new: list[str]) -> Iterator[Segment]:
    for same, before, after in _aligned(old, new, MAX_WORDS):
        if same:
            yield Segment("equal", "".join(before))
        else:
            yield Segment("delete", "".join(before))
            yield Segment("insert", "".join(after))


def _aligned(old: Sequence[str], new: Sequence[str], limit: int) -> Iterator[tuple[bool, Sequence[str], Sequence[str]]]:
    """Align two sequences: runs that are the same, and runs that differ."""
    if max(len(old), len(new)) > limit:
        yield False, old, new
        return
    for tag, a, b, c, d in SequenceMatcher(None, old, new).get_opcodes():
        yield tag == "equal", old[a:b], new[c:d]


def _joined(segments: Iterator[Segment]) -> Iterator[Segment]:
    """Leave out empty pieces, and put neighbours of one kind together."""
    current: Segment | None = None
    for segment in segments:
        if not segment.text:
            continue
        if current is not None and current.op == segment.op:
            current = Segment(current.op, current.text + segment.text)
            continue
        if current is not None:
            yield current
        current = segment
    if current is not None:
        yield current
