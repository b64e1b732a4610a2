"""What the routes of a kind declare in OpenAPI."""

# No postponed annotations here: FastAPI reads the real types.
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from fastapi_application.core.media_types import JSON_LD
from fastapi_application.core.problems import problem_responses


@dataclass(frozen=True)
class Access:
    """The dependencies (`Depends(…)`) that say who reads and who may write; accounts provide them, which stand above this layer."""

    viewer: Any
    editor: Any
    linked_data: Callable[[str, dict[str, Any]], dict[str, Any]]
    """Makes JSON-LD of the detail of an entry of a kind."""


def request_body(schemas: dict[str, type[BaseModel]]) -> dict[str, Any]:
    """Declare the body of a route whose handler reads it itself, by media type; `openapi` adds the schemas."""
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}} for media_type, schema in schemas.items()}
    return {"requestBody": {"required": True, "content": content}}


_ETAG_HEADER = {"ETag": {"description": 'Version for If-Match: `"<id8>.<version>.<hash>"`', "schema": {"type": "string"}}}


def success(schema: Any, description: str, **headers: Any) -> dict[str, Any]:
    """Declare an answer with an ETag."""
    return {"model": schema, "description": description, "headers": {**_ETAG_HEADER, **headers}}


LOCATION = {"Location": {"description": "Where the entry is", "schema": {"type": "string"}}}
LINK = {"Link": {"description": "RFC 8288: first, prev, next", "schema": {"type": "string"}}}
LINKED_DATA = {JSON_LD: {"schema": {"type": "object", "description": "The same for schema.org, where `Accept` prefers it"}}}
REPLAYED = {"Idempotency-Replayed": {"description": "`true`: the answer to the first request of this key", "schema": {"type": "string"}}}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "You have it."}}
MOVED: dict[int | str, dict[str, Any]] = {308: {"description": "The slug was renamed.", "headers": LOCATION}}
READ_ERRORS = MOVED | problem_responses(401, 404, 422, 503)
WRITE_ERRORS = MOVED | problem_responses(400, 401, 403, 404, 409, 412, 415, 422, 428, 503)
STEP_ERRORS = MOVED | problem_responses(401, 403, 404, 409, 412, 422, 428, 503)
