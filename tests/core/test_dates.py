"""EDTF level 1: what is accepted, what is refused, and the bounds against the standard library's calendar."""

from __future__ import annotations

import calendar
import json
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from fastapi_application.core.dates import (
    EDTF_PATTERN,
    MAX_LENGTH,
    OPEN_END,
    OPEN_START,
    Edtf,
    EdtfDate,
    EdtfPeriod,
    InvalidDateError,
    parse_edtf,
    parse_period,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTER_DATA = Path(__file__).parents[2] / "fastapi_application" / "starter" / "data"
DATE_FIELDS = {"first_flight", "introduced", "retired", "birth", "death", "founded", "dissolved", "first_run"}
SEASON_MONTHS = {21: (3, 5), 22: (6, 8), 23: (9, 11), 24: (12, 12)}

VALID = [
    # text, first day, last day (None: open)
    ("1903-12-17", "1903-12-17", "1903-12-17"),
    ("1940-02-29", "1940-02-29", "1940-02-29"),
    ("1936", "1936-01-01", "1936-12-31"),
    ("1939-10", "1939-10-01", "1939-10-31"),
    ("1900-02", "1900-02-01", "1900-02-28"),
    ("0001", "0001-01-01", "0001-12-31"),
    ("9999-12-31", "9999-12-31", "9999-12-31"),
    ("1939?", "1939-01-01", "1939-12-31"),
    ("1939~", "1939-01-01", "1939-12-31"),
    ("1939%", "1939-01-01", "1939-12-31"),
    ("1939-10~", "1939-10-01", "1939-10-31"),
    ("1903-12-17%", "1903-12-17", "1903-12-17"),
    ("193X", "1930-01-01", "1939-12-31"),
    ("193X~", "1930-01-01", "1939-12-31"),
    ("19XX", "1900-01-01", "1999-12-31"),
    ("01XX", "0100-01-01", "0199-12-31"),
    ("99XX", "9900-01-01", "9999-12-31"),
    ("1939-XX", "1939-01-01", "1939-12-31"),
    ("1939-XX-XX", "1939-01-01", "1939-12-31"),
    ("1939-10-XX", "1939-10-01", "1939-10-31"),
    ("1900-02-XX", "1900-02-01", "1900-02-28"),
    ("1941-21", "1941-03-01", "1941-05-31"),
    ("1941-22", "1941-06-01", "1941-08-31"),
    ("1941-23~", "1941-09-01", "1941-11-30"),
    ("1941-24", "1941-12-01", "1941-12-31"),
    ("1941-10-21", "1941-10-21", "1941-10-21"),
    ("1941/1954", "1941-01-01", "1954-12-31"),
    ("1941/1941", "1941-01-01", "1941-12-31"),
    ("1941-06/1941", "1941-06-01", "1941-12-31"),
    ("1941-21?/1954-03~", "1941-03-01", "1954-03-31"),
    ("1903-12-17~/1903-12-18?", "1903-12-17", "1903-12-18"),
    ("1941/", "1941-01-01", None),
    ("1941/..", "1941-01-01", None),
    ("1941?/..", "1941-01-01", None),
    ("/1941", None, "1941-12-31"),
    ("../1941-10", None, "1941-10-31"),
]

NOT_LEVEL_1 = [
    *["", " ", "/", "..", "../..", "../", "/..", "//", "1941//1954", "1941/1942/1943", "..1941", "1941.."],
    *[" 1941", "1941 ", "1941\n", "\t1941", "1941 /1954", "1941/ 1954"],
    *["[1939,1940]", "{1939,1940}", "[..1941]", "1939..1941", "?1939", "1939?-10", "1939-10?-03", "1939-~10", "1939?~"],
    *["1X3X", "X939", "XXXX", "1XXX", "193x", "193X-10", "1939-1X", "1939-XX-10", "1939-10-1X", "193X/1945", "/193X"],
    *["1939-10-XX/1940", "Y17000", "Y1939", "-1939", "+1939", "1939S2", "1E3", "12345", "939", "39", "1941-25"],
    *["1903-12-17T10:35", "1903-12-17T10:35:00Z", "1903-12-17Z", "19031217", "1903-351", "1903-W51"],
    *["1941-13", "1941-00", "1941-01-00", "1941-01-32", "1941-1", "1941-1-1", "1941-", "1941-21-01"],
    *["\u0661\u0669\u0664\u0661", "\uff11\uff19\uff14\uff11", "1941\u20131954", "1941\u201010", "1941\x00", "\ud800"],
    *["unknown", "1941/open", "17.12.1903", "12/17/1903", "1" * 31, "1941/" * 10],
]
NOT_IN_CALENDAR = [
    *["1941-02-30", "1941-02-29", "1900-02-29", "1941-04-31", "1941-09-31~", "1941-02-30/..", "../1941-02-29"],
    *["0000", "0000-01-01", "000X", "00XX", "0000-XX", "0000-21", "0000/1941", "/0000"],
]
REVERSED = [
    "1954/1941",
    "1941-06/1941-05",
    "1941-06-15/1941-06-14",
    "1942?/1941~",
    "1941-22/1941-21",
    "1942-01-01/1941",
]
INVALID = {
    "Expected an EDTF level 1 date of the years 0001 to 9999, such as 1903-12-17, 1939-10~, 193X or 1941/1954.": (NOT_LEVEL_1),
    "The calendar of the years 0001 to 9999 has no such date.": NOT_IN_CALENDAR,
    "The interval ends before it begins.": REVERSED,
}


def day(text: str) -> int:
    """The ordinal of an ISO 8601 day."""
    return date.fromisoformat(text).toordinal()


def span(year: int, first: int, last: int) -> tuple[int, int]:
    """The bounds from the first day of one month of a year to the last day of another."""
    end = calendar.monthrange(year, last)[1]
    return date(year, first, 1).toordinal(), date(year, last, end).toordinal()


YEARS = st.integers(1, 9999)
MONTHS = st.integers(1, 12)
QUALIFIERS = st.sampled_from(["", "?", "~", "%"])
Expected = tuple[str, tuple[int, int]]


def day_case(qualifier: str, value: date) -> Expected:
    """A day and its bounds."""
    return value.isoformat() + qualifier, (value.toordinal(), value.toordinal())


def month_case(qualifier: str, year: int, month: int) -> Expected:
    """A month and its bounds."""
    return f"{year:04}-{month:02}{qualifier}", span(year, month, month)


def season_case(qualifier: str, year: int, season: int) -> Expected:
    """A season and its bounds."""
    return f"{year:04}-{season}{qualifier}", span(year, *SEASON_MONTHS[season])


def year_case(qualifier: str, year: int) -> Expected:
    """A year and its bounds."""
    return f"{year:04}{qualifier}", span(year, 1, 12)


def masked_year_case(qualifier: str, year: int, mask: str) -> Expected:
    """A year of unknown month, or of unknown month and day, and its bounds."""
    return f"{year:04}{mask}{qualifier}", span(year, 1, 12)


def masked_month_case(qualifier: str, year: int, month: int) -> Expected:
    """A month of unknown day and its bounds."""
    return f"{year:04}-{month:02}-XX{qualifier}", span(year, month, month)


def decade_case(qualifier: str, decade: int) -> Expected:
    """A decade and its bounds."""
    return f"{decade:03}X{qualifier}", (day(f"{decade:03}0-01-01"), day(f"{decade:03}9-12-31"))


def century_case(qualifier: str, century: int) -> Expected:
    """A century and its bounds."""
    return f"{century:02}XX{qualifier}", (day(f"{century:02}00-01-01"), day(f"{century:02}99-12-31"))


PLAIN = st.one_of(
    st.builds(day_case, QUALIFIERS, st.dates()),
    st.builds(month_case, QUALIFIERS, YEARS, MONTHS),
    st.builds(season_case, QUALIFIERS, YEARS, st.sampled_from([*SEASON_MONTHS])),
    st.builds(year_case, QUALIFIERS, YEARS),
)
MASKED = st.one_of(
    st.builds(masked_year_case, QUALIFIERS, YEARS, st.sampled_from(["-XX", "-XX-XX"])),
    st.builds(masked_month_case, QUALIFIERS, YEARS, MONTHS),
    st.builds(decade_case, QUALIFIERS, st.integers(1, 999)),
    st.builds(century_case, QUALIFIERS, st.integers(1, 99)),
)
OPEN_ENDS = st.sampled_from(["", ".."])
ALMOST_DATES = st.text(st.sampled_from("0123456789X-/.?~%TY[],{} "), max_size=MAX_LENGTH + 1)
NEAR_DATES = st.from_regex(EDTF_PATTERN, fullmatch=True)


class Plane(BaseModel):
    """A model with both kinds of field."""

    first_flight: Edtf
    retired: Edtf | None = None


@pytest.mark.parametrize(("text", "first", "last"), VALID)
def test_valid(text: str, first: str | None, last: str | None) -> None:
    expected = EdtfDate(text, day(first) if first else OPEN_START, day(last) if last else OPEN_END)
    assert parse_edtf(text) == expected
    assert parse_period(text) == expected
    assert re.search(EDTF_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [(text, message) for message, texts in INVALID.items() for text in texts],
)
def test_invalid(text: str, message: str) -> None:
    for parse in (parse_edtf, parse_period):
        with pytest.raises(InvalidDateError) as caught:
            parse(text)
        assert str(caught.value) == message  # constant, so it never repeats the input


def test_max_length_is_that_of_the_longest_date() -> None:
    assert max(len(text) for text, _, _ in VALID) == MAX_LENGTH


def test_sentinels_fit_a_postgresql_integer_and_enclose_every_day() -> None:
    assert -(2**31) <= OPEN_START < date.min.toordinal()
    assert date.max.toordinal() < OPEN_END < 2**31


def test_composite_values_are_the_constructor_arguments() -> None:
    parsed = parse_edtf("1939-10~")
    assert EdtfDate(*parsed.__composite_values__()) == parsed
    assert hash(parsed) == hash(EdtfDate(*parsed.__composite_values__()))


def test_a_repeated_text_comes_from_the_cache() -> None:
    assert parse_edtf("1903-12-17") is parse_edtf("1903-12-17") is parse_period("1903-12-17")


@settings(max_examples=100, deadline=None)
@given(st.one_of(PLAIN, MASKED))
def test_bounds_are_those_of_the_calendar(expected: Expected) -> None:
    text, (earliest, latest) = expected
    assert parse_edtf(text) == EdtfDate(text, earliest, latest)
    assert earliest <= latest


@settings(max_examples=100, deadline=None)
@given(PLAIN, PLAIN)
def test_an_interval_has_the_bounds_of_its_ends(start: Expected, end: Expected) -> None:
    text = f"{start[0]}/{end[0]}"
    if start[1][0] <= end[1][1]:
        assert parse_edtf(text) == EdtfDate(text, start[1][0], end[1][1])
    else:
        with pytest.raises(InvalidDateError):
            parse_edtf(text)


@settings(max_examples=50, deadline=None)
@given(PLAIN, OPEN_ENDS)
def test_a_missing_end_is_open(known: Expected, missing: str) -> None:
    text, (earliest, latest) = known
    assert parse_edtf(f"{text}/{missing}") == EdtfDate(f"{text}/{missing}", earliest, OPEN_END)
    assert parse_edtf(f"{missing}/{text}") == EdtfDate(f"{missing}/{text}", OPEN_START, latest)


@settings(max_examples=100, deadline=None)
@given(PLAIN | MASKED, OPEN_ENDS)
def test_masks_in_intervals_are_level_2(known: Expected, missing: str) -> None:
    for text in (f"{known[0]}/{missing}", f"{missing}/{known[0]}", f"{known[0]}/9999", f"0001/{known[0]}"):
        if "X" in text:
            with pytest.raises(InvalidDateError):
                parse_edtf(text)
        else:
            assert parse_edtf(text).text == text


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(), ALMOST_DATES, NEAR_DATES))
def test_any_text_is_a_date_or_an_invalid_date(text: str) -> None:
    try:
        parsed = parse_edtf(text)
    except InvalidDateError:
        return
    assert parsed.text == text
    assert parsed.earliest <= parsed.latest
    assert len(text) <= MAX_LENGTH


