"""Aircraft side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import inspect, select

from fastapi_application.crud.read_query import column_attribute
from fastapi_application.crud.references import Mention, resolve
from fastapi_application.encyclopedia.aircraft.models import Aircraft

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.encyclopedia.pages.compare.schemas import CompareParams

RENDERS = ("aircraft",)
"""The kinds whose entries an answer depends on."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A metric unit, and the imperial one with what a value is multiplied by."""

    metric: str
    imperial: str
    factor: float


METRE: Final = Unit("m", "ft", 1 / 0.3048)
SQUARE_METRE: Final = Unit("m²", "ft²", 1 / 0.3048**2)
KILOGRAM: Final = Unit("kg", "lb", 1 / 0.45359237)
KILOMETRE: Final = Unit("km", "mi", 1 / 1.609344)
KILOMETRE_PER_HOUR: Final = Unit("km/h", "mph", 1 / 1.609344)
METRE_PER_SECOND: Final = Unit("m/s", "ft/min", 60 / 0.3048)

UNITS: Final = {
    "_m": METRE,
    "_m2": SQUARE_METRE,
    "_kg": KILOGRAM,
    "_km": KILOMETRE,
    "_kmh": KILOMETRE_PER_HOUR,
    "_ms": METRE_PER_SECOND,
}
FIELDS: Final = (
    "category",
    "engine_type",
    "engine_count",
    "first_flight",
    "introduced",
    "retired",
    "number_built",
    "crew",
    "passengers",
    "length_m",
    "wingspan_m",
    "rotor_diameter_m",
    "height_m",
    "wing_area_m2",
    "empty_weight_kg",
    "max_takeoff_weight_kg",
    "max_speed_kmh",
    "cruise_speed_kmh",
    "range_km",
    "service_ceiling_m",
    "rate_of_climb_ms",
)
MORE_IS_BETTER: Final = frozenset({"passengers", "max_speed_kmh", "cruise_speed_kmh", "range_km", "service_ceiling_m", "rate_of_climb_ms"})
DATES: Final = ("first_flight", "introduced", "retired")
DIGITS: Final = 2


class CompareService:
    """Compares aircraft field by field."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.session = session

    async def compare(self, parameters: CompareParams) -> bytes:
        """Render the comparison, the aircraft in the order of the request.

        Raises:
            ValidationFailedError: `unknown_reference`.

        """
        refs: list[str] = list(parameters.refs)
        await resolve(self.session, [Mention("aircraft", ref, "/query/refs", refs, index) for index, ref in enumerate(refs)])
        rows = await self._rows(list(dict.fromkeys(refs)))
        fields = [_field(name, rows, imperial=parameters.units == "imperial") for name in FIELDS]
        items = [{"id": str(row["id"]), "slug": row["slug"], "name": row["name"], "url": f"/api/v1/aircraft/{row['slug']}"} for row in rows]
        return orjson.dumps({"units": parameters.units, "items": items, "fields": fields})

    async def _rows(self, slugs: list[str]) -> list[dict[str, Any]]:
        mapper = inspect(Aircraft)
        columns = [
            getattr(Aircraft, column_attribute(mapper, name) if name in DATES else name).label(name)
            for name in ("id", "slug", "name", *FIELDS)
        ]
        found = await self.session.execute(select(*columns).where(Aircraft.slug.in_(slugs)))
        by_slug = {row["slug"]: dict(row) for row in found.mappings()}
        return [by_slug[slug] for slug in slugs]


def _field(name: str, rows: list[dict[str, Any]], *, imperial: bool) -> dict[str, Any]:
    unit = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), None)
    values = [row[name] for row in rows]
    shown = [_converted(value, unit) for value in values] if imperial else values
    label = None if unit is None else unit.imperial if imperial else unit.metric
    return {"field": name, "unit": label, "values": shown, "best": _best(name, rows)}


def _converted(value: Any, unit: Unit | None) -> Any:
    return value if unit is None or value is None else round(value * unit.factor, DIGITS)


def _best(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """Return who has the greatest value; nobody where all known values are the same or only one is known."""
    known = [row[name] for row in rows if row[name] is not None]
    if name not in MORE_IS_BETTER or len(set(known)) < 2:  # noqa: PLR2004 - two, to be better than one
        return []
    return [row["slug"] for row in rows if row[name] == max(known)]
