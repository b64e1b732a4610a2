"""Filters of lists: any of, ranges, unknown values, references, and dates of history with a certainty."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, get_args

import pytest
from sqlalchemy import inspect

from fastapi_application.crud.fields import fields_of
from fastapi_application.crud.list_query import filters_of
from tests.contract.kinds import ICAO, KINDS, SERVICES, is_date, make_icao_type, rename
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make

AIRCRAFT = "/api/v1/aircraft"


@pytest.fixture
def names(make: Make, editor: httpx.AsyncClient) -> Names:
    """Return the search for names among the aircraft of one test."""
    return Names(make, editor)


class Names:
    """Creates aircraft, and finds which of them a query returns."""

    def __init__(self, make: Make, client: httpx.AsyncClient) -> None:
        """Begin without any."""
        self.make, self.client = make, client
        self.ids: list[str] = []

    async def add(self, name: str, **fields: Any) -> dict[str, Any]:
        """Create an aircraft."""
        made = await self.make("aircraft", name=name, **fields)
        self.ids.append(made["id"])
        return made

    async def found(self, query: str, sort: str = "name") -> str:
        """Return the names that match, joined by blanks."""
        answer = await self.client.get(f"{AIRCRAFT}?ids={','.join(self.ids)}&sort={sort}&{query}")
        page = body(answer)
        assert page["total"] == len(page["items"])
        return " ".join(item["name"] for item in page["items"])


async def test_any_of_by_comma_and_by_repetition(names: Names) -> None:
    for name, category, purposes in (("a", "airplane", ["fighter"]), ("b", "glider", ["sport", "trainer"]), ("c", "uav", [])):
        await names.add(name, category=category, purposes=purposes, status="retired" if name == "a" else None)
    assert await names.found("category=glider") == "b"
    assert await names.found("category=glider,uav") == await names.found("category=glider&category=uav") == "b c"
    assert await names.found("category=airplane,glider&category=uav") == "a b c"
    assert await names.found("category=rocket") == ""
    assert await names.found("purpose=trainer,fighter") == await names.found("purpose=trainer&purpose=fighter") == "a b"
    assert await names.found("purpose=trainer&category=airplane") == "", "different parameters narrow the list"
    assert await names.found("status=retired,prototype") == "a"
    assert await names.found("name=a,c") == "a c"


async def test_ranges_include_their_bounds(names: Names) -> None:
    for name, wingspan, built in (("a", 9.5, 1), ("b", 10, 20), ("c", 25.6, 300), ("d", None, None)):
        await names.add(name, wingspan_m=wingspan, number_built=built)
    assert await names.found("wingspan_m.gte=10") == "b c"
    assert await names.found("wingspan_m.lte=10") == "a b"
    assert await names.found("wingspan_m.gte=9.6&wingspan_m.lte=25.6") == "b c"
    assert await names.found("wingspan_m=10.0,25.6") == "b c"
    assert await names.found("number_built.gte=2&number_built.lte=299") == "b"
    assert await names.found("number_built.gte=1.5") == "b c"
    assert await names.found("number_built=300,1") == "a c"
    assert await names.found("wingspan_m.gte=30&wingspan_m.lte=20") == ""


async def test_ranges_of_timestamps(names: Names) -> None:
    first, second = await names.add("a"), await names.add("b")
    assert await names.found(f"created_at.gte={second['created_at']}") == "b"
    assert await names.found(f"created_at.lte={first['created_at']}") == "a"
    assert await names.found(f"updated_at.gte={first['created_at']}&version=1") == "a b"


async def test_is_null_finds_what_is_unknown(names: Names, make: Make) -> None:
    bureau = (await make("design-bureaus"))["slug"]
    await names.add("a", wingspan_m=1, first_flight="1941", status="retired", design_bureau=bureau, original_name="A")
    await names.add("b")
    for name in ("wingspan_m", "first_flight", "status", "design_bureau", "original_name"):
        assert await names.found(f"{name}.is_null=true") == "b", name
        assert await names.found(f"{name}.is_null=false") == "a", name


async def test_references_by_slug_old_slug_id_and_code(names: Names, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    soviet, french = await make("countries"), await make("countries")
    await names.add("a", countries=[soviet["slug"], french["slug"]])
    await names.add("b", countries=[french["slug"]])
    await names.add("c")
    for ref in (soviet["slug"], soviet["id"], soviet["code"], soviet["id"].upper()):
        assert await names.found(f"country={ref}") == "a", ref
    assert await names.found(f"country={soviet['code']},{french['id']}") == "a b"
    assert await names.found(f"country={soviet['slug']}&country={french['code']}") == "a b"
    assert await names.found(f"country=no-such-country,{uuid.uuid4()},QQ") == ""
    old = french["slug"]
    await rename(editor, "countries", french, f"renamed-{number}")
    assert await names.found(f"country={old}") == await names.found(f"country=renamed-{number}") == "a b"


@pytest.mark.parametrize(
    ("kind", "written", "parameter", "target", "nested"),
    [
        ("aircraft", "designers", "designer", "designers", "designer"),
        ("aircraft", "manufacturers", "manufacturer", "manufacturers", "manufacturer"),
        ("aircraft", "engines", "engine", "engines", "engine"),
        ("aircraft", "design_bureau", "design_bureau", "design-bureaus", None),
        ("aircraft", "lineage", "lineage", "aircraft", "aircraft"),
        ("articles", "tags", "tag", "tags", ""),
        ("articles", "aircraft", "aircraft", "aircraft", ""),
        ("articles", "design_bureaus", "design_bureau", "design-bureaus", ""),
        ("articles", "translation_of", "translation_of", "articles", None),
        ("countries", "successors", "successor", "countries", ""),
        ("designers", "design_bureaus", "design_bureau", "design-bureaus", "design_bureau"),
        ("designers", "country", "country", "countries", None),
        ("design-bureaus", "country", "country", "countries", None),
        ("engines", "country", "country", "countries", None),
        ("facts", "aircraft", "aircraft", "aircraft", None),
        ("facts", "designer", "designer", "designers", None),
        ("manufacturers", "successor", "successor", "manufacturers", None),
        ("tags", "category", "category", "tag-categories", None),
    ],
)
async def test_every_relation_filters(
    kind: str, written: str, parameter: str, target: str, nested: str | None, make: Make, editor: httpx.AsyncClient
) -> None:
    one, other = await make(target), await make(target)
    shape = {"type": "variant_of"} if written == "lineage" else {}

    def refer(entity: dict[str, Any]) -> Any:
        if nested is None:
            return entity["slug"]
        return [{nested: entity["slug"], **shape} if nested else entity["slug"]]

    first, second = await make(kind, **{written: refer(one)}), await make(kind, **{written: refer(other)})
    ids = {"ids": f"{first['id']},{second['id']},{(await make(kind))['id']}"}
    for refs, expected in (
        (one["slug"], {first["id"]}),
        (one["id"], {first["id"]}),
        (f"{one['id']},{other['slug']}", {first["id"], second["id"]}),
    ):
        page = body(await editor.get(f"/api/v1/{kind}", params={**ids, parameter: refs}))
        assert {item["id"] for item in page["items"]} == expected


@pytest.mark.parametrize("kind", KINDS)
async def test_every_relation_has_a_filter(kind: str) -> None:
    service = SERVICES[kind]
    mapper = inspect(service.model)
    filters = filters_of(service.model, service.item_schema)
    relations = [field for field in fields_of(service.item_schema) if field.name in mapper.relationships]
    singular = {field.key: field.key.removesuffix("s").replace("countrie", "country") for field in relations}
    assert {name if name in filters else singular[name] for name in singular} <= set(filters)


async def test_icao_types_by_designator_manufacturer_and_class(
    db: asyncpg.Connection[asyncpg.Record], anonymous: httpx.AsyncClient
) -> None:
    first = await make_icao_type(db, designator="QF1", manufacturer="QMAKER, LTD", aircraft_class="helicopter")
    second = await make_icao_type(db, designator="QF2", manufacturer="QOTHER", aircraft_class="helicopter")
    ids = f"{first},{second}"
    for query, expected in (
        ({"designator": "QF1"}, {first}),
        ({"designator": "QF1,QF2", "class": "helicopter"}, {first, second}),
        ({"manufacturer": "QOTHER"}, {second}),
        ({"class": "landplane"}, set[str]()),
        ({"engine_count.is_null": "true", "description": "L2J"}, {first, second}),
    ):
        page = body(await anonymous.get(f"/api/v1/{ICAO}", params={"ids": ids, **query}))
        assert {item["id"] for item in page["items"]} == expected


# --- dates of history -----------------------------------------------------------------------------------------------

# Which dates lie in a period, worked out by hand: possibly (some day of the date is in it), definitely (all days are).
STORED = {
    "a": "1941-06-22",
    "b": "1941",
    "c": "193X",
    "d": "1939-10~",
    "e": "1940/1950",
    "f": "../1935",
    "g": "1945/..",
    "h": "1941?",
    "i": "1941-21",
    "j": None,
}
PERIODS = [
    ("1941", "a b e h i", "a b h i"),
    ("1941-06-22", "a b e h", "a"),
    ("1941-06", "a b e h", "a"),
    ("1941-03/1941-05", "b e h i", "i"),
    ("193X", "c d f", "c d"),
    ("1939-10", "c d", "d"),
    ("1935/1945", "a b c d e f g h i", "a b d h i"),
    ("1930/1939", "c d f", "c d"),
    ("1940/1950", "a b e g h i", "a b e h i"),
    ("../1935", "c f", "f"),
    ("1945/..", "e g", "g"),
    ("/1940", "c d e f", "c d f"),
    ("../9999", "a b c d e f g h i", "a b c d e f h i"),
    ("19XX", "a b c d e f g h i", "a b c d e h i"),
    ("1800", "f", ""),
    ("2026-01-01", "g", ""),
    ("1941~", "a b e h i", "a b h i"),
]


@pytest.fixture
async def dated(names: Names) -> Names:
    """Return aircraft with the dates above."""
    for name, date in STORED.items():
        await names.add(name, introduced=date)
    return names


async def test_dates_possibly_or_definitely_in_a_period(dated: Names) -> None:
    for period, possible, definite in PERIODS:
        assert await dated.found(f"introduced={period}") == possible, period
        assert await dated.found(f"introduced={period}&introduced.certainty=possible") == possible, period
        assert await dated.found(f"introduced={period}&introduced.certainty=definite") == definite, period


async def test_dates_combine_with_unknown_ones(dated: Names) -> None:
    assert await dated.found("introduced.is_null=true") == "j"
    assert await dated.found("introduced.is_null=false") == "a b c d e f g h i"
    assert await dated.found("introduced=1941&introduced.is_null=true") == ""
    assert await dated.found("introduced.certainty=definite") == "a b c d e f g h i j", "a certainty alone filters nothing"


async def test_dates_sort_by_their_earliest_then_their_latest_day(dated: Names) -> None:
    # Earliest days: f none known, c 1930, d October 1939, e 1940, b and h 1941, i March 1941, a June 1941, g 1945.
    assert await dated.found("name=a,c,d,e,f,g,i,j", sort="introduced,name") == "f c d e i a g j"
    assert await dated.found("name=a,c,d,e,f,g,i,j", sort="-introduced,name") == "g a i e d c f j"
    assert await dated.found("name=b,h", sort="introduced,-name") == "h b", "equal bounds leave the order to the next key"
    await dated.add("k", introduced="1941/1942")
    await dated.add("l", introduced="1941-01-01")
    assert await dated.found("name=b,k,l,j", sort="introduced") == "l b k j"
    assert await dated.found("name=b,k,l,j", sort="-introduced") == "k b l j"


# --- wrong values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("category=airship,zeppelin", "/query/category/1"),
        ("category=", "/query/category/0"),
        ("purpose=fishing", "/query/purpose/0"),
        ("engine_count=two", "/query/engine_count/0"),
        ("engine_count=99999999999999999999", "/query/engine_count/0"),
        ("wingspan_m.gte=wide", "/query/wingspan_m.gte"),
        ("wingspan_m.gte=NaN", "/query/wingspan_m.gte"),
        ("wingspan_m.lte=1e999", "/query/wingspan_m.lte"),
        ("wingspan_m=Infinity", "/query/wingspan_m/0"),
        ("wingspan_m.is_null=perhaps", "/query/wingspan_m.is_null"),
        ("introduced=1941-13", "/query/introduced"),
        ("introduced=1954/1941", "/query/introduced"),
        ("introduced=", "/query/introduced"),
        ("introduced=1941&introduced.certainty=likely", "/query/introduced.certainty"),
        ("country=S%20U", "/query/country/0"),
        ("country=su,%00", "/query/country/1"),
        ("designer=", "/query/designer/0"),
        ("created_at.gte=yesterday", "/query/created_at.gte"),
        ("created_by=me", "/query/created_by/0"),
        ("name=%00", "/query/name/0"),
        ("name=" + ",".join(["x"] * 101), "/query/name"),
        ("version=0.5", "/query/version/0"),
    ],
)
async def test_wrong_value_is_refused_by_the_parameters_name(query: str, pointer: str, anonymous: httpx.AsyncClient) -> None:
    problem = assert_problem(await anonymous.get(f"{AIRCRAFT}?{query}"), 422, "validation_error")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("kind", KINDS)
async def test_wrong_dates_and_words_are_refused_for_every_kind(kind: str, anonymous: httpx.AsyncClient) -> None:
    for field in fields_of(SERVICES[kind].item_schema):
        if is_date(field):
            problem = assert_problem(await anonymous.get(f"/api/v1/{kind}?{field.key}=1941-13"), 422, "validation_error")
            assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [(f"/query/{field.key}", "invalid_date")]
        elif get_args(field.type) and not field.is_list and field.schema is None and field.type is not dict:
            answer = await anonymous.get(f"/api/v1/{kind}?{field.key}=no-such-word")
            assert answer.status_code == 422
