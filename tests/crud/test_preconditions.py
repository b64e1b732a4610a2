"""If-Match and If-None-Match, read as RFC 9110 says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_application.core.errors import PreconditionRequiredError
from fastapi_application.crud.preconditions import none_match, parse_if_match

# The same examples each time, and no time limit: a busy machine is not a failure.
unhurried = settings(derandomize=True, deadline=None)
ETAG = '"0123abcd.7.9f8e7d"'


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        (ETAG, {"0123abcd.7"}),
        (f"W/{ETAG}", {"0123abcd.7"}),
        ('"0123abcd.7.other-hash"', {"0123abcd.7"}),
        ('"0123abcd.7.9f8e7d.gz"', {"0123abcd.7"}),
        ('"0123abcd.7"', {"0123abcd.7"}),
        (f'{ETAG}, W/"0123abcd.8.x" ,"fedc.1.y"', {"0123abcd.7", "0123abcd.8", "fedc.1"}),
        ("0123abcd.7.9f8e7d", set()),
        ('"', set()),
        ("nonsense", set()),
        ('""', {""}),
    ],
)
def test_a_write_looks_at_the_entity_and_its_version_only(header: str, versions: set[str]) -> None:
    assert parse_if_match(header) == versions


@pytest.mark.parametrize("header", [None, "", "  ", "*", " * "])
def test_a_write_must_say_what_it_has_read(header: str | None) -> None:
    with pytest.raises(PreconditionRequiredError) as raised:
        parse_if_match(header)
    assert raised.value.status == 428
    assert [item.pointer for item in raised.value.errors] == ["/header/if-match"]


@pytest.mark.parametrize("header", [ETAG, f"W/{ETAG}", "*", " * ", f'"a", {ETAG}', f'"a",W/{ETAG},"b"'])
def test_a_reader_who_has_these_bytes(header: str) -> None:
    assert none_match(header, ETAG)


@pytest.mark.parametrize(
    "header", [None, "", '"0123abcd.7.other"', '"0123abcd.7"', ETAG.strip('"'), '"0123abcd.7.9f8e7d', '"*"', '"0123abcd.8.9f8e7d"']
)
def test_a_reader_who_has_not(header: str | None) -> None:
    assert not none_match(header, ETAG)


@unhurried
@given(st.text())
def test_no_header_is_too_strange_to_read(header: str) -> None:
    none_match(header, ETAG)
    if header.strip() not in {"", "*"}:
        assert isinstance(parse_if_match(header), frozenset)
