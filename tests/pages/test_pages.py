"""Vocabularies, lineage, timeline, comparison, statistics and the first page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

import pytest

from fastapi_application.core.dates import parse_edtf
from fastapi_application.crud.schemas import Alias
from fastapi_application.encyclopedia import vocabulary
from fastapi_application.encyclopedia.pages.timeline.schemas import Event
from fastapi_application.encyclopedia.pages.timeline.service import precision
from fastapi_application.encyclopedia.pages.vocabularies.labels import VOCABULARIES
from tests.history.steps import step
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    import httpx

    from tests.conftest import Make

API = "/api/v1"


async def get(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    """Return what is at a path of the API."""
    return body(await client.get(f"{API}/{path}", params=parameters))


async def test_every_value_of_every_vocabulary_has_labels(anonymous: httpx.AsyncClient) -> None:
    shown = await get(anonymous, "vocabularies")
    assert {name: tuple(item["value"] for item in values) for name, values in shown.items()} == {
        "aircraft_category": get_args(vocabulary.AircraftCategory),
        "engine_type": get_args(vocabulary.EngineType),
        "aircraft_status": get_args(vocabulary.AircraftStatus),
        "purpose": get_args(vocabulary.Purpose),
        "lineage_type": get_args(vocabulary.LineageType),
        "manufacturer_kind": get_args(vocabulary.ManufacturerKind),
        "article_category": get_args(vocabulary.ArticleCategory),
        "article_status": get_args(vocabulary.ArticleStatus),
        "alias_kind": get_args(Alias.model_fields["kind"].annotation),
        "event": get_args(Event),
    }
    assert all(set(item["labels"]) == {"en", "ru"} and all(item["labels"].values()) for values in shown.values() for item in values)
    assert set(VOCABULARIES) == set(shown)


# --- lineage ----------------------------------------------------------------------------------------------------------


def edges(*older: str, kind: str = "developed_from") -> list[dict[str, str]]:
    return [{"aircraft": slug, "type": kind} for slug in older]


async def test_the_lineage_of_the_wright_flyer(library: httpx.AsyncClient) -> None:
    graph = await get(library, "aircraft/wright-flyer/lineage")
    assert graph["root"] == "wright-flyer"
    assert graph["nodes"] == [
        {"slug": "wright-flyer", "name": "Wright Flyer", "first_flight": "1903-12-17"},
        {"slug": "wright-glider-1902", "name": "Wright Glider (1902)", "first_flight": "1902-09"},
    ]
    assert graph["edges"] == [{"from": "wright-flyer", "to": "wright-glider-1902", "type": "developed_from"}]
    assert graph["truncated"] is False


async def test_lineage_goes_both_ways_and_as_far_as_asked(make: Make, anonymous: httpx.AsyncClient) -> None:
    a = await make("aircraft")
    b = await make("aircraft", lineage=edges(a["slug"]))
    c = await make("aircraft", lineage=[*edges(b["slug"]), *edges(a["slug"], kind="replaces")])
    d = await make("aircraft", lineage=edges(c["slug"], kind="variant_of"))

    async def found(**parameters: Any) -> tuple[list[str], bool]:
        graph = await get(anonymous, f"aircraft/{b['slug']}/lineage", **parameters)
        return [node["slug"] for node in graph["nodes"]], graph["truncated"]

    assert await found(direction="ancestors") == ([b["slug"], a["slug"]], False)
    assert await found(direction="descendants") == ([b["slug"], c["slug"], d["slug"]], False)
    slugs, truncated = await found(depth=1)
    assert (set(slugs), truncated) == ({a["slug"], b["slug"], c["slug"]}, True)
    graph = await get(anonymous, f"aircraft/{a['id']}/lineage")
    assert {(edge["from"], edge["to"], edge["type"]) for edge in graph["edges"]} == {
        (b["slug"], a["slug"], "developed_from"),
        (c["slug"], b["slug"], "developed_from"),
        (c["slug"], a["slug"], "replaces"),
        (d["slug"], c["slug"], "variant_of"),
    }
    family = await get(anonymous, f"aircraft/{d['slug']}/family")
    assert family["root"] == c["slug"]
    assert {item["slug"]: item["variant_of"] for item in family["items"]} == {c["slug"]: [], d["slug"]: [c["slug"]]}


async def test_lineage_of_nothing_and_of_a_former_slug(make: Make, editor: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    assert_problem(await anonymous.get(f"{API}/aircraft/no-such-thing/lineage"), 404, "not_found")
    assert_problem(await anonymous.get(f"{API}/aircraft/concorde/lineage?depth=0"), 422, "validation_error")
    aircraft = await make("aircraft")
    path = f"{API}/aircraft/{aircraft['id']}"
    etag = (await editor.get(path)).headers["etag"]
    renamed = body(await editor.patch(path, json={"slug": f"{aircraft['slug']}-renamed"}, headers={"If-Match": etag}))
    for page in ("lineage?depth=2", "family"):
        answer = await anonymous.get(f"{API}/aircraft/{aircraft['slug']}/{page}")
        assert (answer.status_code, answer.headers["location"]) == (308, f"{API}/aircraft/{renamed['slug']}/{page}")


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1903-12-17", "day"),
        ("1939-10~", "month"),
        ("1936", "year"),
        ("1936?", "year"),
        ("193X", "decade"),
        ("19XX", "century"),
        ("1941-22", "season"),
        ("1941/1954", "interval"),
        ("1941-06-XX", "month"),
        ("1941-XX", "year"),
        ("1941-XX-XX", "year"),
    ],
)
def test_a_date_is_as_precise_as_it_is(written: str, expected: str) -> None:
    parse_edtf(written)
    assert precision(written) == expected


async def test_the_timeline_is_in_order_and_within_its_bounds(library: httpx.AsyncClient) -> None:
    page = await get(library, "timeline", **{"from": "1903", "to": "1910", "size": 100})
    assert page["total"] == len(page["items"]) > 20
    dates = [parse_edtf(item["date"]) for item in page["items"]]
    bounds = [(date.earliest, date.latest) for date in dates]
    assert bounds == sorted(bounds)
    assert all(date.latest >= parse_edtf("1903").earliest and date.earliest <= parse_edtf("1910").latest for date in dates)
    flights = await get(library, "timeline", kind="first_flight", country="SU", size=100)
    assert {(item["event"], item["kind"]) for item in flights["items"]} == {("first_flight", "aircraft")}
    assert flights["total"] == (await get(library, "aircraft", **{"country": "SU", "first_flight.is_null": "false", "size": 1}))["total"]
    births = await get(library, "timeline", kind="designers,founded", size=100)
    assert {item["event"] for item in births["items"]} <= {"born", "died", "founded"}


async def test_on_this_day_knows_only_what_is_known_to_the_day(
    library: httpx.AsyncClient, anonymous: httpx.AsyncClient, make: Make
) -> None:
    shown = await get(library, "on-this-day", date="12-17")
    assert ("wright-flyer", "first_flight", "1903-12-17") in [(item["slug"], item["event"], item["date"]) for item in shown["items"]]
    known = await make("aircraft", first_flight="1941-02-29"[:7] + "-28")
    vague = [
        await make("aircraft", first_flight=date) for date in ("1941-02-28~", "1941-02", "1941", "1941-02-28/1941-03-01", "1941-02-28?")
    ]
    slugs = [item["slug"] for item in (await get(anonymous, "on-this-day", date="02-28"))["items"]]
    assert known["slug"] in slugs
    assert not {aircraft["slug"] for aircraft in vague} & set(slugs)
    before = datetime.now(UTC).strftime("%m-%d")
    today = (await get(anonymous, "on-this-day"))["date"]
    assert today in {before, datetime.now(UTC).strftime("%m-%d")}
    for wrong in ("02-30", "1903-12-17", "1-1", "٠١-٠١"):
        assert_problem(await anonymous.get(f"{API}/on-this-day", params={"date": wrong}), 422, "validation_error")


# --- comparison, numbers, the first page ------------------------------------------------------------------------------


async def test_a_comparison_converts_what_is_shown_and_marks_the_best(library: httpx.AsyncClient) -> None:
    metric = await get(library, "aircraft/compare", refs="concorde,tupolev-tu-144")
    imperial = await get(library, "aircraft/compare", refs="concorde,tupolev-tu-144", units="imperial")
    assert [item["slug"] for item in metric["items"]] == ["concorde", "tupolev-tu-144"]
    fields = {name: {field["field"]: field for field in shown["fields"]} for name, shown in (("m", metric), ("i", imperial))}
    assert fields["m"]["max_speed_kmh"] == {"field": "max_speed_kmh", "unit": "km/h", "values": [2179, 2500], "best": ["tupolev-tu-144"]}
    assert fields["i"]["max_speed_kmh"]["values"] == [1353.97, 1553.43]
    assert fields["i"]["max_speed_kmh"]["unit"] == "mph"
    assert fields["i"]["length_m"]["values"][0] == pytest.approx(61.66 / 0.3048, abs=0.01)
    assert fields["i"]["engine_count"] == fields["m"]["engine_count"]
    assert body(await library.get(f"{API}/aircraft/concorde"))["max_speed_kmh"] == 2179


@pytest.mark.parametrize("refs", ["concorde", "", "concorde,no-such-thing", ",".join(["concorde"] * 11), "concorde,%00", "a b,c"])
async def test_a_comparison_of_what_is_not_there_is_422(refs: str, library: httpx.AsyncClient) -> None:
    assert_problem(await library.get(f"{API}/aircraft/compare", params={"refs": refs}), 422, "validation_error")


async def test_the_statistics_add_up(library: httpx.AsyncClient) -> None:
    shown = await get(library, "statistics")
    aircraft = shown["aircraft"]
    assert aircraft["total"] == shown["entries"]["aircraft"] == 291
    for groups in ("by_decade", "by_category", "by_engine_type"):
        assert sum(group["count"] for group in aircraft[groups]) == 291
    for group in aircraft["by_category"]:
        assert (await get(library, "aircraft", category=group["value"], size=1))["total"] == group["count"]
    assert (await get(library, "aircraft", country="SU", size=1))["total"] == next(
        group["count"] for group in aircraft["by_country"] if group["value"] == "SU"
    )


async def test_the_statistics_count_what_everybody_sees(anonymous: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make) -> None:
    async def shown() -> dict[str, int]:
        entries = (await get(anonymous, "statistics"))["entries"]
        assert entries == (await get(anonymous, "pages/home"))["counts"]
        return {kind: entries[kind] for kind in ("articles", "tags")}

    before = await shown()
    tag = await make("tags")
    article = await make("articles", tags=[tag["slug"]])
    assert await shown() == before
    assert (await get(anonymous, "tags", size=1))["total"] == before["tags"]
    body(await step(administrator, f"{API}/articles/{article['id']}", "publish"))
    assert await shown() == {kind: count + 1 for kind, count in before.items()}


async def test_the_first_page_is_the_same_all_day(library: httpx.AsyncClient) -> None:
    answers = [await library.get(f"{API}/pages/home") for _ in range(2)]
    if answers[0].json()["date"] == answers[1].json()["date"]:
        assert answers[0].headers["etag"] == answers[1].headers["etag"]
    page = body(answers[0])
    assert page["featured"]["status"] == "published"
    assert len(page["recent"]) == 6
    assert len({fact["id"] for fact in page["facts"]}) == 5
    assert page["counts"]["articles"] == 76
    assert (await library.get(f"{API}/pages/home", headers={"If-None-Match": answers[1].headers["etag"]})).status_code in {200, 304}


# --- sparse lists and relations in full -------------------------------------------------------------------------------


async def test_fields_and_include(library: httpx.AsyncClient) -> None:
    sparse = await get(library, "aircraft", fields="name,first_flight", size=3)
    assert [set(item) for item in sparse["items"]] == [{"name", "first_flight"}] * 3
    whole = await get(library, "aircraft", size=3)
    assert [{key: item[key] for key in ("name", "first_flight")} for item in whole["items"]] == sparse["items"]
    concorde = (await get(library, "aircraft/concorde"))["id"]
    (item,) = (await get(library, "aircraft", ids=concorde, include="countries,designers,design_bureau"))["items"]
    (plain,) = (await get(library, "aircraft", ids=concorde))["items"]
    assert set(item) == set(plain)
    ids = ",".join(country["id"] for country in plain["countries"])
    countries = {country["id"]: country for country in (await get(library, "countries", ids=ids))["items"]}
    assert item["countries"] == [countries[country["id"]] for country in plain["countries"]]
    for shown, short in zip(item["designers"], plain["designers"], strict=True):
        assert shown["role"] == short["role"]
        assert short["designer"].items() <= shown["designer"].items()
        assert "birth_date" in shown["designer"]
    assert item["engines"] == plain["engines"]
    for wrong in ({"fields": "nonsense"}, {"include": "articles"}, {"include": "name"}):
        assert_problem(await library.get(f"{API}/aircraft", params=wrong), 422, "validation_error")


async def test_a_walk_meets_every_untouched_row_once(library: httpx.AsyncClient, library_database: str) -> None:
    from tests.support.seeded import connection_to  # noqa: PLC0415

    seen: list[str] = []
    cursor: str | None = ""
    async with connection_to(library_database) as other:
        added = 0
        while cursor is not None:
            page = await get(library, "icao-types", cursor=cursor, size=100, fields="id,designator", sort="designator")
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            added += 1
            slug = f"walk-{added}"
            await other.execute(
                "INSERT INTO icao_type"
                " (id, slug, version, designator, manufacturer, model, aircraft_class, description, engine_type, wake_category)"
                " VALUES (gen_random_uuid(), $1, 1, $2, 'X', 'X', 'landplane', 'L1P', 'Piston', 'L')",
                slug,
                f"{chr(65 + added % 26)}{added % 10}",
            )
            if added % 2 == 0:
                await other.execute("DELETE FROM icao_type WHERE slug = $1", f"walk-{added - 1}")
        untouched = [str(row["id"]) for row in await other.fetch("SELECT id FROM icao_type WHERE slug NOT LIKE 'walk-%'")]
        await other.execute("DELETE FROM icao_type WHERE slug LIKE 'walk-%'")
    assert len(untouched) == 10_370
    assert len(seen) == len(set(seen))
    assert set(untouched) <= set(seen)
