"""Lists: pages, totals, links, order and cursors, of every kind."""

from __future__ import annotations

import re
import unicodedata
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fastapi_application.core.dates import parse_edtf
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.order import sort_keys
from tests.contract.kinds import ICAO, KINDS, SERVICES, is_date, make_variety
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx

    from tests.conftest import Make

type Connection = asyncpg.Connection[asyncpg.Record]
type Item = dict[str, Any]


def links(answer: httpx.Response) -> dict[str, str]:
    """Return the links of an answer by their relation."""
    return {relation: target for target, relation in re.findall(r'<([^>]*)>; rel="([^"]*)"', answer.headers["link"])}


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Keep what `eight` has made."""
    return {}


@pytest.fixture
async def eight(kind: str, made: dict[str, str], number: int, make: Make, editor: httpx.AsyncClient, db: Connection) -> str:
    """Return the value of `ids` for eight entities of a kind, different in every field."""
    if kind not in made:
        numbers = [115_000 + number // 29 % 1800 * 8 + index for index in range(8)]
        made[kind] = ",".join(await make_variety(kind, numbers, make, editor, db))
    return made[kind]


async def fill_icao_list(db: Connection, rows: int, designator: str) -> None:
    """Add rows of one designator; each but the first 10000 of another manufacturer."""
    await db.execute(
        "INSERT INTO icao_type"
        " (id, slug, version, designator, manufacturer, model, aircraft_class, description, engine_type, wake_category)"
        " SELECT gen_random_uuid(), lower($2) || n, 1, $2, CASE WHEN n <= 10000 THEN 'FIRST' ELSE 'REST' END, n::text,"
        " 'landplane', 'L2J', 'jet', 'L' FROM generate_series(1, $1::int) n",
        rows,
        designator,
    )


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"size": 0}, "/query/size"),
        ({"size": 101}, "/query/size"),
        ({"size": -1}, "/query/size"),
        ({"size": "x"}, "/query/size"),
        ({"size": 10**30}, "/query/size"),
        ({"page": 0}, "/query/page"),
        ({"page": -1}, "/query/page"),
        ({"page": "1.5"}, "/query/page"),
        ({"page": 10**30}, "/query/page"),
        ({"page": 101, "size": 100}, "/query/page"),
        ({"page": 501}, "/query/page"),
        ({"sort": "no_such_field"}, "/query/sort/0"),
        ({"sort": "name,"}, "/query/sort/1"),
        ({"sort": "__init__"}, "/query/sort/0"),
        ({"ids": "x"}, "/query/ids/0"),
        ({"ids": ",".join(str(uuid.uuid4()) for _ in range(101))}, "/query/ids"),
    ],
)
async def test_bad_page_is_refused_by_name(query: dict[str, Any], pointer: str, anonymous: httpx.AsyncClient) -> None:
    problem = assert_problem(await anonymous.get("/api/v1/tags", params=query), 422, "validation_error")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("query", [{"page": 100, "size": 100}, {"page": 500}, {"page": 10_000, "size": 1}])
async def test_deepest_page_is_past_the_end_and_empty(query: dict[str, int], anonymous: httpx.AsyncClient, make: Make) -> None:
    await make("tags")
    page = body(await anonymous.get("/api/v1/tags", params=query))
    assert (page["items"], page["page"]) == ([], query["page"])
    assert page["total"] > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_unfiltered_total_is_the_number_of_rows(kind: str, eight: str, editor: httpx.AsyncClient, db: Connection) -> None:
    page = body(await editor.get(f"/api/v1/{kind}", params={"size": 3}))
    rows = await db.fetchval(f"SELECT count(*) FROM {SERVICES[kind].model.__tablename__}")  # noqa: S608 - a table's name
    assert (page["total"], page["total_exact"], page["page"], page["size"]) == (rows, True, 1, 3)
    assert page["pages"] == -(-rows // 3)
    assert len(page["items"]) == 3


async def test_public_total_counts_what_the_public_sees(anonymous: httpx.AsyncClient, make: Make, db: Connection) -> None:
    await make("articles")
    rows = await db.fetchval("SELECT count(*) FROM article WHERE status = 'published'")
    assert body(await anonymous.get("/api/v1/articles"))["total"] == rows


async def test_totals_are_exact_without_filters_and_capped_with_them(anonymous: httpx.AsyncClient, db: Connection) -> None:
    await fill_icao_list(db, 10_001, "MANY")
    try:
        path = "/api/v1/icao-types"
        unfiltered = body(await anonymous.get(path))
        exact = body(await anonymous.get(path, params={"designator": "MANY", "manufacturer": "FIRST"}))
        capped = body(await anonymous.get(path, params={"designator": "MANY", "size": 100, "page": 100}))
    finally:
        await db.execute("DELETE FROM icao_type WHERE designator = 'MANY'")
    assert (unfiltered["total"] > 10_000, unfiltered["total_exact"]) == (True, True)
    assert (exact["total"], exact["total_exact"], exact["pages"]) == (10_000, True, 500)
    assert (capped["total"], capped["total_exact"], capped["pages"], len(capped["items"])) == (10_000, False, 100, 100)


@pytest.mark.parametrize("kind", KINDS)
async def test_links_lead_through_all_pages_and_back(kind: str, eight: str, editor: httpx.AsyncClient) -> None:
    answer = await editor.get(f"/api/v1/{kind}", params={"ids": eight, "size": 3, "sort": "-id"})
    first, seen, pages = links(answer)["first"], list[str](), 0
    assert "prev" not in links(answer)
    while True:
        page, pages = body(answer), pages + 1
        assert (page["page"], page["pages"], page["total"], page["total_exact"]) == (pages, 3, 8, True)
        seen += [item["id"] for item in page["items"]]
        assert links(answer)["first"] == first
        if "next" not in links(answer):
            break
        before = page
        answer = await editor.get(links(answer)["next"])
        assert body(await editor.get(links(answer)["prev"])) == before
    assert seen == sorted(eight.split(","), reverse=True)
    assert body(await editor.get(first))["items"][0]["id"] == seen[0]
    assert parse_qs(urlsplit(first).query) == {"ids": [eight], "size": ["3"], "sort": ["-id"], "page": ["1"]}


async def test_links_keep_repeated_filters(anonymous: httpx.AsyncClient, make: Make) -> None:
    await make("aircraft")
    answer = await anonymous.get("/api/v1/aircraft?category=airplane&category=glider&size=1&name=%D0%98%D0%BB%26")
    query = parse_qs(urlsplit(links(answer)["first"]).query)
    assert query == {"category": ["airplane", "glider"], "size": ["1"], "name": ["Ил&"], "page": ["1"]}


async def test_no_link_leads_deeper_than_pages_go(anonymous: httpx.AsyncClient, db: Connection) -> None:
    await fill_icao_list(db, 10_100, "DEEP")
    try:
        answer = await anonymous.get("/api/v1/icao-types", params={"size": 100, "page": 100})
    finally:
        await db.execute("DELETE FROM icao_type WHERE designator = 'DEEP'")
    assert set(links(answer)) == {"first", "prev"}
    assert len(body(answer)["items"]) == 100


@pytest.mark.parametrize("kind", KINDS)
async def test_ids_select_and_unknown_ones_are_left_out(kind: str, eight: str, editor: httpx.AsyncClient) -> None:
    two = eight.split(",")[:2]
    queries: tuple[dict[str, Any], ...] = ({"ids": ",".join([*two, str(uuid.uuid4())])}, {"ids": two}, {"ids": [*two, two[0]]})
    for query in queries:
        page = body(await editor.get(f"/api/v1/{kind}", params=query))
        assert {item["id"] for item in page["items"]} == set(two)
        assert page["total"] == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_unknown_parameter_is_refused_with_those_that_are_allowed(kind: str, anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(f"/api/v1/{kind}", params={"frist_flight": "1941", "size": 1})
    (error,) = assert_problem(answer, 422, "validation_error")["errors"]
    assert (error["pointer"], error["code"]) == ("/query/frist_flight", "unknown_parameter")
    assert {"page", "size", "cursor", "sort", "ids"} <= set(error["allowed"])
    assert error["allowed"] == sorted(set(error["allowed"]))
    for name in error["allowed"]:
        problem = (await anonymous.get(f"/api/v1/{kind}", params={name: "\x00"})).json()
        assert "unknown_parameter" not in {finding["code"] for finding in problem.get("errors", [])}


# --- order ----------------------------------------------------------------------------------------------------------


def sort_value(kind: str, field: SchemaField, item: Item) -> Any:
    """Return what an item sorts by in ascending order, as the rules say; None is last both ways."""
    value = item[field.key]
    if value is None:
        return None
    if is_date(field):
        date = parse_edtf(value)
        return date.earliest, date.latest
    if field.name == SERVICES[kind].model.__label__:
        plain = unicodedata.normalize("NFKD", str(value).lower())
        return "".join(letter for letter in plain if not unicodedata.combining(letter))
    return value


def assert_in_order(values: list[Any], *, descending: bool) -> None:
    """Check the values of one sort key: nulls last both ways."""
    known = [one for one in values if one is not None]
    assert values == [*known, *[None] * (len(values) - len(known))]
    assert known == sorted(known, reverse=descending)


def sorts(kind: str) -> list[str]:
    """Return every value of `sort` that names one field."""
    service = SERVICES[kind]
    return [sign + name for name in sort_keys(service.model, service.item_schema) for sign in ("", "-")]


async def walk(client: httpx.AsyncClient, kind: str, query: dict[str, Any]) -> AsyncIterator[list[Item]]:
    """Yield the pages of a walk by cursor."""
    cursor: str | None = ""
    while cursor is not None:
        page = body(await client.get(f"/api/v1/{kind}", params={**query, "cursor": cursor}))
        cursor = page["next_cursor"]
        yield page["items"]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_sortable_field_sorts_both_ways_the_same_by_page_and_by_cursor(
    kind: str, eight: str, editor: httpx.AsyncClient
) -> None:
    fields = {field.key: field for field in fields_of(SERVICES[kind].item_schema)}
    assert {"id", "slug", "created_at", "updated_at", "version"} <= {name.lstrip("-") for name in sorts(kind)}
    for sort in sorts(kind):
        query: dict[str, Any] = {"ids": eight, "sort": sort, "size": 5}
        whole = [item async for page in walk(editor, kind, query) for item in page]
        assert sorted(item["id"] for item in whole) == sorted(eight.split(","))
        field = fields[sort.removeprefix("-")]
        assert_in_order([sort_value(kind, field, item) for item in whole], descending=sort.startswith("-"))
        # The numbered pages have the same order, ties included.
        if sort.startswith("-") or not field.is_nullable:
            assert body(await editor.get(f"/api/v1/{kind}", params={**query, "page": 2}))["items"] == whole[5:], sort


@pytest.mark.parametrize("kind", KINDS)
async def test_dates_and_numbers_and_names_of_a_kind_are_sortable(kind: str) -> None:
    service = SERVICES[kind]
    scalar = {
        field.key for field in fields_of(service.item_schema) if is_date(field) or (field.type in (int, float) and not field.metadata)
    }
    assert scalar | {service.model.__label__} <= {name.lstrip("-") for name in sorts(kind)}


async def test_several_sort_keys_count_in_their_order(make: Make, editor: httpx.AsyncClient) -> None:
    rows = [("1941", "b"), ("1941", "A"), (None, "c"), ("1939", "d"), ("1941", "C")]
    ids = ",".join([(await make("aircraft", introduced=year, name=name))["id"] for year, name in rows])

    async def names(sort: str) -> list[str]:
        return [item["name"] for item in body(await editor.get("/api/v1/aircraft", params={"ids": ids, "sort": sort}))["items"]]

    assert await names("-introduced,name") == ["A", "b", "C", "d", "c"]
    assert await names("introduced,-name") == ["d", "C", "b", "A", "c"]
    assert (await names("name,introduced"))[:2] == ["A", "b"]
    repeated = await editor.get(f"/api/v1/aircraft?ids={ids}&sort=-introduced&sort=name")
    assert [item["name"] for item in body(repeated)["items"]] == ["A", "b", "C", "d", "c"]


async def test_names_sort_without_regard_to_case_and_accents(make: Make, editor: httpx.AsyncClient) -> None:
    names = ["eagle", "Éole", "Fokker", "de Havilland", "Dewoitine", "Ан-2", "антей", "Zeppelin"]
    ids = ",".join([(await make("aircraft", name=name))["id"] for name in names])
    shown = body(await editor.get("/api/v1/aircraft", params={"ids": ids}))["items"]
    assert [item["name"] for item in shown] == ["de Havilland", "Dewoitine", "eagle", "Éole", "Fokker", "Zeppelin", "Ан-2", "антей"]


@pytest.mark.parametrize(
    ("kind", "sort"), [(ICAO, "designator,manufacturer,model"), ("tag-categories", "sort_order,title"), ("tags", "name")]
)
async def test_default_order_is_the_named_one(kind: str, sort: str, eight: str, editor: httpx.AsyncClient) -> None:
    by_default = body(await editor.get(f"/api/v1/{kind}", params={"ids": eight}))
    assert by_default == body(await editor.get(f"/api/v1/{kind}", params={"ids": eight, "sort": sort}))


# --- cursors --------------------------------------------------------------------------------------------------------

WALKS = [
    "name",
    "-first_flight,name",
    "introduced",
    "number_built,-name",
    "-wingspan_m",
    "status,retired",
    "-created_at",
    "updated_at",
    "id",
]


def _row(index: int) -> Item:
    """Return the varied fields of an aircraft: many of them null or equal to others'."""
    return {
        "name": f"Walker {index * 7 % 10}",
        "first_flight": ("1941", "193X", None, "1941-05", "../1940")[index % 5],
        "introduced": ("1941", None)[index % 2],
        "retired": (None, "1950/..", "195X")[index % 3],
        "number_built": (None, 5, 10)[index % 3],
        "wingspan_m": (10.1, None, 0.1 + 0.2, 1e-9)[index % 4],
        "status": ("retired", None)[index // 4 % 2],
    }


@pytest.mark.parametrize("sort", WALKS)
async def test_walk_meets_each_row_once_while_rows_come_and_go(sort: str, make: Make, editor: httpx.AsyncClient) -> None:
    country = (await make("countries"))["slug"]
    rows = [await make("aircraft", countries=[country], **_row(index)) for index in range(12)]
    query = {"country": country, "sort": sort, "size": 3}
    order = [item["id"] for item in body(await editor.get("/api/v1/aircraft", params={**query, "size": 100}))["items"]]
    etags = {row["id"]: f'"{row["id"][:8]}.1"' for row in rows}
    gone, seen, pages = set[str](), list[str](), 0
    async for items in walk(editor, "aircraft", query):
        seen += [item["id"] for item in items]
        pages += 1
        if pages > 3:
            continue
        # The last row of the page, where the walk stands; and one that is still to come.
        ahead = [one for one in order if one not in seen and one not in gone]
        for identifier in (seen[-1], *ahead[1:2]):
            answer = await editor.delete(f"/api/v1/aircraft/{identifier}", headers={"If-Match": etags.get(identifier, "")})
            if answer.status_code == 204:
                gone.add(identifier)
        for index in (pages, pages + 4):
            await make("aircraft", countries=[country], **_row(index))
    assert len(gone) >= 4
    assert len(seen) == len(set(seen))
    assert [one for one in seen if one in set(order) - gone] == [one for one in order if one not in gone]
    assert pages >= 4


async def test_size_may_change_during_a_walk(eight_tags: str, editor: httpx.AsyncClient) -> None:
    first = body(await editor.get("/api/v1/tags", params={"ids": eight_tags, "size": 2, "cursor": ""}))
    rest = body(await editor.get("/api/v1/tags", params={"ids": eight_tags, "size": 6, "cursor": first["next_cursor"]}))
    assert (len(rest["items"]), rest["next_cursor"], rest["size"]) == (6, None, 6)
    assert {item["id"] for item in first["items"] + rest["items"]} == set(eight_tags.split(","))


async def test_links_of_a_walk_lead_on_and_to_its_start(eight_tags: str, editor: httpx.AsyncClient) -> None:
    answer = await editor.get("/api/v1/tags", params={"ids": eight_tags, "size": 5, "cursor": ""})
    assert set(links(answer)) == {"first", "next"}
    following = await editor.get(links(answer)["next"])
    assert len(body(following)["items"]) == 3
    assert set(links(following)) == {"first"}
    assert body(await editor.get(links(following)["first"])) == body(answer)


async def test_walk_of_nothing_ends_at_once(anonymous: httpx.AsyncClient) -> None:
    page = body(await anonymous.get("/api/v1/tags", params={"ids": str(uuid.uuid4()), "cursor": ""}))
    assert page == {"items": [], "size": 20, "next_cursor": None}


@pytest.fixture
async def eight_tags(make: Make) -> str:
    """Return the `ids` of eight tags."""
    return ",".join([(await make("tags"))["id"] for _ in range(8)])


async def test_cursor_belongs_to_its_query_and_cannot_be_forged(eight_tags: str, editor: httpx.AsyncClient) -> None:
    query: dict[str, Any] = {"ids": eight_tags, "size": 2}
    cursor: str = body(await editor.get("/api/v1/tags", params={**query, "cursor": ""}))["next_cursor"]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    flipped = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    forged = [cursor[:-4], cursor[4:], flipped, cursor + "AAAA", cursor[::-1], "x", "!", "é", "A" * 200, "null", " "]
    attempts = [("tags", {**query, "cursor": one}) for one in forged]
    attempts += [("tags", {**query, "cursor": cursor, **other}) for other in ({"sort": "-name"}, {"ids": eight_tags[:36]}, {"name": "x"})]
    attempts += [("tag-categories", {**query, "cursor": cursor}), ("designers", {**query, "cursor": cursor})]
    for kind, params in attempts:
        problem = assert_problem(await editor.get(f"/api/v1/{kind}", params=params), 422, "validation_error")
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/query/cursor", "invalid_cursor")]


@pytest.mark.parametrize("cursor", ["", "x"])
async def test_cursor_and_page_exclude_each_other(cursor: str, anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/api/v1/tags", params={"cursor": cursor, "page": 1})
    (error,) = assert_problem(answer, 422, "validation_error")["errors"]
    assert error["pointer"] == "/query/cursor"


async def test_names_sort_without_regard_to_case_and_accents_and_the_same_on_every_installation(
    make: Make, anonymous: httpx.AsyncClient, number: int
) -> None:
    names = [f"{text} {number}" for text in ("Dassault", "de Havilland", "Ed", "Éole", "Eon", "Ил-2", "Ёж", "Зубр")]
    expected = [f"{text} {number}" for text in ("Dassault", "de Havilland", "Ed", "Éole", "Eon", "Ёж", "Зубр", "Ил-2")]
    ids = ",".join([(await make("designers", name=name))["id"] for name in reversed(names)])
    listed = body(await anonymous.get("/api/v1/designers", params={"ids": ids, "sort": "name"}))
    assert [item["name"] for item in listed["items"]] == expected
