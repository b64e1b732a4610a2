"""Bad input, on every route: never a 500, always a problem document with the id of the request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_origin

import pytest

from fastapi_application.core.actor import Role
from fastapi_application.core.errors import MalformedJsonError
from fastapi_application.core.limits import max_body_bytes
from fastapi_application.crud.bodies import parse_json
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.service import EntityService
from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem
from tests.support.operations import ENDING, FORM, LOGIN, Operation, operations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx
    from pydantic import BaseModel

    from tests.conftest import Make
    from tests.support.application import Application

MEGABYTE = 1024 * 1024
LONG = "Long" * 250_000
IF_MATCH = {"If-Match": '"00000000.1.x"'}
JSON = {"Content-Type": "application/json"}

# Values as they stand in a JSON text.
VALUES = {
    "nul": r'"a\u0000b"',
    "lone surrogate": r'"\ud800"',
    "lone surrogates the wrong way round": r'"\udc00\ud800"',
    "noncharacter": r'"\uffff"',
    "bell": r'"\u0007"',
    "bidirectional override": r'"\u202e"',
    "empty": '""',
    "spaces": '"   "',
    "long": json.dumps(LONG),
    "combining marks": json.dumps("a" + "\u0301" * 5000),
    "10^400": "1" + "0" * 400,
    "-10^400": "-1" + "0" * 400,
    "10^5000": "1" + "0" * 5000,
    "1e999": "1e999",
    "-1e999": "-1e999",
    "1e308": "1e308",
    "1e-999": "1e-999",
    "-0": "-0.0",
    "2^31": str(2**31),
    "2^63": str(2**63),
    "2^64": str(2**64),
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "true": "true",
    "null": "null",
    "list": "[]",
    "list of null": "[null]",
    "list of lists": "[[[]]]",
    "list of hostile text": r'["\u0000", "\ud800"]',
    "long list": "[" + ",".join(['"a"'] * 20_000) + "]",
    "object": "{}",
    "object with a NUL key": r'{"\u0000": "\u0000"}',
    "object with a surrogate key": r'{"\ud800": ["\ud800"]}',
    "object with nulls": '{"id": null, "slug": null}',
    "object with large numbers": '{"id": 1e999, "slug": 10, "code": 1e999}',
    "object with NaN": '{"id": 1, "slug": 10, "code": NaN}',
    "deep": "[" * 500 + "]" * 500,
    "too deep": "[" * 100_000 + "]" * 100_000,
    "not closed": "[" * 100_000,
    "deep object": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "not JSON": "nope",
    "a second document": "1} {",
}


def _is_json(value: str) -> bool:
    try:
        parse_json(f'{{"field": {value}}}'.encode())
    except MalformedJsonError:
        return False
    return True


JSON_VALUES = {what: value for what, value in VALUES.items() if _is_json(value)}
"""What fields get to see; the others are 400 on every operation that reads JSON, whatever field they stand in."""

# Those that are also put inside lists and objects.
NESTED = ("nul", "lone surrogate", "long", "10^400", "1e999", "null", "list", "object", "object with large numbers")

TEXTS = {
    "nul": "%00",
    "nul inside": "a%00b",
    "surrogate": "%ED%A0%80",
    "invalid UTF-8": "%FF%FE",
    "overlong": "%C0%80",
    "line break": "%0D%0AX-Injected:%201",
    "escape": "%1B%5B31m",
    "dots": "..%2F..%2Fetc%2Fpasswd",
    "bare percent": "%25%2500",
    "quote": "'%20OR%201=1--",
    "double quote": "%22%3B",
    "brackets": "%5B%5D%7B%7D",
    "10^400": "1" + "0" * 400,
    "2^63": str(2**63),
    "-1": "-1",
    "nan": "nan",
    "infinity": "Infinity",
    "1e999": "1e999",
    "other digits": "%D9%A1%D9%A2",
    "emoji": "%F0%9F%9B%A9",
    "bad UUID": "00000000-0000-0000-0000-00000000000g",
    "short UUID": "0000",
    "UUID in braces": "%7B00000000-0000-4000-8000-000000000000%7D",
    "URN": "urn:uuid:00000000-0000-4000-8000-000000000000",
    "upper case": "CONCORDE",
    "long": "a" * 2000,
    "many": ",".join(["a"] * 1000),
    "date": "2024-02-30",
    "empty": "",
    "space": "%20",
}


def check(answer: httpx.Response, what: str) -> None:
    """Check that an answer is none of a bug, and that a refusal has the shape of all refusals."""
    assert answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:500]}"
    assert answer.headers["x-request-id"]
    if answer.status_code >= 400:
        problem = assert_problem(answer, answer.status_code, answer.json()["code"])
        assert len(answer.content) < 150_000, f"{what}: the answer is as long as the input"
        assert LONG[:1000] not in json.dumps(problem)


class Attacker:
    """Sends requests with a token that may write."""

    def __init__(self, client: httpx.AsyncClient, operation: Operation) -> None:
        """Attack one operation."""
        self.client = client
        self.operation = operation

    async def send(self, what: str, *, path: str | None = None, query: str = "", status: int | None = None, **request: Any) -> None:
        """Send one request and check its answer."""
        url = (path or self.operation.path()) + (f"?{query}" if query else "")
        headers = [*IF_MATCH.items(), *request.pop("headers", {}).items()]
        answer = await self.client.request(self.operation.method, url, headers=headers, **request)
        check(answer, f"{self.operation.method} {url[:200]} with {what}")
        assert status is None or answer.status_code == status, f"{what}: {answer.status_code} {answer.text[:500]}"


@pytest.fixture(scope="module")
async def tokens(application: Application) -> dict[str, str]:
    """Return a token that may write, and others that may be ended."""
    return {name: await application.create_user(f"{name}@hostile.example.org", Role.ADMINISTRATOR) for name in ("writer", *ENDING)}


@pytest.fixture
async def attacker(application: Application, tokens: dict[str, str], operation: Operation) -> AsyncIterator[Attacker]:
    """Return a sender of requests to the operation."""
    async with application.client(tokens.get(operation.id, tokens["writer"])) as client:
        yield Attacker(client, operation)


def those(*, has_ref: bool | None = None, reads_json: bool | None = None) -> pytest.MarkDecorator:
    """Parametrise over the operations that have, or lack, something. Fields of every kind are below."""
    chosen = [
        operation
        for operation in operations()
        if operation.is_representative and has_ref in (None, operation.has_ref) and reads_json in (None, operation.reads_json)
    ]
    assert chosen
    return pytest.mark.parametrize("operation", chosen, ids=str)


@those(has_ref=True)
async def test_hostile_paths(operation: Operation, attacker: Attacker) -> None:
    for what, text in TEXTS.items():
        if text:
            await attacker.send(what, path=operation.path(text), **_valid_body(operation))
    await attacker.send("too long", path=operation.path("a" * 10_000), status=414)


@those()
async def test_hostile_queries(operation: Operation, attacker: Attacker) -> None:
    body = _valid_body(operation)
    for what, text in TEXTS.items():
        # Both in one: of several unknown parameters each is looked at, and named.
        await attacker.send(f"a parameter {what}, and an unknown one with it", query=f"{text}=1&nonsense={text}", **body)
    for query in ("&&==&", "=", "%", "a;b", "%00=%00", "&".join(f"p{index}=1" for index in range(900))):
        await attacker.send("a strange query", query=query, **body)
    await attacker.send("too long a query", query="q=" + "a" * 20_000, status=414)


# What gets past validation somewhere, and what a database refuses that Python takes.
DATABASE_TEXTS = ("nul", "2^63", "1e999")


@those()
async def test_hostile_values_of_each_parameter(operation: Operation, attacker: Attacker) -> None:
    body = _valid_body(operation)
    for what, text in TEXTS.items():
        query = "&".join(f"{name}={text}" for name in operation.query)
        await attacker.send(f"each parameter = {what}", query=query[:8000], **body)
    for name in operation.query:
        for what in DATABASE_TEXTS:
            await attacker.send(f"{name} = {what}", query=f"{name}={TEXTS[what]}", **body)


@those(reads_json=True)
async def test_hostile_documents(operation: Operation, attacker: Attacker) -> None:
    for what, value in VALUES.items():
        await attacker.send(f"a body that is {what}", content=value, headers=JSON)
        unknown = 400 if what not in JSON_VALUES else 422 if value in {"true", '""', "[]", "{}", "null"} else None
        await attacker.send(f"an unknown field that is {what}", content=f'{{"nonsense": {value}}}', headers=JSON, status=unknown)
    for what, name in (("NUL", r"\u0000"), ("a lone surrogate", r"\ud800"), ("long", LONG), ("a pointer", "~/~01")):
        await attacker.send(f"a field named {what}", content=f'{{"{name}": 1}}', headers=JSON, status=422)
    for what, content in BODIES.items():
        await attacker.send(what, content=content, headers=JSON, status=400)


BODIES = {
    "no body": b"",
    "spaces": b"   ",
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "an encoded surrogate": b'{"name": "\xed\xa0\x80"}',
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "a byte order mark": '\ufeff{"name": "a"}'.encode(),
    "a raw NUL": b'{"name": "a\x00b"}',
    "a raw line break": b'{"name": "a\nb"}',
    "a name twice": b'{"name": "a", "name": "b"}',
    "a comment": b"{} // comment",
    "a trailing comma": b'{"name": "a",}',
    "single quotes": b"{'name': 'a'}",
    "a form": b"name=a",
}


@those(reads_json=True)
async def test_wrong_content_types(operation: Operation, attacker: Attacker) -> None:
    types = [
        "",
        "text/plain",
        "application/xml",
        FORM,
        "multipart/form-data",
        "application/jsonx",
        "json",
        "*/*",
        "a" * 5000,
        "application/json-patch+json",
    ]
    for content_type in set(types) - set(operation.media_types):
        await attacker.send(content_type[:50], content=b'{"name": "a"}', headers={"Content-Type": content_type}, status=415)
    for content_type in ("application/json; charset=latin-1", "APPLICATION/JSON", "application/json;;;", "application/json; boundary=\x00"):
        await attacker.send(content_type, content=b'{"nonsense": "a"}', headers={"Content-Type": content_type}, status=422)


@those()
async def test_bodies_that_are_too_large(operation: Operation, attacker: Attacker) -> None:
    content_type = {"Content-Type": (operation.media_types or ["application/json"])[0]}
    size = max_body_bytes(operation.method, operation.path()) + MEGABYTE
    await attacker.send("too much with Content-Length", content=b"a" * size, headers=content_type, status=413)
    for declared in ("99999999999999999999", "1" + "0" * 400):
        await attacker.send("a large Content-Length", content=b"{}", headers={**content_type, "Content-Length": declared}, status=413)
    reads = bool(operation.media_types) and operation.media_types != ["multipart/form-data"]
    await attacker.send("too much in chunks", content=_chunks(size), headers=content_type, status=413 if reads else None)
    for declared in ("-1", "abc", "", "1, 2"):
        headers = {**content_type, "Content-Length": declared}
        await attacker.send(f"Content-Length {declared}", content=_chunks(MEGABYTE // 16), headers=headers)


async def _chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, MEGABYTE // 16):
        yield b" " * (MEGABYTE // 16)


@those()
async def test_hostile_headers(operation: Operation, attacker: Attacker) -> None:
    names = ("If-Match", "If-None-Match", "X-Request-ID", "Accept", "Accept-Encoding", "Content-Type", "X-Forwarded-For", "Cookie", "Range")
    values = (b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"", b" ", b'"', b'"a', b'W/"', b'"' * 5000, b"a" * 10_000, b"*", b'"\x00"', b"1\r\n2")
    body = _valid_body(operation)
    for value in values:
        await attacker.send(f"{value[:20]!r} everywhere", **{**body, "headers": {**body.get("headers", {}), **dict.fromkeys(names, value)}})
    for name in names:
        await attacker.send(f"{name}: NUL", **{**body, "headers": {**body.get("headers", {}), name: b"\x00"}})
    await attacker.send("too large a header", headers={"X-Large": "a" * 20_000}, status=431)
    await attacker.send("too many headers", headers={f"X-{index}": "a" * 10 for index in range(1100)}, status=431)


@those()
async def test_hostile_credentials(operation: Operation, application: Application) -> None:
    values = (
        b"\x00",
        b"Bearer",
        b"Bearer ",
        b"Bearer \x00",
        b"Bearer \xff",
        b"Bearer \xed\xa0\x80",
        b"Bearer " + b"a" * 9000,
        b"Basic YTpi",
        b"bearer x y",
    )
    async with application.client() as client:
        for value in values:
            answer = await client.request(operation.method, operation.path(), headers=[(b"Authorization", value)])
            check(answer, repr(value))
            if operation.takes_token:
                assert_problem(answer, 401, "not_authenticated")
                assert answer.headers["www-authenticate"] == "Bearer"
        if operation.needs_token:
            assert_problem(await client.request(operation.method, operation.path()), 401, "not_authenticated")


@those()
async def test_strange_hosts(operation: Operation, attacker: Attacker) -> None:
    for host in ("[", "a:b:c", "", " ", "\x00", "[::1", "a:99999999", "http://a/", "a" * 5000, "é", "-", "a,b", "%00", "@", "a\\b"):
        await attacker.send(f"Host {host[:20]!r}", headers={"Host": host.encode("latin-1")}, **_without_headers(_valid_body(operation)))


def _valid_body(operation: Operation) -> dict[str, Any]:
    if operation.reads_json:
        return {"content": b'{"nonsense": 1}', "headers": dict(JSON)}
    if operation.id == LOGIN:
        return {"content": b"username=a%40example.org", "headers": {"Content-Type": FORM}}
    return {}


def _without_headers(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "headers"}


# --- fields -----------------------------------------------------------------------------------------------------------


def _fields() -> Iterator[tuple[str, SchemaField]]:
    for service in EntityService.__subclasses__():
        schema: type[BaseModel] = service.write_schema
        for field in fields_of(schema):
            yield service.model.__kind__, field


@pytest.mark.parametrize(("kind", "field"), [pytest.param(kind, field, id=f"{kind}.{field.key}") for kind, field in _fields()])
async def test_hostile_values_of_each_field(
    kind: str, field: SchemaField, application: Application, tokens: dict[str, str], make: Make, number: int
) -> None:
    # What is created by a file is changed instead.
    path = "" if kind in FACTORIES else f"/{(await make(kind))['id']}"
    document = json.dumps({**({} if path else FACTORIES[kind].minimal(number + 12_000)), field.key: "@"})
    shapes = ["{}"]
    if field.is_list:
        keys = [item.key for item in fields_of(field.schema)] if field.schema else ["id", "slug"]
        shapes += ["[{}]", *(f'[{{{{"{key}": {{}}}}}}]' for key in keys)]
    elif field.kind or get_origin(field.type) is dict:
        shapes += ['{{"slug": {}}}', '{{"en": {}}}', '{{"length_m": [{}]}}']
    async with application.client(tokens["writer"]) as client:
        for what, value in JSON_VALUES.items():
            for shape in shapes if what in NESTED else shapes[:1]:
                content = document.replace('"@"', shape.format(value))
                current = {"If-Match": (await client.get(f"/api/v1/{kind}{path}")).headers["etag"]} if path else {}
                answer = await client.request("PATCH" if path else "POST", f"/api/v1/{kind}{path}", content=content, headers=JSON | current)
                check(answer, f"{field.key} = {what}")
