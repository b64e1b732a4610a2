"""Query parameters of routes that have many of them.

FastAPI looks for every parameter that a model declares, given or not, and works out its type anew each time: a millisecond for
a list with seventy filters. Here the model is given what the client has sent, and nothing else.
"""

# No postponed annotations here: FastAPI reads the real types.
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi import APIRouter, Depends, Query, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ValidationError

from fastapi_application.core.errors import ValidationFailedError
from fastapi_application.crud.validation import field_errors


def query_of(model: type[BaseModel]) -> Any:
    """Build the dependency that reads a model from the query; `documented_query` says the same in OpenAPI.

    The last one of a repeated parameter counts, unless it takes several values.
    """
    names = {info.alias or name: info for name, info in model.model_fields.items()}
    lists = {name for name, info in names.items() if _takes_several(info.annotation)}

    async def read_query(request: Request) -> BaseModel:
        given = request.query_params
        values = {name: given.getlist(name) if name in lists else given[name] for name in given}
        try:
            return model.model_validate(values)
        except ValidationError as error:
            findings = error.errors(include_url=False, include_input=False)
            raise ValidationFailedError(errors=field_errors(findings, "/query", allowed=list(names))) from None

    return Depends(read_query)


def documented_query(model: type[BaseModel]) -> dict[str, Any]:
    """Return what FastAPI itself would say in OpenAPI of a route with these parameters, for its `openapi_extra`."""
    return _Documented(model)


class _Documented(dict[str, Any]):
    """Worked out when the document is: whoever starts a command or a worker would wait half a second for the lists of all kinds."""

    def __init__(self, model: type[BaseModel]) -> None:
        super().__init__(parameters=[])
        self._model = model

    def items(self) -> Any:
        self["parameters"] = self["parameters"] or _parameters(self._model)
        return super().items()


def _parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    router = APIRouter()

    @router.get("/")
    def route(parameters: Annotated[model, Query()]) -> None:  # type: ignore[valid-type]
        """Say what it takes."""

    document = get_openapi(title="", version="", openapi_version="3.1.0", routes=router.routes)
    parameters: list[dict[str, Any]] = document["paths"]["/"]["get"]["parameters"]
    return parameters


def _takes_several(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(map(_takes_several, get_args(annotation)))
    return _takes_several(get_args(annotation)[0]) if origin is Annotated else origin is list
