"""What a field of a schema is, however its type is written."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.schemas import RefersTo, unique


class Inner(BaseModel):
    """A nested schema."""

    number: int


class Outer(BaseModel):
    """One field of each shape."""

    plain: str
    nullable: str | None
    old_style: Optional[str]  # noqa: UP045 - the point of the test
    described: Annotated[str, Field(max_length=3)] | None = None
    choice: Literal["a", "b"]
    numbers: list[int]
    maybe_numbers: list[int] | None
    numbers_or_none: list[int | None]
    inner: Inner
    maybe_inner: Annotated[Inner | None, "marker"]
    inners: Annotated[list[Inner], unique("number")]
    mapping: dict[str, list[str]]
    country: Annotated[str, RefersTo("countries")]
    maybe_country: Annotated[str, RefersTo("countries")] | None
    countries: list[Annotated[str, RefersTo("countries")]]
    from_: Annotated[str | None, Field(alias="from")] = None


FIELDS: dict[str, SchemaField] = {field.name: field for field in fields_of(Outer)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # type, is a list, may be null
        ("plain", (str, False, False)),
        ("nullable", (str, False, True)),
        ("old_style", (str, False, True)),
        ("described", (str, False, True)),
        ("choice", (Literal["a", "b"], False, False)),
        ("numbers", (int, True, False)),
        ("maybe_numbers", (int, True, True)),
        ("numbers_or_none", (int, True, False)),
        ("inner", (Inner, False, False)),
        ("maybe_inner", (Inner, False, True)),
        ("inners", (Inner, True, False)),
        ("mapping", (dict[str, list[str]], False, False)),
        ("country", (str, False, False)),
        ("maybe_country", (str, False, True)),
        ("countries", (str, True, False)),
    ],
)
def test_the_shape_of_a_type(name: str, expected: tuple[Any, bool, bool]) -> None:
    field = FIELDS[name]
    assert (field.type, field.is_list, field.is_nullable) == expected


def test_references_are_found_at_any_depth() -> None:
    assert {name: field.kind for name, field in FIELDS.items() if field.kind} == dict.fromkeys(
        ("country", "maybe_country", "countries"), "countries"
    )


def test_nested_schemas_are_found() -> None:
    assert {name for name, field in FIELDS.items() if field.schema is Inner} == {"inner", "maybe_inner", "inners"}


def test_the_key_is_the_name_in_the_json_and_the_order_is_kept() -> None:
    assert FIELDS["from_"].key == "from"
    assert {field.key for field in fields_of(Outer)} == {"from" if name == "from_" else name for name in Outer.model_fields}
    assert [field.name for field in fields_of(Outer)] == list(Outer.model_fields)


def test_metadata_is_found_by_its_type() -> None:
    assert FIELDS["maybe_inner"].marker(str) == "marker"
    assert FIELDS["plain"].marker(str) is None
