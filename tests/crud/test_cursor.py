"""Cursors: what goes in comes out, for the query that made it and no other."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_application.core.config import get_settings
from fastapi_application.core.errors import ValidationFailedError
from fastapi_application.crud.cursor import decode_cursor, encode_cursor

if TYPE_CHECKING:
    from collections.abc import Iterator

# The same examples each time, and no time limit: a busy machine is not a failure.
unhurried = settings(derandomize=True, deadline=None)
SCOPE = "aircraft?sort=name"
rows = st.lists(st.none() | st.text(st.characters(codec="utf-8")) | st.integers(-(2**53), 2**53) | st.booleans(), min_size=1, max_size=4)


@pytest.fixture(scope="module", autouse=True)
def _secrets(servers: None) -> None:
    """Use the secrets of the run: without them each reading of the settings would make new ones."""


def refused(cursor: str, scope: str = SCOPE) -> bool:
    """Whether a cursor is refused, as one refuses it to a client."""
    try:
        decode_cursor(cursor, scope)
    except ValidationFailedError as error:
        found = error.errors
    else:
        return False
    assert [(item.pointer, item.code) for item in found] == [("/query/cursor", "invalid_cursor")]
    return True


@unhurried
@given(rows)
def test_what_goes_in_comes_out(values: list[Any]) -> None:
    cursor = encode_cursor(values, SCOPE)
    assert decode_cursor(cursor, SCOPE) == values
    assert cursor.replace("-", "").replace("_", "").isalnum()


@unhurried
@given(rows, st.text(st.characters(codec="utf-8")))
def test_a_cursor_belongs_to_its_query(values: list[Any], scope: str) -> None:
    assert refused(encode_cursor(values, SCOPE), scope) is (scope != SCOPE)


@unhurried
@given(rows, st.data())
def test_a_cursor_that_was_changed_is_refused(values: list[Any], data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(encode_cursor(values, SCOPE) + "=="))
    index = data.draw(st.integers(0, len(raw) - 1))
    raw[index] ^= data.draw(st.integers(1, 255))
    assert refused(base64.urlsafe_b64encode(raw).decode().rstrip("="))


@unhurried
@given(rows, st.integers(1, 200))
def test_a_cursor_that_was_cut_or_prolonged_is_refused(values: list[Any], cut: int) -> None:
    cursor = encode_cursor(values, SCOPE)
    shorter = cursor[:-cut]
    assert shorter == "" or refused(shorter)
    assert refused(cursor + "AAAA")


@unhurried
@given(st.text())
def test_no_text_is_too_strange_to_refuse(text: str) -> None:
    assert refused(text)


def test_two_values_are_not_mistaken_for_one_of_the_scope() -> None:
    """Scope and values are kept apart: moving a part from one to the other makes another cursor."""
    cursor = encode_cursor(["x"], 'tags\0["y"]')
    assert refused(cursor, "tags")


@pytest.fixture
def other_secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Change the secret that cursors are made with."""
    monkeypatch.setenv("ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET", "another-secret-another-secret-another")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


def test_a_cursor_of_another_installation_is_refused(request: pytest.FixtureRequest) -> None:
    cursor = encode_cursor(["x"], SCOPE)
    assert not refused(cursor)
    request.getfixturevalue("other_secret")
    assert refused(cursor)
