"""What the account routes share: strict bodies, answers that nobody keeps, ids in paths."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from fastapi_application.accounts.schemas import UserRead
from fastapi_application.core.errors import NotFoundError, UnsupportedMediaTypeError
from fastapi_application.crud.bodies import JSON, parse_body, read_json, refuse_query
from fastapi_application.crud.declarations import request_body
from fastapi_application.crud.schemas import parse_uuid

if TYPE_CHECKING:
    from pydantic import BaseModel

READ_ONLY = frozenset(UserRead.model_fields)
"""What an account's owner sees and cannot set."""


async def _no_store(response: Response) -> None:
    response.headers.update({"Cache-Control": "no-store", "Pragma": "no-cache"})


def account_router(prefix: str) -> APIRouter:
    """Build a router whose answers are never stored."""
    return APIRouter(prefix=prefix, tags=["accounts"], dependencies=[Depends(_no_store)])


def parsed(schema: type[BaseModel], read_only: frozenset[str] = frozenset()) -> Any:
    """Build the dependency that reads and checks a JSON body; declare it after the actor's."""

    async def get_parsed(request: Request) -> BaseModel:
        value = await read_json(request, JSON)
        await refuse_query(request)
        return parse_body(schema, value, read_only)

    return Depends(get_parsed)


def json_request(schema: type[BaseModel]) -> dict[str, Any]:
    """Declare the body that `parsed` reads."""
    return request_body({JSON: schema})


async def get_path_id(identifier: str) -> uuid.UUID:
    """Read the id in the path.

    Raises:
        NotFoundError: it is no id, so nothing has it.

    """
    if (value := parse_uuid(identifier)) is None:
        raise NotFoundError
    return value


PathId = Annotated[uuid.UUID, Depends(get_path_id)]
NoQuery = Depends(refuse_query)
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def refuse_what_is_no_form(request: Request) -> None:
    """Refuse other content types.

    Raises:
        UnsupportedMediaTypeError: this one.

    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _FORMS:
        raise UnsupportedMediaTypeError(f"Send {_FORMS[0]}.", headers={"Accept-Post": _FORMS[0]})


FormOnly = Depends(refuse_what_is_no_form)