def test_a_model_keeps_the_text() -> None:
    body = '{"first_flight":"1939-10~","retired":"1941/"}'
    assert Plane.model_validate_json(body).model_dump_json() == body
    assert Plane.model_validate_json('{"first_flight":"193X"}').retired is None


@pytest.mark.parametrize("text", ["1941-02-30", "1954/1941", "[1939,1940]"])
def test_a_model_refuses_with_invalid_date(text: str) -> None:
    for field_type in (Edtf, EdtfPeriod):
        with pytest.raises(ValidationError) as caught:
            TypeAdapter(field_type).validate_python(text)
        (error,) = caught.value.errors()
        assert error["type"] == "invalid_date"
        with pytest.raises(InvalidDateError) as reason:
            parse_edtf(text)
        assert error["msg"] == str(reason.value)


def test_a_number_is_no_date() -> None:
    with pytest.raises(ValidationError) as caught:
        Plane.model_validate_json('{"first_flight":1941}')
    assert caught.value.errors()[0]["type"] == "string_type"


@pytest.mark.parametrize("field_type", [Edtf, EdtfPeriod])
def test_the_json_schema_describes_the_text(field_type: Any) -> None:
    for mode in ("validation", "serialization"):
        schema = TypeAdapter(field_type).json_schema(mode=mode)
        assert schema["type"] == "string"
        assert schema["maxLength"] == MAX_LENGTH
        assert schema["description"]
        for example in schema["examples"]:
            assert re.search(schema["pattern"], example)
            assert parse_edtf(example).text == example


def dates_below(value: Any, field: str = "") -> Iterator[str]:
    """Every value of a date field in a JSON document; `disputed` has lists of them."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from dates_below(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from dates_below(item, field)
    elif field in DATE_FIELDS and value is not None:
        yield value


def test_every_date_of_the_starter_data_is_valid() -> None:
    texts = [text for path in STARTER_DATA.glob("*.json") for text in dates_below(json.loads(path.read_bytes()))]
    assert len(texts) > 1000
    assert [parse_edtf(text).text for text in texts] == texts
