"""Requests made up from the OpenAPI document, against a real server: every answer is one that the document declares."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fastapi_application.core.actor import Role
from tests.factories.registry import FACTORIES
from tests.support.application import body
from tests.support.http_server import http_server
from tests.support.images import image_row
from tests.support.operations import ENDING, document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.application import Application

EXAMPLES = 4
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
schema = schemathesis.openapi.from_dict(document())
schema.config.phases.coverage.enabled = False


@pytest.fixture(scope="module")
def server(database: str) -> Iterator[str]:
    """Return the address of a server of the tests' own."""
    with http_server() as address:
        yield address


@pytest.fixture(scope="module")
async def tokens(application: Application) -> dict[str, str]:
    """Return an editor's token, and others that may be ended."""
    return {name: await application.create_user(f"{name}@schemathesis.example.org", Role.EDITOR) for name in ("editor", *ENDING)}


@pytest.fixture(scope="module", autouse=True)
async def entities(application: Application, tokens: dict[str, str]) -> None:
    """Fill the database: lists have something to show, and no former entity hides behind an empty page."""
    async with application.client(tokens["editor"]) as editor:

        async def make(kind: str) -> dict[str, Any]:
            if kind == "images":
                return await image_row(application)
            created: dict[str, Any] = body(await editor.post(f"/api/v1/{kind}", json=FACTORIES[kind].minimal(next(numbers))), 201)
            return created

        numbers = itertools.count(17_000)
        for kind, factory in FACTORIES.items():
            body(await editor.post(f"/api/v1/{kind}", json=await factory.full(next(numbers), make)), 201)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_a_declared_one(case: schemathesis.Case[Any], server: str, tokens: dict[str, str]) -> None:
    operation = case.operation.definition.raw["operationId"]
    token = tokens.get(operation, tokens["editor"])
    case.call_and_validate(base_url=server, headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)
