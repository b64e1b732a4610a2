"""Dates of history: EDTF (ISO 8601-2) level 1 of the years 0001 to 9999, kept as written.

A text has derived bounds, the earliest and the latest day that it can mean, for sorting and filtering. Bounds are
strict: `?`, `~` and `%` do not widen them.

Three steps, because `edtf` 5.0.2 alone accepts too much: a whitelist of level 1 (`edtf` takes level 2, timestamps and
blanks), the grammar of `edtf` for that one kind of date (0.1 to 0.4 ms; trying its whole grammar takes 2 to 7 ms), then
`datetime.date`, which refuses what `edtf` lets pass: 1900-02-29 and the year 0. Intervals are put together here, since
`edtf` takes reversed ones and ends an unknown end after ten years.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final

from edtf import Date, Season, Unspecified
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_START: Final = -(2**31)
"""`earliest` of an interval without a known start: the least PostgreSQL integer."""
OPEN_END: Final = 2**31 - 1
"""`latest` of an interval without a known end: the greatest PostgreSQL integer."""
MAX_LENGTH: Final = 23
"""Characters of the longest date: an interval of two qualified days."""

_MONTH = "(?:0[1-9]|1[0-2])"
_DAY = "(?:0[1-9]|[12][0-9]|3[01])"
_PLAIN = f"[0-9]{{4}}(?:-(?:{_MONTH}(?:-{_DAY})?|2[1-4]))?[?~%]?"
_MASKED = f"(?:[0-9]{{3}}X|[0-9]{{2}}XX|[0-9]{{4}}-(?:{_MONTH}-XX|XX(?:-XX)?))[?~%]?"
# Masks inside an interval are level 2. Explicit digit ranges, because \d matches the digits of every script.
EDTF_PATTERN: Final = rf"^(?:{_PLAIN}|{_MASKED}|{_PLAIN}/(?:{_PLAIN}|\.\.)?|(?:\.\.)?/{_PLAIN})$"
"""Level 1 in the regular expressions of JSON Schema; it cannot tell reversed intervals and impossible days."""

_LEVEL_1 = re.compile(EDTF_PATTERN)
_QUALIFIERS = "?~%"
_SEASONS = frozenset({"21", "22", "23", "24"})
_NO_END = frozenset({"", ".."})
_CACHED_DATES = 4096  # the starter data has fewer than 1500 different ones

_ERROR_TYPE: Final = "invalid_date"
_NOT_LEVEL_1 = "Expected an EDTF level 1 date of the years 0001 to 9999, such as 1903-12-17, 1939-10~, 193X or 1941/1954."
_NOT_IN_CALENDAR = "The calendar of the years 0001 to 9999 has no such date."
_REVERSED = "The interval ends before it begins."


class InvalidDateError(ValueError):
    """The text is no date of history; the message is one sentence for the user, without the text itself."""


@dataclass(frozen=True, slots=True)
class EdtfDate:
    """An EDTF text and its bounds.

    The bounds are days as `date.toordinal()` counts them (proleptic Gregorian), both included. An open or unknown end
    of an interval is `OPEN_START` or `OPEN_END`. Instances are made by `parse_edtf` or loaded from the database.
    """

    text: str
    earliest: int
    latest: int

    def __composite_values__(self) -> tuple[str, int, int]:
        """The column values, in the order of the constructor (SQLAlchemy's composite protocol)."""
        return self.text, self.earliest, self.latest


def parse_edtf(text: str) -> EdtfDate:
    """Read a date or an interval; raises `InvalidDateError`.

    Seasons are those of the northern hemisphere as `edtf` counts them: 21 is March to May, 22 June to August,
    23 September to November and 24 December alone, so that the seasons of a year sort in the order of their numbers.
    An interval reaches from the earliest day of its start to the latest day of its end.
    """
    return _parse(text)


def parse_period(text: str) -> EdtfDate:
    """Read the value of a date filter: any date or interval, `1935/1945` as well as `193X`; raises `InvalidDateError`.

    Compare with its bounds: a stored date possibly lies in the period if `earliest <= period.latest` and
    `latest >= period.earliest`, definitely if `earliest >= period.earliest` and `latest <= period.latest`.
    """
    return _parse(text)


@lru_cache(maxsize=_CACHED_DATES)
def _parse(text: str) -> EdtfDate:
    if not _LEVEL_1.fullmatch(text):
        raise InvalidDateError(_NOT_LEVEL_1)
    start, slash, end = text.partition("/")
    if not slash:
        return EdtfDate(text, *_bounds(text))
    earliest = OPEN_START if start in _NO_END else _bounds(start)[0]
    latest = OPEN_END if end in _NO_END else _bounds(end)[1]
    if earliest > latest:
        raise InvalidDateError(_REVERSED)
    return EdtfDate(text, earliest, latest)


def _bounds(text: str) -> tuple[int, int]:
    """First and last day of a single date that has passed the whitelist."""
    unqualified = text.rstrip(_QUALIFIERS)
    parsed = _grammar(unqualified)(unqualified)
    # The grammar stops where it stops understanding: it reads 1941-02-30 as 1941-02.
    if str(parsed) != unqualified:
        raise InvalidDateError(_NOT_IN_CALENDAR)
    try:
        return date(*parsed.lower_strict()[:3]).toordinal(), date(*parsed.upper_strict()[:3]).toordinal()
    except ValueError:
        raise InvalidDateError(_NOT_IN_CALENDAR) from None


def _grammar(unqualified: str) -> Callable[[str], Date]:
    if "X" in unqualified:
        return Unspecified.parse
    if unqualified[5:] in _SEASONS:
        return Season.parse
    return Date.parse


def _valid(text: str) -> str:
    try:
        parse_edtf(text)
    except InvalidDateError as error:
        raise PydanticCustomError(_ERROR_TYPE, "{reason}", {"reason": str(error)}) from None
    return text


def _schema(description: str, examples: list[str]) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "string",
            "pattern": EDTF_PATTERN,
            "maxLength": MAX_LENGTH,
            "description": description,
            "examples": examples,
        }
    )


Edtf = Annotated[
    str,
    AfterValidator(_valid),
    _schema(
        "A date of history in EDTF (ISO 8601-2) level 1, years 0001 to 9999, kept exactly as written.",
        ["1903-12-17", "1939-10~", "1936?", "193X", "1941/1954"],
    ),
]
"""A date in a request or response: a string that `parse_edtf` accepts, unchanged; the error type is `invalid_date`."""

EdtfPeriod = Annotated[
    str,
    AfterValidator(_valid),
    _schema("A period to filter by: a date or an interval in EDTF level 1.", ["1935/1945", "193X", "1941-06/.."]),
]
"""A date filter in a query string; `parse_period` gives its bounds, from the cache."""
