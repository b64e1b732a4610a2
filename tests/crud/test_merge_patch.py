"""JSON Merge Patch as RFC 7396 defines it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_application.crud.merge_patch import merge_patch

# The same examples each time, and no time limit: a busy machine is not a failure.
unhurried = settings(derandomize=True, deadline=None)
# RFC 7396, appendix A: original, patch, result.
APPENDIX_A: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4), max_leaves=20
)
documents = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def without_nulls(value: Any) -> Any:
    """Return the value without the members that are null: what a patch can make."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


@pytest.mark.parametrize(("original", "patch", "result"), APPENDIX_A)
def test_the_examples_of_the_rfc(original: Any, patch: Any, result: Any) -> None:
    assert merge_patch(original, patch) == result


@unhurried
@given(documents, values)
def test_neither_document_nor_patch_is_changed(original: Any, patch: Any) -> None:
    before = copy.deepcopy((original, patch))
    merge_patch(original, patch)
    assert (original, patch) == before


@unhurried
@given(documents)
def test_an_empty_patch_changes_nothing(original: Any) -> None:
    assert merge_patch(original, {}) == original


@unhurried
@given(values, values)
def test_a_patch_applied_twice_is_applied_once(original: Any, patch: Any) -> None:
    once = merge_patch(original, patch)
    assert merge_patch(once, patch) == once


@unhurried
@given(values)
def test_a_patch_of_nothing_is_itself_without_nulls(patch: Any) -> None:
    assert merge_patch(None, patch) == without_nulls(patch)


@unhurried
@given(documents, documents)
def test_members_that_the_patch_does_not_name_stay_and_nulls_go(original: Any, patch: Any) -> None:
    result = merge_patch(original, patch)
    assert {key: result[key] for key in original if key not in patch} == {key: value for key, value in original.items() if key not in patch}
    assert not {key for key, value in patch.items() if value is None} & set(result)
    assert set(result) <= set(original) | set(patch)


@unhurried
@given(documents, documents)
def test_the_difference_of_two_documents_makes_the_second_of_the_first(first: Any, second: Any) -> None:
    second = without_nulls(second)
    patch = dict.fromkeys(first) | second
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(first.get(key), dict):  # objects merge: empty the old one's members
            patch[key] = dict.fromkeys(first[key]) | value
    result = merge_patch(first, patch)
    assert {key: result.get(key) for key in second if not isinstance(second[key], dict)} == {
        key: value for key, value in second.items() if not isinstance(value, dict)
    }
    assert set(result) == set(second)
