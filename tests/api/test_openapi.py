"""The OpenAPI document: complete, valid, and what the service really answers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped] # without stubs

from fastapi_application.crud.models import all_kinds
from tests.factories.registry import FACTORIES
from tests.support.application import body
from tests.support.operations import LOGIN, PUBLISH, Operation, document, operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.conftest import Make

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
ALWAYS = {"413", "414", "431", "500"}
HEALTH = "/api/v1/health"
every_operation = pytest.mark.parametrize("operation", operations(), ids=str)


def nodes(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Yield every object of the document with its path."""
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from nodes(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from nodes(value, (*path, index))


def validate(value: Any, schema: dict[str, Any]) -> None:
    """Check a value against a schema of the document."""
    root = {**schema, "components": document()["components"]}
    errors = [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(root, format_checker=FormatChecker()).iter_errors(value)
    ]
    assert not errors, errors[:5]


def schema_of(operation_id: str, status: str) -> dict[str, Any]:
    """Return the schema of an operation's answer."""
    operation = next(item for item in operations() if item.id == operation_id)
    schema: dict[str, Any] = operation.spec["responses"][status]["content"]["application/json"]["schema"]
    return schema


# --- the document -----------------------------------------------------------------------------------------------------


async def test_the_served_document_is_this_one_in_version_3_1(anonymous: httpx.AsyncClient) -> None:
    served = body(await anonymous.get("/openapi.json"))
    assert served == document()
    assert served["openapi"].startswith("3.1.")
    assert {"title", "version", "description"} <= set(served["info"])


def test_operation_ids_are_unique_and_those_that_clients_know() -> None:
    names = Counter(operation.id for operation in operations())
    assert [name for name, count in names.items() if count > 1] == []
    expected = {"health", "health_live", "health_ready", "health_db", "health_redis", LOGIN, "auth_logout", PUBLISH}
    for kind in all_kinds():
        verbs = ("list", "read", "create", "replace", "patch", "delete") if kind in FACTORIES else ("list", "read")
        expected |= {f"{kind.replace('-', '_')}_{verb}" for verb in verbs}
    assert expected <= set(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)


def test_paths_have_no_trailing_slash_and_one_prefix() -> None:
    assert [path for path in document()["paths"] if path.endswith("/") or not path.startswith("/api/v1/")] == []


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    schemas = document()["components"]["schemas"]
    used = {node["$ref"].removeprefix("#/components/schemas/") for _, node in nodes(document()) if "$ref" in node}
    assert used - set(schemas) == set()
    assert set(schemas) - used == set()


@pytest.mark.parametrize("name", document()["components"]["schemas"])
def test_every_schema_is_valid_json_schema(name: str) -> None:
    schema = document()["components"]["schemas"][name]
    Draft202012Validator.check_schema(schema)
    for _, node in nodes(schema):
        if isinstance(node.get("pattern"), str):
            re.compile(node["pattern"])


def test_examples_are_valid() -> None:
    found = [(path, node) for path, node in nodes(document()) if isinstance(node.get("examples"), list)]
    assert len(found) > 50
    for _, node in found:
        for example in node["examples"]:
            validate(example, node)


@every_operation
def test_an_operation_says_what_it_does_and_how_it_fails(operation: Operation) -> None:
    assert operation.spec["summary"]
    assert operation.spec["tags"]
    responses: dict[str, Any] = operation.spec["responses"]
    failures = {status: response for status, response in responses.items() if status >= "400"}
    assert set(failures) >= ALWAYS
    for status, response in failures.items():
        expected = operation.template.startswith(HEALTH) and status == "503"
        assert response["description"], status
        assert ("application/health+json" in response["content"]) if expected else (response["content"] == PROBLEM), status
    for status, response in responses.items():
        if status in {"200", "201", "202"}:
            assert next(iter(response["content"].values()))["schema"], status
        elif status < "400":
            assert "content" not in response, status
    if operation.template != f"{HEALTH}/live":
        assert "503" in failures


@every_operation
def test_an_operation_declares_the_failures_of_its_kind(operation: Operation) -> None:
    declared = set(operation.spec["responses"])
    if operation.has_ref:
        assert {"308", "404"} <= declared
    if operation.needs_if_match:
        assert {"401", "403", "404", "412", "428"} <= declared
    if operation.reads_json:
        assert {"400", "415", "422"} <= declared
        assert operation.is_account or {"401", "403", "409"} <= declared
    if operation.method == "GET" and not operation.is_health:
        assert {"200", "401", "422"} <= declared
        assert ("304" in declared) is not operation.is_account
    if operation.query:
        assert "422" in declared


@every_operation
def test_who_needs_a_token_says_so(operation: Operation) -> None:
    tokenless = {
        LOGIN,
        "auth_refresh",
        "auth_register",
        "auth_request_verify_token",
        "auth_verify",
        "auth_forgot_password",
        "auth_reset_password",
    }
    assert operation.takes_token is not (operation.is_health or operation.id in tokenless)
    assert ("401" in operation.spec["responses"]) is (operation.takes_token or operation.id == "auth_refresh")


def test_parameters_are_described_by_name_type_and_place() -> None:
    for operation in operations():
        parameters = operation.spec.get("parameters", [])
        assert {item["in"] for item in parameters} <= {"path", "query", "header"}
        assert all(item["schema"] for item in parameters)
        assert len({(item["in"], item["name"]) for item in parameters}) == len(parameters)


# --- what is really answered ------------------------------------------------------------------------------------------


def assert_no_more_than(shown: dict[str, Any], schema_name: str) -> None:
    """Check that an answer has the members of its schema and no other."""
    assert set(shown) == set(document()["components"]["schemas"][schema_name]["properties"])


@pytest.mark.parametrize("kind", sorted(FACTORIES))
async def test_every_answer_of_a_kind_is_as_declared(kind: str, editor: httpx.AsyncClient, make: Make, number: int) -> None:
    factory, name = FACTORIES[kind], kind.replace("-", "_")
    created = await editor.post(f"/api/v1/{kind}", json=await factory.full(number + 15_000, make))
    validate(body(created, 201), schema_of(f"{name}_create", "201"))
    path = created.headers["location"]
    shown = body(await editor.get(path))
    validate(shown, schema_of(f"{name}_read", "200"))
    assert_no_more_than(shown, schema_of(f"{name}_read", "200")["$ref"].rpartition("/")[2])
    for query in ("", "?cursor=", "?cursor=&size=1", "?sort=-created_at&size=1", "?page=2&size=1", f"?ids={shown['id']}"):
        page = body(await editor.get(f"/api/v1/{kind}{query}"))
        validate(page, schema_of(f"{name}_list", "200"))
        expected = {"items", "size", "next_cursor"} if "cursor" in query else {"items", "total", "total_exact", "page", "size", "pages"}
        assert set(page) == expected
    item_schema = document()["components"]["schemas"][schema_of(f"{name}_list", "200")["anyOf"][0]["$ref"].rpartition("/")[2]]
    assert_no_more_than(page["items"][0], item_schema["properties"]["items"]["items"]["$ref"].rpartition("/")[2])
    patched = await editor.patch(path, json=factory.changes(number + 15_000), headers={"If-Match": created.headers["etag"]})
    validate(body(patched), schema_of(f"{name}_patch", "200"))
    path = f"/api/v1/{kind}/{shown['id']}"
    replaced = await editor.put(path, json=factory.minimal(number + 16_000), headers={"If-Match": patched.headers["etag"]})
    validate(body(replaced), schema_of(f"{name}_replace", "200"))
    validate(body(await editor.get(path)), schema_of(f"{name}_read", "200"))


async def test_problems_and_health_are_as_declared(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    tag = await make("tags")
    answers = [
        await anonymous.get("/api/v1/aircraft/no-such-aircraft"),
        await anonymous.get("/api/v1/aircraft?nonsense=1&size=1000"),
        await anonymous.get("/nowhere"),
        await anonymous.delete("/api/v1/aircraft"),
        await anonymous.post("/api/v1/tags", json={}),
        await editor.post("/api/v1/tags", json={"name": 1, "nonsense": 2}),
        await editor.delete(f"/api/v1/tags/{tag['id']}", headers={"If-Match": '"00000000.1.x"'}),
        await editor.delete(f"/api/v1/tags/{tag['id']}"),
    ]
    assert [answer.status_code for answer in answers] == [404, 422, 404, 405, 401, 422, 412, 428]
    for answer in answers:
        validate(answer.json(), problem)
    for operation in operations():
        if operation.template.startswith(HEALTH):
            answer = await anonymous.get(operation.path())
            (content,) = operation.spec["responses"][str(answer.status_code)]["content"].items()
            assert content == (answer.headers["content-type"], {"schema": {"$ref": "#/components/schemas/Health"}})
            validate(answer.json(), content[1]["schema"])


# --- the pages --------------------------------------------------------------------------------------------------------

_ADDRESS = re.compile(r"""(?:src|href|action|content|url)\s*[=(:]\s*["']?((?:https?:)?//[^"'\s>)]+)""", re.IGNORECASE)
_LOCAL = re.compile(r"""(?:src|href)=["'](/[^"'#]+)["']""")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/"])
async def test_the_pages_need_no_other_host(path: str, anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get(path, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert _ADDRESS.findall(page.text) == []
    local = {link.replace("&amp;", "&") for link in _LOCAL.findall(page.text)}
    assert local
    for link in local - {"/api/v1/aircraft/concorde"}:
        answer = await anonymous.get(link)
        # The example of a list names countries, which a database without the starter data has not.
        assert answer.status_code == 200, link


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/"])
async def test_the_policy_of_a_page_lets_its_own_script_run_and_no_other(path: str, anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get(path, headers={"Accept": "text/html"})
    policies = page.headers.get_list("content-security-policy")
    assert len(policies) == 1
    policy = dict(part.strip().partition(" ")[::2] for part in policies[0].split(";"))
    assert policy["default-src"] == "'none'"
    sources = policy["script-src"].split()
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "https:"} & set(sources)
    for script in filter(str.strip, re.findall(r"<script(?:\s[^>]*)?>(.*?)</script>", page.text, re.DOTALL)):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in sources
    assert not re.search(r"\son[a-z]+=", page.text)
    if re.search(r"<script[^>]+src=", page.text):
        assert "'self'" in sources


async def test_the_first_page_is_json_to_a_program(anonymous: httpx.AsyncClient) -> None:
    links = body(await anonymous.get("/"))["links"]
    assert {"documentation", "openapi", "health"} <= set(links)
