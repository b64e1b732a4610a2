"""What the routes of all pages share."""

from typing import Any

from pydantic import BaseModel

from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.declarations import MOVED, UNCHANGED

_ETAG = {"ETag": {"description": "For If-None-Match", "schema": {"type": "string"}}}


def page_responses(schema: type[BaseModel], description: str, *, ref: bool = False) -> dict[int | str, dict[str, Any]]:
    """Declare the answers of a page; `ref`: its path names an entity."""
    success: dict[int | str, dict[str, Any]] = {200: {"model": schema, "description": description, "headers": _ETAG}}
    named = MOVED | problem_responses(404) if ref else {}
    return success | UNCHANGED | named | problem_responses(401, 422, 503)
