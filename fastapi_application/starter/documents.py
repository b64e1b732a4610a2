"""The data files as write documents of the API, kind by kind, in the order in which they can be loaded."""

from __future__ import annotations

import json
import tomllib
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = HERE / "data"
ARTICLES = HERE / "articles"
_NAMESPACE = uuid.UUID("6f0a9f3e-58d5-5a31-9b39-1f8f4c3c7c11")

type Record = dict[str, Any]

_CATEGORIES = {"wige": "ekranoplan", "tiltrotor": "convertiplane"}
_ENGINE_TYPES = {"human": "muscle"}
_PURPOSES = {"training": "trainer", "civilian": "civil"}
_ROTORCRAFT = {"helicopter", "autogyro", "gyrodyne"}
_RENAMED = {"mtow_kg": "max_takeoff_weight_kg", "ceiling_m": "service_ceiling_m", "name_en": "name", "name_original": "original_name"}
_COPIED = (
    "engine_count", "first_flight", "introduced", "retired", "length_m", "height_m", "mtow_kg", "max_speed_kmh", "range_km",
    "ceiling_m", "crew", "number_built", "countries",
)  # fmt: skip


@dataclass
class Starter:
    """Everything there is to load."""

    kinds: dict[str, list[Record]] = field(default_factory=dict)
    """Write documents by kind, in the order of loading; each has its slug."""
    icao_types: list[Record] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)
    """What the data refer to and do not have."""


def starter_id(kind: str, slug: str) -> uuid.UUID:
    """Return the id of an entry of the starter encyclopedia: the same on every installation."""
    return uuid.uuid5(_NAMESPACE, f"{kind}:{slug}")


def read_starter(*, without: Collection[str] = ()) -> Starter:
    """Read every file, or those of some kinds not."""
    starter = Starter()
    readers: dict[str, Callable[[Starter], list[Record]]] = {
        "countries": _countries,
        "tag-categories": _tag_categories,
        "tags": _tags,
        "design-bureaus": _design_bureaus,
        "manufacturers": _manufacturers,
        "engines": _engines,
        "designers": _designers,
        "images": _images,
        "aircraft": _aircraft,
        "articles": _articles,
        "facts": _facts,
    }
    for kind, reader in readers.items():
        if kind not in without:
            starter.kinds[kind] = reader(starter)
    starter.icao_types = [_icao_type(row) for row in load_records("icao_types")]
    return starter


@cache
def load_records(name: str) -> Any:
    """Return the rows of a data file."""
    return json.loads((DATA / f"{name}.json").read_text())


def load_parts(folder: str) -> Iterator[Any]:
    """Yield what the files of a folder hold."""
    for path in sorted((DATA / folder).glob("*.json")):
        yield json.loads(path.read_text())


@cache
def _texts(folder: str) -> dict[str, str]:
    return {slug: text for part in load_parts(folder) for slug, text in part.items()}


def _country_code(row: Record) -> str:
    """A code that is in use elsewhere gives way to the four-letter one; CS always means Czechoslovakia."""
    return str(row["alpha4"] if row.get("code_reused") or row["alpha4"] == "CSXX" else row["code"])


def _is_russian(name: str | None) -> bool:
    """Some names have no Russian form in the data and repeat the English one."""
    return name is not None and any("Ѐ" <= letter <= "ӿ" for letter in name)


def _names(row: Record) -> dict[str, str]:
    return {"en": row["name_en"], **({"ru": row["name_ru"]} if _is_russian(row["name_ru"]) else {})}


def _countries(_: Starter) -> list[Record]:
    successors: dict[str, list[str]] = load_records("country_successors")
    existence: dict[str, Record] = load_records("country_existence")
    documents = [
        {
            "slug": _country_code(row).lower(),
            "code": _country_code(row),
            "name": row["name_en"],
            "names": _names(row),
            "alpha3": row["alpha3"],
            "iso_3166_3": row["alpha4"],
            "existed_from": existence.get(_country_code(row), {}).get("from"),
            # Where nothing better is known: the day on which ISO withdrew the code.
            "existed_to": existence.get(_country_code(row), {}).get("to", row["withdrawn"]),
            "successors": [code.lower() for code in successors.get(_country_code(row), [])],
        }
        for row in load_records("countries")
    ]
    return _ordered(documents, lambda document: document["successors"])


def _ordered(documents: list[Record], needs: Callable[[Record], list[str]]) -> list[Record]:
    """What others refer to comes first."""
    by_slug = {document["slug"]: document for document in documents}
    order = TopologicalSorter({slug: needs(document) for slug, document in by_slug.items()}).static_order()
    return [by_slug[slug] for slug in order]


def _tag_categories(_: Starter) -> list[Record]:
    return [{key: row[key] for key in ("slug", "title", "sort_order")} for row in load_records("tags")]


def _tags(_: Starter) -> list[Record]:
    return [{**tag, "category": row["slug"]} for row in load_records("tags") for tag in row["tags"]]


def _organisation(row: Record) -> Record:
    return {
        "slug": row["slug"],
        "name": row["name_en"],
        "original_name": row["name_original"],
        "founded": row["founded"],
        "dissolved": row["dissolved"],
        "country": _lower(row["country"]),
    }


def _lower(code: str | None) -> str | None:
    return code and code.lower()


def _is_bureau(slug: str) -> bool:
    return slug in {row["slug"] for row in load_records("manufacturers") if row["kind"] == "design_bureau"}


