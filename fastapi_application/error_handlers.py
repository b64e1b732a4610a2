"""Every failure becomes one RFC 9457 problem document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fastapi_application.core.cache_note import note_tags
from fastapi_application.core.errors import (
    AppError,
    BadRequestError,
    FieldError,
    MethodNotAllowedError,
    MovedError,
    RouteNotFoundError,
    ValidationFailedError,
)
from fastapi_application.core.problems import PROBLEM_MEDIA_TYPE, problem_body
from fastapi_application.crud.db_errors import translate_db_error
from fastapi_application.crud.validation import MAX_ERRORS, field_errors

if TYPE_CHECKING:
    from fastapi import FastAPI, Request


def add_error_handlers(app: FastAPI) -> None:
    """Register the handlers. What none of them knows is left to the last resort."""
    app.add_exception_handler(AppError, _handle_app_error)
    app.add_exception_handler(MovedError, _handle_moved)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)
    app.add_exception_handler(SQLAlchemyError, _handle_database_error)


def problem_response(request: Request, error: AppError) -> Response:
    """Answer with the problem of an error. Failures are never stored."""
    if error.cache_tags is not None:
        note_tags(request.scope, error.cache_tags)
    headers = {"Cache-Control": "no-store", **error.headers}
    return Response(problem_body(error, request.scope["path"]), error.status, headers, PROBLEM_MEDIA_TYPE)


async def _handle_app_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, AppError):  # pragma: no cover - registered for AppError only
        raise error
    return problem_response(request, error)


async def _handle_moved(request: Request, error: Exception) -> Response:
    """308 keeps method and body, and here the query too."""
    if not isinstance(error, MovedError):  # pragma: no cover
        raise error
    note_tags(request.scope, {error.kind})
    before, _, after = request.scope["path"].partition(f"/{error.kind}/{error.ref}")
    query = request.scope["query_string"].decode("latin-1")
    location = f"{before}/{error.kind}/{error.current_slug}{after}{'?' if query else ''}{query}"
    cache = "private, no-store" if "authorization" in request.headers else "public, no-cache"
    return Response(status_code=308, headers={"Location": location, "Cache-Control": cache})


async def _handle_validation_error(request: Request, error: Exception) -> Response:
    """Name each wrong place of the query, the path, the headers or the form."""
    if not isinstance(error, RequestValidationError):  # pragma: no cover
        raise error
    errors: list[FieldError] = []
    for finding in error.errors()[:MAX_ERRORS]:
        place, *location = finding["loc"]
        root = "/body" if place == "body" else f"/{place}"
        errors += field_errors([{**finding, "loc": tuple(location)}], root, allowed=_parameters(request))
    return problem_response(request, ValidationFailedError(errors=errors))


def _parameters(request: Request) -> list[str]:
    """The query parameters that the route knows."""
    route = request.scope.get("route")
    dependants = [dependant] if (dependant := getattr(route, "dependant", None)) is not None else []
    for dependant in dependants:
        dependants += dependant.dependencies
    return [
        info.alias or name
        for dependant in dependants
        for parameter in dependant.query_params
        for name, info in getattr(parameter.field_info.annotation, "model_fields", {}).items()
    ]


async def _handle_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette and FastAPI raise themselves."""
    if not isinstance(error, HTTPException):  # pragma: no cover
        raise error
    if isinstance(error.__cause__, AppError):  # what stopped FastAPI while it read a form, for example its size
        return problem_response(request, error.__cause__)
    if error.status_code == RouteNotFoundError.status:
        return problem_response(request, RouteNotFoundError())
    if error.status_code == MethodNotAllowedError.status:
        return problem_response(request, MethodNotAllowedError(headers={"Allow": ", ".join(allowed_methods(request))}))
    if error.status_code == BadRequestError.status:  # an unreadable form
        return problem_response(request, BadRequestError())
    raise error


def allowed_methods(request: Request) -> list[str]:
    """Every method of this path: the router itself only names those of the first route that fits it."""
    methods: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        regex: Any = getattr(context, "path_regex", None)
        if regex is not None and regex.match(request.scope["path"]):
            methods |= context.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods)


async def _handle_database_error(request: Request, error: Exception) -> Response:
    """An error of the database outside an action."""
    if not isinstance(error, SQLAlchemyError):  # pragma: no cover
        raise error
    translated = translate_db_error(error)
    if not isinstance(translated, AppError):
        raise error
    return problem_response(request, translated)
