"""Failures: one shape, the right status and code, and a service that goes on."""

from __future__ import annotations

import asyncio
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.errors import AppError, FieldError, MovedError
from fastapi_application.crud.service import ReadService
from fastapi_application.middleware import last_resort
from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem, body
from tests.support.http_server import http_server
from tests.support.log_capture import captured_lines
from tests.support.operations import document, operations

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    import httpx

    from tests.support.application import Application

KINDS = sorted(FACTORIES)
PATHS = sorted(document()["paths"])
SECRET = "a detail that only the log may have"


def methods_of(path: str) -> set[str]:
    """Return the methods that the document declares for what fits a path, and HEAD wherever there is GET."""
    methods = {item.method for item in operations() if re.fullmatch(re.sub(r"{\w+}", "[^/]+", item.template), path)}
    return methods | ({"HEAD"} if "GET" in methods else set())


# --- 404 and 405 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/api", "/api/v1", "/api/v1/", "/api/v2/aircraft", "/api/v1/nowhere", "/api/v1/aircraft/", "/api/v1/aircraft/a/b/c", "//"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_no_such_route(path: str, method: str, editor: httpx.AsyncClient) -> None:
    problem = assert_problem(await editor.request(method, f"http://test{path}"), 404, "route_not_found")
    assert problem["instance"] == path


@pytest.mark.parametrize("ref", ["no-such-entry", "00000000-0000-4000-8000-000000000000", "NO SUCH", "%F0%9F%9B%A9"])
@pytest.mark.parametrize("kind", [*KINDS, "icao-types"])
async def test_no_such_entry(kind: str, ref: str, anonymous: httpx.AsyncClient) -> None:
    assert_problem(await anonymous.get(f"/api/v1/{kind}/{ref}"), 404, "not_found")


