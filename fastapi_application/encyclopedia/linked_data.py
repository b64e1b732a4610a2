"""schema.org descriptions (JSON-LD) of entries, made of their details."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from fastapi_application.core.config import get_settings
from fastapi_application.encyclopedia.images.licences import licence_name_and_address

if TYPE_CHECKING:
    from collections.abc import Callable

type Detail = dict[str, Any]

# EDTF that is plain ISO 8601; schema.org has no uncertain dates.
_ISO_DATE = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2])(-[0-9]{2})?)?")
_UNITS: Final = {
    "length_m": ("length", "MTR"),
    "wingspan_m": ("wingspan", "MTR"),
    "height_m": ("height", "MTR"),
    "max_takeoff_weight_kg": ("maximum take-off weight", "KGM"),
    "max_speed_kmh": ("maximum speed", "KMH"),
    "range_km": ("range", "KMT"),
    "service_ceiling_m": ("service ceiling", "MTR"),
}


def linked_data(kind: str, detail: Detail) -> dict[str, Any]:
    """Describe an entry; what is not known is left out."""
    make = _DESCRIBED.get(kind, _term)
    described = {
        "@context": "https://schema.org",
        **make(detail),
        "@id": f"urn:uuid:{detail['id']}",
        "identifier": detail["slug"],
        "url": _address(kind, detail["slug"]),
    }
    return {key: value for key, value in described.items() if value not in (None, [], "")}


def _address(kind: str, slug: str) -> str:
    return _absolute(f"/api/v1/{kind}/{slug}")


def _absolute(path: str) -> str:
    return f"{get_settings().app.public_url.rstrip('/')}{path}"


def _date(written: str | None) -> str | None:
    return written if written and _ISO_DATE.fullmatch(written) else None


def _thing(kind: str, type_: str, reference: Detail | None) -> dict[str, Any] | None:
    if reference is None:
        return None
    return {"@type": type_, "name": reference.get("name") or reference.get("title"), "url": _address(kind, reference["slug"])}


def _names(detail: Detail) -> list[str]:
    given = [detail.get("original_name"), *(alias["name"] for alias in detail.get("aliases", [])), *detail.get("names", {}).values()]
    return [name for name in dict.fromkeys(given) if name and name != detail["name"]]


def _aircraft(detail: Detail) -> dict[str, Any]:
    measures = [
        {"@type": "PropertyValue", "name": name, "value": detail[field], "unitCode": unit}
        for field, (name, unit) in _UNITS.items()
        if detail[field] is not None
    ]
    return {
        "@type": "Vehicle",
        "name": detail["name"],
        "alternateName": _names(detail),
        "description": detail["description"],
        "category": detail["category"],
        "vehicleSeatingCapacity": detail["passengers"],
        "productionDate": _date(detail["produced_from"]),
        "manufacturer": [_thing("manufacturers", "Organization", item["manufacturer"]) for item in detail["manufacturers"]],
        "countryOfOrigin": [_thing("countries", "Country", item) for item in detail["countries"]],
        "additionalProperty": measures,
    }


def _designer(detail: Detail) -> dict[str, Any]:
    return {
        "@type": "Person",
        "name": detail["name"],
        "alternateName": _names(detail),
        "description": detail["biography"],
        "birthDate": _date(detail["birth_date"]),
        "deathDate": _date(detail["death_date"]),
        "nationality": _thing("countries", "Country", detail["country"]),
        "affiliation": [_thing("design-bureaus", "Organization", item["design_bureau"]) for item in detail["design_bureaus"]],
    }


def _organization(detail: Detail) -> dict[str, Any]:
    return {
        "@type": "Organization",
        "name": detail["name"],
        "alternateName": _names(detail),
        "foundingDate": _date(detail["founded"]),
        "dissolutionDate": _date(detail["dissolved"]),
        "location": detail.get("location"),
    }


def _article(detail: Detail) -> dict[str, Any]:
    author = detail["author"] or {}
    return {
        "@type": "Article",
        "headline": detail["title"],
        "description": detail["summary"],
        "articleBody": detail["content"],
        "articleSection": detail["category"],
        "inLanguage": detail["language"],
        "keywords": detail["keywords"],
        "datePublished": detail["published_at"],
        "dateModified": detail["updated_at"],
        "author": {"@type": "Person", "name": author["display_name"]} if author.get("display_name") else None,
        "about": [
            *(_thing("aircraft", "Vehicle", item) for item in detail["aircraft"]),
            *(_thing("designers", "Person", item) for item in detail["designers"]),
        ],
        "translationOfWork": _thing("articles", "Article", detail["translation_of"]),
    }


def _country(detail: Detail) -> dict[str, Any]:
    return {"@type": "Country", "name": detail["name"], "alternateName": _names(detail)}


def _engine(detail: Detail) -> dict[str, Any]:
    return {
        "@type": "Product",
        "name": detail["name"],
        "alternateName": _names(detail),
        "category": detail["type"],
        "manufacturer": {"@type": "Organization", "name": detail["manufacturer_name"]} if detail["manufacturer_name"] else None,
        "countryOfOrigin": _thing("countries", "Country", detail["country"]),
    }


def _fact(detail: Detail) -> dict[str, Any]:
    about = [_thing("aircraft", "Vehicle", detail["aircraft"]), _thing("designers", "Person", detail["designer"])]
    return {"@type": "Claim", "text": detail["text"], "about": [item for item in about if item]}


def _image(detail: Detail) -> dict[str, Any]:
    author = {"@type": "Person", "name": detail["author"], **({"url": detail["author_url"]} if detail["author_url"] else {})}
    return {
        "@type": "ImageObject",
        "name": detail["name"],
        "description": detail["alt"],
        "caption": detail["caption"],
        "contentUrl": _absolute(detail["url"]),
        "encodingFormat": detail["media_type"],
        "width": detail["width"],
        "height": detail["height"],
        "sha256": detail["sha256"],
        "license": licence_name_and_address(detail["licence"])[1] if detail["licence"] else None,
        "acquireLicensePage": detail["source_url"],
        "creditText": (detail["credit"] or {}).get("text"),
        "creator": author if detail["author"] else None,
    }


def _term(detail: Detail) -> dict[str, Any]:
    return {"@type": "DefinedTerm", "name": detail.get("name") or detail.get("designator") or detail["slug"]}


_DESCRIBED: Final[dict[str, Callable[[Detail], dict[str, Any]]]] = {
    "aircraft": _aircraft,
    "articles": _article,
    "countries": _country,
    "design-bureaus": _organization,
    "designers": _designer,
    "engines": _engine,
    "facts": _fact,
    "images": _image,
    "manufacturers": _organization,
}
