"""What the contract tests know of the kinds: all of it comes from the registry."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, get_args

from fastapi_application import encyclopedia
from fastapi_application.core.dates import Edtf
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.service import EntityService, ReadService
from tests.factories.registry import FACTORIES
from tests.support.application import body

if TYPE_CHECKING:
    import asyncpg
    import httpx
    from pydantic import BaseModel

    from tests.conftest import Make

ICAO = "icao-types"
IMAGES = "images"
"""Created by a file, not by a JSON body: they have tests of their own."""
_HOME = encyclopedia.__name__


def _services() -> dict[str, type[ReadService[Any]]]:
    """Every service of the encyclopedia, by its kind."""
    found: list[type[ReadService[Any]]] = [*ReadService.__subclasses__(), *EntityService.__subclasses__()]
    services = {service.model.__kind__: service for service in found if service.__module__.startswith(_HOME)}
    return {kind: service for kind, service in services.items() if kind != IMAGES}


SERVICES = _services()
KINDS = sorted(SERVICES)
WRITABLE = sorted(FACTORIES)


def service_of(kind: str) -> type[EntityService[Any, Any]]:
    """Return the service of a kind that is written over HTTP."""
    service = SERVICES[kind]
    assert issubclass(service, EntityService)
    return service


def write_fields(kind: str) -> tuple[SchemaField, ...]:
    """Return the fields that a request may have."""
    schema: type[BaseModel] = service_of(kind).write_schema
    return fields_of(schema)


def is_date(field: SchemaField) -> bool:
    """Whether a field is a date of history."""
    return get_args(Edtf)[1] in field.metadata


def dates_of(kind: str) -> list[str]:
    """Return the keys of the dates that an entity itself has."""
    return [field.key for field in write_fields(kind) if is_date(field)]


async def make_icao_type(db: asyncpg.Connection[asyncpg.Record], **columns: Any) -> str:
    """Add a row to the list of ICAO types, which nobody writes over HTTP; return its id."""
    identifier = uuid.uuid4()
    row = {
        "id": identifier,
        "slug": f"icao-{identifier.hex[:12]}",
        "version": 1,
        "designator": "QQ1",
        "manufacturer": "NOBODY",
        "model": "Nothing",
        "aircraft_class": "landplane",
        "description": "L2J",
        "engine_type": "jet",
        "engine_count": None,
        "wake_category": "L/M",
        **columns,
    }
    places = ", ".join(f"${index}" for index in range(1, len(row) + 1))
    await db.execute(f"INSERT INTO icao_type ({', '.join(row)}) VALUES ({places})", *row.values())  # noqa: S608 - names from above
    return str(identifier)


async def make_variety(
    kind: str, numbers: list[int], make: Make, editor: httpx.AsyncClient, db: asyncpg.Connection[asyncpg.Record]
) -> list[str]:
    """Create one entity for each number, different in every field; return their ids."""
    if kind == ICAO:
        return [await make_icao_type(db, **_icao_columns(position)) for position in range(len(numbers))]
    factory = FACTORIES[kind]
    full = await factory.full(numbers[0], make)
    made = []
    for position, number in enumerate(numbers):
        document = factory.minimal(number)
        for field in write_fields(kind):
            if field.key in full and field.key not in document and position % 4 != 3:
                document[field.key] = _varied(field, full[field.key], position)
        made.append(body(await editor.post(f"/api/v1/{kind}", json=document), 201)["id"])
    return made


_DATES = ("1941-06-22", "193X", "1941", "1940/1950", "../1939", "1941-06", "1941/..", "1941?")


def _varied(field: SchemaField, value: Any, position: int) -> Any:
    """Return another valid value of a field; those that are more than a number, a word or a date stay."""
    if is_date(field):
        return _DATES[position % len(_DATES)]
    if field.type in (int, float) and value is not None:
        return (value + position * 7) % 40 + 1
    if choices := get_args(field.type):
        return choices[position % len(choices)] if isinstance(value, str) else value
    is_word = field.type is str and isinstance(value, str) and field.kind is None and "pattern=" not in repr(field.metadata)
    return f"word {(position * 5) % 8}" if is_word else value


def _icao_columns(position: int) -> dict[str, Any]:
    word = f"W{(position * 5) % 8}"
    columns = dict.fromkeys(("designator", "manufacturer", "model", "description", "engine_type", "wake_category"), word)
    return {**columns, "aircraft_class": word.lower(), "engine_count": None if position % 4 == 3 else position * 5 % 7}


async def rename(client: httpx.AsyncClient, kind: str, entity: dict[str, Any], slug: str) -> httpx.Response:
    """Give an entity another slug."""
    path = f"/api/v1/{kind}/{entity['id']}"
    return await client.patch(path, json={"slug": slug}, headers=await if_match(client, path))


async def if_match(client: httpx.AsyncClient, path: str) -> dict[str, str]:
    """Return the If-Match header for the current version of what is at a path."""
    return {"If-Match": (await client.get(path)).headers["etag"]}
