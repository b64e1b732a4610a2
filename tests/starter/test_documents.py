"""The data files as write documents: complete, resolvable, and in the vocabulary of the API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.aircraft.schemas import AircraftWrite
from fastapi_application.starter.documents import DATA, starter_id

if TYPE_CHECKING:
    from fastapi_application.starter.documents import Record, Starter

type BySlug = dict[str, dict[str, Record]]

COUNTS = {
    "countries": 280,
    "design-bureaus": 21,
    "manufacturers": 166,
    "engines": 123,
    "designers": 306,
    "aircraft": 291,
}
SERVICES = {service.model.__kind__: service for service in EntityService.__subclasses__()}


def source(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((DATA / f"{name}.json").read_text())
    return rows


@pytest.mark.parametrize("kind", COUNTS)
def test_nothing_of_the_data_is_lost(starter: Starter, by_slug: BySlug, kind: str) -> None:
    assert len(starter.kinds[kind]) == COUNTS[kind]
    assert len(by_slug[kind]) == COUNTS[kind]


def test_the_icao_list_is_whole(starter: Starter) -> None:
    assert len(starter.icao_types) == 10_370
    assert len({row["slug"] for row in starter.icao_types}) == 10_370
    assert len({row["designator"] for row in starter.icao_types}) == 2_711


def test_every_organisation_is_a_bureau_or_a_manufacturer(by_slug: BySlug) -> None:
    bureaus, makers = by_slug["design-bureaus"].keys(), by_slug["manufacturers"].keys()
    assert not bureaus & makers
    assert bureaus | makers == {row["slug"] for row in source("manufacturers")}
    assert len(bureaus | makers) == 187


def test_every_kind_has_entries(starter: Starter) -> None:
    assert set(starter.kinds) <= set(SERVICES)
    assert set(COUNTS) < set(starter.kinds)
    assert all(starter.kinds.values())


def test_every_document_is_one_that_the_api_accepts(starter: Starter) -> None:
    for kind, documents in starter.kinds.items():
        for document in documents:
            body = SERVICES[kind].write_schema.model_validate(document)
            written = body.model_dump(mode="json", by_alias=True)
            assert {key: written[key] for key in document if document[key] is not None} == {
                key: value for key, value in document.items() if value is not None
            } or kind in {"aircraft", "articles", "facts"}  # whose nested objects are completed


def test_an_aircraft_whose_maker_is_a_bureau_has_it_as_design_bureau(by_slug: BySlug) -> None:
    bureaus = by_slug["design-bureaus"].keys()
    named = {row["slug"]: next((maker for maker in row["manufacturers"] if maker in bureaus), None) for row in source("aircraft")}
    assert {slug: document["design_bureau"] for slug, document in by_slug["aircraft"].items()} == named
    assert sum(bureau is not None for bureau in named.values()) == 76


def test_other_makers_are_manufacturers_in_their_order(by_slug: BySlug) -> None:
    bureaus = by_slug["design-bureaus"].keys()
    for row in source("aircraft"):
        makers = [item["manufacturer"] for item in by_slug["aircraft"][row["slug"]]["manufacturers"]]
        assert makers == [maker for maker in row["manufacturers"] if maker not in bureaus]


# --- countries ------------------------------------------------------------------------------------------------------


def test_codes_of_countries_are_unique_and_slugs_follow_them(by_slug: BySlug) -> None:
    codes = [country["code"] for country in by_slug["countries"].values()]
    assert len(set(codes)) == len(codes)
    for slug, country in by_slug["countries"].items():
        assert slug == country["code"].lower()


def test_a_code_in_use_elsewhere_gives_way_to_four_letters(by_slug: BySlug) -> None:
    four = {country["code"]: country["name"] for country in by_slug["countries"].values() if len(country["code"]) == 4}
    assert set(four) == {"CSXX", "AIDJ", "BQAQ", "BYAA", "GEHH", "SKIN"}
    assert four["CSXX"] == "Serbia and Montenegro"
    assert by_slug["countries"]["by"]["name"] == "Belarus"


def test_cs_is_czechoslovakia(by_slug: BySlug) -> None:
    country = by_slug["countries"]["cs"]
    assert country["name"].startswith("Czechoslovakia")
    assert (country["alpha3"], country["iso_3166_3"], country["existed_to"]) == ("CSK", "CSHH", "1992-12-31")
    assert by_slug["aircraft"]["aero-l-39"]["countries"] == ["cs"]


@pytest.mark.parametrize(("code", "alpha4"), [("SU", "SUHH"), ("DD", "DDDE"), ("YU", "YUCS")])
def test_withdrawn_codes_that_nobody_took_over_keep_two_letters(by_slug: BySlug, code: str, alpha4: str) -> None:
    assert by_slug["countries"][code.lower()]["iso_3166_3"] == alpha4


def test_germany_is_deu(by_slug: BySlug) -> None:
    assert by_slug["countries"]["de"]["alpha3"] == "DEU"


def test_names_are_russian_only_where_the_data_are(by_slug: BySlug) -> None:
    assert by_slug["countries"]["su"]["names"]["ru"].startswith("Союз")
    for kind in ("countries", "aircraft"):
        for document in by_slug[kind].values():
            assert set(document["names"]) <= {"en", "ru"}
            assert any("а" <= letter.lower() <= "я" for letter in document["names"].get("ru", "я"))


# --- vocabulary -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "field", "value"),
    [
        ("km-ekranoplan", "category", "ekranoplan"),
        ("mil-mi-8", "category", "helicopter"),
        ("gossamer-albatross", "engine_type", "muscle"),
        ("ader-eole", "engine_type", "steam"),
        ("aero-l-39", "purposes", ["trainer"]),
        ("concorde", "purposes", ["airliner"]),
        ("concorde", "status", "retired"),
    ],
)
def test_words_of_the_data_become_those_of_the_api(by_slug: BySlug, slug: str, field: str, value: object) -> None:
    assert by_slug["aircraft"][slug][field] == value


def test_all_other_words_of_the_data_stay(by_slug: BySlug) -> None:
    renamed = {"wige": "ekranoplan", "tiltrotor": "convertiplane", "human": "muscle", "training": "trainer", "civilian": "civil"}
    for row in source("aircraft"):
        document = by_slug["aircraft"][row["slug"]]
        words = [row["type"], row["engine_type"], row["purpose"]]
        assert [document["category"], document["engine_type"], *document["purposes"]] == [renamed.get(word, word) for word in words]


def test_rotorcraft_have_a_rotor_and_all_others_a_span(by_slug: BySlug) -> None:
    rotorcraft = {"helicopter", "autogyro", "gyrodyne"}
    for row in source("aircraft"):
        document = by_slug["aircraft"][row["slug"]]
        mine, other = ("rotor_diameter_m", "wingspan_m") if row["type"] in rotorcraft else ("wingspan_m", "rotor_diameter_m")
        assert document[mine] == row["wingspan_or_rotor_m"]
        assert document.get(other) is None
    assert by_slug["aircraft"]["mil-mi-8"]["rotor_diameter_m"] is not None
    assert by_slug["aircraft"]["concorde"]["wingspan_m"] == 25.6


def test_disputed_values_go_by_the_names_of_the_api(by_slug: BySlug) -> None:
    fields = set(AircraftWrite.model_fields)
    assert by_slug["aircraft"]["ader-eole"]["disputed"] == {"max_takeoff_weight_kg": ["330"]}
    for document in by_slug["aircraft"].values():
        assert set(document["disputed"]) <= fields
    count = sum(len(row["disputed"]) for row in source("aircraft"))
    assert sum(len(document["disputed"]) for document in by_slug["aircraft"].values()) == count


# --- references -----------------------------------------------------------------------------------------------------


def test_what_the_data_do_not_have_is_reported(starter: Starter) -> None:
    assert sorted(starter.unresolved) == [
        "aircraft avro-lancaster: derived from avro-manchester, which is not in the data",
        "aircraft general-atomics-mq-9: derived from general-atomics-mq-1, which is not in the data",
        "aircraft lockheed-sr-71: derived from lockheed-a-12, which is not in the data",
        "aircraft sikorsky-r-4: derived from sikorsky-vs-300, which is not in the data",
    ]


def test_what_others_refer_to_comes_first(starter: Starter) -> None:
    seen: set[str] = set()
    for kind in ("countries", "aircraft", "articles"):
        for document in starter.kinds[kind]:
            targets = [*document.get("successors", []), *(edge["aircraft"] for edge in document.get("lineage", []))]
            targets += filter(None, [document.get("translation_of")])
            assert {f"{kind}/{slug}" for slug in targets} <= seen, document["slug"]
            seen.add(f"{kind}/{document['slug']}")


def test_a_published_article_of_every_kind_is_there(by_slug: BySlug) -> None:
    categories = {article["category"] for article in by_slug["articles"].values()}
    assert {"aircraft", "designer", "design_bureau", "event", "technology"} <= categories
    assert {article["language"] for article in by_slug["articles"].values()} == {"en", "ru"}


def test_ids_are_the_same_on_every_installation() -> None:
    assert str(starter_id("aircraft", "concorde")) == "eb83abb7-a03a-5251-bb53-2fcb1abe7abf"