@pytest.mark.parametrize("path", PATHS)
async def test_405_names_every_method_of_the_path(path: str, editor: httpx.AsyncClient) -> None:
    expected = methods_of(path)
    url = path.replace("{ref}", "anything")
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - expected:
        answer = await editor.request(method, url)
        assert answer.status_code == 405, method
        assert set(answer.headers["allow"].split(", ")) == expected, method
        if method != "HEAD":
            assert_problem(answer, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/"])
async def test_pages_are_for_reading(path: str, anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post(path)
    assert_problem(answer, 405, "method_not_allowed")
    assert {"GET", "HEAD"} <= set(answer.headers["allow"].split(", "))
    assert (await anonymous.head(path)).status_code == 200


async def test_unknown_files_of_the_documentation_are_not_there(anonymous: httpx.AsyncClient) -> None:
    for name in ("nothing.js", "..%2F..%2F..%2Fetc%2Fpasswd", "../../pyproject.toml", "a" * 300, "%FF"):
        assert_problem(await anonymous.get(f"/static-offline-docs/{name}"), 404, "route_not_found")


# --- the shape --------------------------------------------------------------------------------------------------------


async def test_a_problem_repeats_the_id_of_its_request(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/api/v1/aircraft/nothing", headers={"X-Request-ID": "mine-1"})
    problem = assert_problem(answer, 404, "not_found")
    assert (problem["request_id"], answer.headers["x-request-id"]) == ("mine-1", "mine-1")
    assert problem["instance"] == "/api/v1/aircraft/nothing"
    assert problem["title"] == "Not Found"
    assert answer.headers["cache-control"] == "no-store"


async def test_concurrent_failures_keep_their_own_ids(anonymous: httpx.AsyncClient) -> None:
    ids = [f"request-{index}" for index in range(20)]
    answers = await asyncio.gather(*(anonymous.get("/api/v1/aircraft/nothing", headers={"X-Request-ID": item}) for item in ids))
    assert [answer.json()["request_id"] for answer in answers] == ids


def _subclasses(error: type[AppError]) -> Iterator[type[AppError]]:
    yield error
    for subclass in error.__subclasses__():
        yield from _subclasses(subclass)


def test_every_error_has_a_status_a_code_of_its_own_and_a_sentence() -> None:
    errors = list(_subclasses(AppError))
    codes = [error.code for error in errors]
    assert len(set(codes)) == len(codes)
    for error in errors:
        assert HTTPStatus(error.status).phrase
        assert error.code.replace("_", "").isalpha()
        assert error.code.islower()
        assert error.default_detail.endswith(".")


@pytest.mark.parametrize("error", list(_subclasses(AppError)), ids=lambda error: str(error.code))
async def test_whatever_a_service_raises_has_the_one_shape(
    error: type[AppError], anonymous: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(ReadService, "read", fail)
    answer = await anonymous.get("/api/v1/tags/anything")
    problem = assert_problem(answer, error.status, error.code)
    assert problem["detail"] == error.default_detail
    assert (answer.headers.get("www-authenticate") == "Bearer") is (error.status == 401)
    assert ("retry-after" in answer.headers) is (error.status in {429, 503})


async def test_members_errors_and_headers_of_an_error_reach_the_client(
    anonymous: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise AppError("A sentence.", errors=[FieldError("/body/a", "b", "c", {"d": 1})], headers={"X-More": "e"}, path=["f"])

    monkeypatch.setattr(ReadService, "read", fail)
    answer = await anonymous.get("/api/v1/tags/anything")
    problem = assert_problem(answer, 500, "internal_error")
    assert (problem["detail"], problem["path"], answer.headers["x-more"]) == ("A sentence.", ["f"], "e")
    assert problem["errors"] == [{"pointer": "/body/a", "code": "b", "detail": "c", "d": 1}]


async def test_a_move_keeps_method_and_query(anonymous: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise MovedError("tags", "former", "current")

    monkeypatch.setattr(ReadService, "read", fail)
    answer = await anonymous.get("/api/v1/tags/former")
    assert (answer.status_code, answer.headers["location"], answer.content) == (308, "/api/v1/tags/current", b"")


async def test_a_validation_error_names_each_wrong_place_and_never_repeats_the_input(editor: httpx.AsyncClient) -> None:
    wrong = {"name": 17, "category": "secret-flying-saucer", "first_flight": "1941-13", "wingspan_m": -1, "nonsense": 1, "version": 2}
    problem = assert_problem(await editor.post("/api/v1/aircraft", json=wrong), 422, "validation_error")
    found = {item["pointer"]: item["code"] for item in problem["errors"]}
    assert set(found) == {f"/body/{name}" for name in wrong}
    assert (found["/body/first_flight"], found["/body/nonsense"], found["/body/version"]) == (
        "invalid_date",
        "unknown_field",
        "read_only_field",
    )
    assert "secret-flying-saucer" not in json.dumps(problem)


async def test_an_unknown_parameter_is_named_with_those_that_there_are(anonymous: httpx.AsyncClient) -> None:
    problem = assert_problem(await anonymous.get("/api/v1/tags?colour=red&size=0"), 422, "validation_error")
    found = {item["pointer"]: item for item in problem["errors"]}
    assert set(found) == {"/query/colour", "/query/size"}
    assert found["/query/colour"]["code"] == "unknown_parameter"
    assert {"page", "size", "cursor", "sort", "ids", "name"} <= set(found["/query/colour"]["allowed"])


async def test_the_number_of_errors_is_bounded(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient) -> None:
    query = "&".join(f"p{index}=1" for index in range(800))
    for answer in (
        await anonymous.get(f"/api/v1/aircraft?{query}"),
        await anonymous.get(f"/api/v1/aircraft/any?{query}"),
        await editor.post("/api/v1/aircraft", json={f"p{index}": 1 for index in range(5000)}),
    ):
        assert 0 < len(assert_problem(answer, 422, "validation_error")["errors"]) <= 50


# --- bugs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def buggy(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """Make each read of one entity fail for a bug; return the lines of the last resort."""

    async def fail(*_: Any) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(ReadService, "read", fail)
    return captured_lines(monkeypatch, last_resort)


@pytest.mark.parametrize("kind", [*KINDS, "icao-types"])
async def test_a_bug_is_a_500_that_tells_the_client_nothing_and_the_log_everything(
    kind: str, anonymous: httpx.AsyncClient, buggy: list[MutableMapping[str, Any]]
) -> None:
    answer = await anonymous.get(f"/api/v1/{kind}/anything")
    problem = assert_problem(answer, 500, "internal_error")
    assert SECRET not in json.dumps(problem)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [line["event"] for line in buggy] == ["unhandled_exception"]
    assert buggy[0]["exc_info"]
    assert body(await anonymous.get(f"/api/v1/{kind}?size=1"))["page"] == 1


async def test_a_bug_gives_its_connection_back(
    application: Application, anonymous: httpx.AsyncClient, buggy: list[MutableMapping[str, Any]]
) -> None:
    for _ in range(20):
        assert (await anonymous.get("/api/v1/tags/anything")).status_code == 500
    assert application.fastapi.state.engine.pool.checkedout() == 0


async def test_after_a_bug_the_clients_connection_is_usable(database: str, buggy: list[MutableMapping[str, Any]]) -> None:
    """Over real HTTP: a server closes the connection of a request that ended in an exception."""
    with http_server() as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
        statuses = []
        for path in ("/api/v1/tags/anything", "/api/v1/health/live", "/api/v1/tags/anything", "/nowhere", "/api/v1/tags"):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode().lower()
            statuses.append(int(head.split()[1]))
            assert "connection: close" not in head
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            await asyncio.wait_for(reader.readexactly(length), 5)
        writer.close()
        await writer.wait_closed()
    assert statuses == [500, 200, 500, 404, 200]
    assert len(buggy) == 2
