"""JSON bodies, read after authentication and strictly.

FastAPI reads and parses a body before any dependency runs. Here a client without rights is refused before its body
is read, so bodies are dependencies; `openapi.py` adds their schemas to the document.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fastapi_application.core.errors import CommentRequiredError, MalformedJsonError, UnsupportedMediaTypeError, ValidationFailedError
from fastapi_application.crud.preconditions import parse_if_match
from fastapi_application.crud.schemas import Comment
from fastapi_application.crud.validation import field_errors, validation_failed

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
MAX_DEPTH = 32


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        message = "A name occurs twice in one object."
        raise MalformedJsonError(message)
    return result


def _refuse_constant(_: str) -> Any:
    message = "NaN and Infinity are not JSON."
    raise MalformedJsonError(message)


def parse_json(body: bytes) -> Any:
    """Parse one strict JSON document (RFC 8259; no duplicate names, at most 32 levels deep).

    Raises:
        MalformedJsonError: it is not one.

    """
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_float)
    except (ValueError, RecursionError):
        raise MalformedJsonError from None
    _check_depth(value)
    return value


def _float(text: str) -> float:
    value = float(text)
    # 1e999 is JSON, but no number that anything here can hold: let validation name the field.
    return math.nan if math.isinf(value) else value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level if isinstance(item, dict | list) for child in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return
    message = f"The document is nested more than {MAX_DEPTH} levels deep."
    raise MalformedJsonError(message)


def media_type_of(request: Request) -> str:
    """Return the media type of a body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, *media_types: str) -> Any:
    """Read the body.

    Raises:
        UnsupportedMediaTypeError: the content type is not one of these.
        MalformedJsonError: the body is not JSON.

    """
    if media_type_of(request) not in media_types:
        message = f"Send {' or '.join(media_types)}."
        raise UnsupportedMediaTypeError(
            message, headers={"Accept-Patch" if request.method == "PATCH" else "Accept-Post": ", ".join(media_types)}
        )
    return parse_json(await request.body())


def parse_body[S: BaseModel](schema: type[S], value: Any, read_only: frozenset[str] = frozenset()) -> S:
    """Validate a parsed body.

    Raises:
        ValidationFailedError: naming each wrong field.

    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise validation_failed(error, "/body", read_only) from None


def json_body(*media_types: str) -> Any:
    """Build the dependency that reads the body of a write; declare it after the actor's."""

    async def get_body(request: Request) -> Any:
        return await read_json(request, *media_types)

    return Depends(get_body)


async def get_if_match(
    if_match: Annotated[str | None, Header(description="ETag of the version that you have read; required")] = None,
) -> frozenset[str]:
    """Read the versions that the client has seen; declare it after the body's dependency."""
    return parse_if_match(if_match)


IfMatchDep = Annotated[frozenset[str], Depends(get_if_match)]


async def refuse_query(request: Request) -> None:
    """Refuse query parameters on a route that has none.

    Raises:
        ValidationFailedError: names each.

    """
    if request.query_params:
        findings = [{"type": "extra_forbidden", "loc": (name,), "msg": ""} for name in request.query_params]
        raise ValidationFailedError(errors=field_errors(findings, "/query"))


class WriteQuery(BaseModel):
    """The parameter of every write."""

    model_config = ConfigDict(extra="forbid")

    comment: Annotated[Comment | None, Field(description="Why, in 1 to 500 characters: kept with the change")] = None


WriteQueryDep = Annotated[WriteQuery, Query()]


async def get_comment(query: WriteQueryDep) -> str:
    """Read why an entity is changed; declare it after If-Match.

    Raises:
        CommentRequiredError: the request does not say.

    """
    if query.comment is None:
        raise CommentRequiredError
    return query.comment


CommentDep = Annotated[str, Depends(get_comment)]
