"""The OpenAPI document: FastAPI's, with what it cannot see."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fastapi_application.accounts.schemas import ACCOUNT_REQUESTS
from fastapi_application.api.health import Health
from fastapi_application.core.problems import Problem
from fastapi_application.core.version import VERSION
from fastapi_application.crud.history.schemas import RevertBody
from fastapi_application.crud.json_patch import JsonPatch
from fastapi_application.crud.router import patch_schema
from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.articles.workflow_schemas import WORKFLOW_BODIES
from fastapi_application.encyclopedia.images.schemas import ImageUpload

DESCRIPTION = """An encyclopedia of aviation history.

Everybody reads; editors write with a bearer token from `POST /api/v1/auth/login`. Units are metric and in the names of
the fields. Dates of history are EDTF (ISO 8601-2, level 1) and come back as they were written: `1903-12-17`, `1936`,
`1939-10~`, `193X`, `1941/1954`.

A write names the version that it changes in `If-Match`. Every failure is an RFC 9457 problem document with a stable
`code`; quote its `request_id` when you ask for help.
"""


def add_openapi(app: FastAPI) -> None:
    """Make the application serve the completed document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    # FastAPI's documented way to extend the document.
    app.openapi = openapi  # type: ignore[method-assign]


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=VERSION, openapi_version="3.1.0", description=DESCRIPTION, routes=app.routes, tags=_tags()
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in _extra_schemas().items():
        schemas.setdefault(name, schema)
    # FastAPI's own shape of a 422, which no answer here has.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document


def _extra_schemas() -> dict[str, Any]:
    """The bodies that handlers read themselves, and the answers that no handler returns as a model."""
    writes = [service.write_schema for service in EntityService.__subclasses__()]
    patches = [patch_schema(write) for write in writes]
    requests: list[type[BaseModel]] = [*writes, *patches, JsonPatch, RevertBody, ImageUpload, *WORKFLOW_BODIES, *ACCOUNT_REQUESTS]
    models = [(model, "validation") for model in requests] + [(Problem, "serialization"), (Health, "serialization")]
    _, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    found: dict[str, Any] = definitions.get("$defs", {})
    return found


def _tags() -> list[dict[str, str]]:
    return [
        {"name": "health", "description": "For load balancers and operators; never limited."},
        {"name": "accounts", "description": "Signing in, one's own account, and the accounts of others for administrators."},
    ]