def _design_bureaus(_: Starter) -> list[Record]:
    return [_organisation(row) for row in load_records("manufacturers") if row["kind"] == "design_bureau"]


def _manufacturers(_: Starter) -> list[Record]:
    return [{**_organisation(row), "kind": row["kind"]} for row in load_records("manufacturers") if row["kind"] != "design_bureau"]


def _engines(_: Starter) -> list[Record]:
    return [
        {
            "slug": row["slug"],
            "name": row["name_en"],
            "original_name": row["name_original"],
            "manufacturer_name": row["manufacturer"],
            "type": row["type"],
            "country": _lower(row["country"]),
            "first_run": row["first_run"],
        }
        for row in load_records("engines")
    ]


def _designers(_: Starter) -> list[Record]:
    return [
        {
            "slug": row["slug"],
            "name": row["name_en"],
            "original_name": row["name_original"],
            "birth_date": row["birth"],
            "death_date": row["death"],
            "country": _lower(row["country"]),
            "biography": _texts("biographies").get(row["slug"]),
        }
        for row in load_records("designers")
    ]


def _aircraft(starter: Starter) -> list[Record]:
    rows: list[Record] = load_records("aircraft")
    extra = {row["slug"]: row for row in load_records("aircraft_extra")}
    known = {row["slug"] for row in rows}
    starter.unresolved += [
        f"aircraft {row['slug']}: derived from {row['derived_from']}, which is not in the data"
        for row in rows
        if row["derived_from"] and row["derived_from"] not in known
    ]
    documents = [_one_aircraft(row, extra[row["slug"]]) for row in rows]
    return _ordered(documents, lambda document: [edge["aircraft"] for edge in document["lineage"]])


def _one_aircraft(row: Record, extra: Record) -> Record:
    span = "rotor_diameter_m" if row["type"] in _ROTORCRAFT else "wingspan_m"
    makers = row["manufacturers"]
    return {
        **{_RENAMED.get(key, key): row[key] for key in ("slug", "name_en", "name_original", *_COPIED)},
        span: row["wingspan_or_rotor_m"],
        "names": _names(row),
        "countries": [code.lower() for code in row["countries"]],
        "category": _CATEGORIES.get(row["type"], row["type"]),
        "engine_type": _ENGINE_TYPES.get(row["engine_type"], row["engine_type"]),
        "purposes": [_PURPOSES.get(row["purpose"], row["purpose"])],
        "status": extra["status"],
        "aliases": extra["aliases"],
        "icao_designator": extra["icao_designator"],
        "engines": extra["engines"],
        "lineage": extra["lineage"],
        "designers": [{"designer": slug} for slug in row["designers"]],
        "manufacturers": [{"manufacturer": slug} for slug in makers if not _is_bureau(slug)],
        "design_bureau": next((slug for slug in makers if _is_bureau(slug)), None),
        "disputed": {span if key == "wingspan_or_rotor_m" else _RENAMED.get(key, key): values for key, values in row["disputed"].items()},
        "description": _texts("descriptions").get(row["slug"]),
        "images": _illustrations("aircraft", row["slug"]),
    }


# --- images ---------------------------------------------------------------------------------------------------------


def _images(_: Starter) -> list[Record]:
    fields = ("slug", "name", "alt", "caption", "licence", "author", "source_url")
    return [{key: row[key] for key in fields} for row in load_records("images")]


def _illustrations(kind: str, slug: str) -> list[Record]:
    """Return the pictures of an entry."""
    return [
        {"image": image["slug"], "caption": use["caption"]}
        for image in load_records("images")
        for use in image[kind]
        if use["slug"] == slug
    ]


def _icao_type(row: Record) -> Record:
    slug = row["id"].removeprefix("doc8643:")
    return {
        "id": starter_id("icao-types", slug),
        "slug": slug,
        "version": 1,
        "designator": row["icao_designator"],
        "manufacturer": row["manufacturer"],
        "model": row["model"],
        "aircraft_class": row["aircraft_class"],
        "description": row["icao_description"],
        "engine_type": row["engine_type"],
        "engine_count": row["engine_count"],
        "wake_category": row["wake_category"],
    }


# --- texts ----------------------------------------------------------------------------------------------------------


def read_article(path: Path) -> Record:
    """Read an article: TOML front matter between `+++` lines, then Markdown."""
    _, front, content = path.read_text().split("+++\n", 2)
    return {**tomllib.loads(front), "content": content.strip() + "\n"}


def article_paths() -> list[Path]:
    """Return the files of all articles, originals before translations."""
    return sorted(ARTICLES.glob("*/*.md"), key=lambda path: (path.parent.name != "en", path.name))


def _articles(_: Starter) -> list[Record]:
    return [
        {**article, "sources": [_source(key) for key in article["sources"]], "images": _illustrations("articles", article["slug"])}
        for article in map(read_article, article_paths())
    ]


def _source(key: str) -> Record:
    """A book of the bibliography as an embedded source."""
    book = next(book for book in load_records("bibliography") if book["id"] == key)
    return {name: book[name] for name in ("title", "author", "publisher", "year")}


def _facts(_: Starter) -> list[Record]:
    facts = [fact for part in load_parts("facts") for fact in part]
    return [
        {**fact, "source": fact["source"] and _source(fact["source"]), "slug": f"fact-{starter_id('facts', fact['text']).hex[:8]}"}
        for fact in facts
    ]
