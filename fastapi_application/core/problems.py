"""RFC 9457 problem documents: the one shape of every failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from fastapi_application.core.request_id import request_id_var

if TYPE_CHECKING:
    from starlette.types import Send

    from fastapi_application.core.errors import AppError

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:frankenjet:problem:"

_DESCRIPTIONS = {
    400: "The request is malformed: `malformed_json`, `bad_request`, `invalid_credentials`, `token_invalid`.",
    401: "`not_authenticated`: a valid bearer token is needed; `refresh_token_invalid` or `refresh_token_reused`: log in again.",
    403: "`forbidden`, `email_not_verified` or `registration_closed`.",
    404: "`not_found`: no such entry; `route_not_found`: nothing at this address.",
    405: "`method_not_allowed`: see `Allow`.",
    408: "`request_timeout`: the body came too slowly.",
    409: "`slug_taken`, `duplicate`, `in_use` (with `references`), `cycle` (with `path`) or `state_conflict`.",
    412: "`precondition_failed`: the entry has changed; `current_etag` is its version now, `changed_fields` what changed since.",
    413: "`body_too_large`.",
    414: "`uri_too_long`.",
    415: "`unsupported_media_type`.",
    422: "`validation_error`, `comment_required` or `idempotency_key_reused`: `errors` names each wrong place.",
    428: "`precondition_required`: send If-Match.",
    429: "`rate_limited` or, at the login, `login_throttled`: see Retry-After, RateLimit and RateLimit-Policy.",
    431: "`headers_too_large`.",
    500: "`internal_error`: quote the `request_id`.",
    503: "`database_unavailable`, `schema_out_of_date` or `overloaded`; try again after Retry-After.",
}


class ProblemError(BaseModel):
    """One wrong place in a request."""

    model_config = ConfigDict(extra="allow")

    pointer: Annotated[str, Field(examples=["/body/first_flight"])]
    code: Annotated[str, Field(examples=["invalid_date"])]
    detail: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). Some codes add members of their own."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(examples=["urn:frankenjet:problem:not_found"])]
    title: Annotated[str, Field(examples=["Not Found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["There is no such entry."])]
    instance: Annotated[str, Field(description="Path of the request", examples=["/api/v1/aircraft/nothing"])]
    code: Annotated[str, Field(description="Stable; what programs should look at", examples=["not_found"])]
    request_id: Annotated[str, Field(description="Also in X-Request-ID and in the log")]
    errors: list[ProblemError]


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the failures of a route in OpenAPI."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": _DESCRIPTIONS[status], "content": {PROBLEM_MEDIA_TYPE: schema}}
        for status in sorted({*statuses, 408, 413, 414, 429, 431, 500, 503})
    }


def problem_body(error: AppError, instance: str) -> bytes:
    """Render the problem document of an error."""
    document = {
        "type": f"{TYPE_PREFIX}{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": instance.encode("utf-8", "replace").decode(),
        "code": error.code,
        "request_id": request_id_var.get(),
        "errors": [item.as_dict() for item in error.errors],
        **error.members,
    }
    return orjson.dumps(document)


async def send_problem(send: Send, error: AppError, instance: str, *, close: bool = False) -> None:
    """Answer with a problem from below the framework."""
    body = problem_body(error, instance)
    headers = {"content-type": PROBLEM_MEDIA_TYPE, "content-length": str(len(body)), "cache-control": "no-store", **error.headers}
    if close:
        headers["connection"] = "close"
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
