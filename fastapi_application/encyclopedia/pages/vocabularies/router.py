"""The route of the vocabularies. They are part of the program, so the answer is built once."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, RootModel

from fastapi_application.accounts.authentication import ViewerDep
from fastapi_application.crud.bodies import refuse_query
from fastapi_application.crud.responses import bytes_response
from fastapi_application.encyclopedia.pages.routing import page_responses
from fastapi_application.encyclopedia.pages.vocabularies.labels import VOCABULARIES

router = APIRouter(tags=["vocabularies"])


class Labels(BaseModel):
    """What to call a value."""

    en: str
    ru: str


class VocabularyValue(BaseModel):
    """A value as requests and answers have it."""

    value: str
    labels: Labels


class Vocabularies(RootModel[dict[str, list[VocabularyValue]]]):
    """The values of each enumeration, in their order."""


_BODY = orjson.dumps(
    {
        name: [{"value": value, "labels": {"en": english, "ru": russian}} for value, (english, russian) in labels.items()]
        for name, labels in VOCABULARIES.items()
    },
)


@router.get(
    "/vocabularies", operation_id="vocabularies", summary="Every enumeration", responses=page_responses(Vocabularies, "Values and labels.")
)
async def vocabularies(request: Request, _viewer: ViewerDep, _query: Annotated[None, Depends(refuse_query)]) -> Response:
    """Show the labels in English and Russian."""
    return bytes_response(request, _BODY, ())
