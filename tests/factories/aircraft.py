"""Aircraft for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

Make = Callable[..., Awaitable[dict[str, Any]]]
KIND = "aircraft"


def minimal(n: int) -> dict[str, Any]:
    """Return the least that a POST needs."""
    return {"name": f"Aircraft {n}", "category": "airplane"}


async def full(n: int, make: Make) -> dict[str, Any]:
    """Return every writable field but the slug."""
    country, other = await make("countries"), await make("countries")
    designer, bureau = await make("designers"), await make("design-bureaus")
    maker, engine, older = await make("manufacturers"), await make("engines"), await make("aircraft")
    image, other_image = await make("images"), await make("images")
    return {
        **minimal(n),
        "original_name": f"Самолёт {n}",
        "aliases": [{"name": f"Bark {n}", "kind": "nato", "language": "en"}],
        "names": {"en": f"Aircraft {n}", "ru": f"Самолёт {n}"},
        "purposes": ["attack", "military"],
        "status": "retired",
        "engine_type": "piston",
        "engine_count": 1,
        "first_flight": "1939-10-02",
        "introduced": "1941",
        "retired": "1954?",
        "produced_from": "1941-03~",
        "produced_to": "1945",
        "number_built": 36183,
        "crew": 2,
        "passengers": 0,
        "length_m": 11.65,
        "wingspan_m": 14.6,
        "rotor_diameter_m": None,
        "height_m": 4.17,
        "wing_area_m2": 38.5,
        "empty_weight_kg": 4525,
        "max_takeoff_weight_kg": 6380.5,
        "max_speed_kmh": 414,
        "cruise_speed_kmh": 320,
        "range_km": 765,
        "service_ceiling_m": 5500,
        "rate_of_climb_ms": 10.4,
        "icao_designator": "IL2",
        "iata_designator": "IL2",
        "description": "A ground-attack aircraft.",
        "disputed": {"length_m": ["11.6"]},
        "sources": [
            {"title": "T", "author": "A", "publisher": None, "year": 2001, "isbn": "978-5-699-00000-1", "url": None, "accessed": None}
        ],
        "countries": [other["slug"], country["slug"]],
        "designers": [{"designer": designer["slug"], "role": "chief designer"}],
        "manufacturers": [{"manufacturer": maker["slug"], "from": "1941", "to": "1945-05", "quantity": 15000}],
        "engines": [{"engine": engine["slug"], "count": 1}],
        "design_bureau": bureau["slug"],
        "images": [{"image": image["slug"], "caption": "From the side."}, {"image": other_image["slug"], "caption": None}],
        "lineage": [{"aircraft": older["slug"], "type": "developed_from"}],
    }


def changes(n: int) -> dict[str, Any]:
    """Return a merge patch that changes something."""
    return {"introduced": "193X", "wingspan_m": 14.7}
