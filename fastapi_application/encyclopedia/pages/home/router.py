"""The route of the first page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from fastapi_application.accounts.authentication import ViewerDep
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.bodies import refuse_query
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.responses import bytes_response
from fastapi_application.encyclopedia.articles.schemas import ArticleItem
from fastapi_application.encyclopedia.facts.schemas import FactItem
from fastapi_application.encyclopedia.pages.day import Day
from fastapi_application.encyclopedia.pages.home.service import RENDERS, HomeService
from fastapi_application.encyclopedia.pages.routing import page_responses

router = APIRouter(prefix="/pages", tags=["pages"])


class Home(BaseModel):
    """The first page."""

    date: Annotated[str, Field(description="The day in UTC that the page is made for", examples=["2026-11-21"])]
    featured: Annotated[ArticleItem | None, Field(description="The article of the day")]
    recent: Annotated[list[ArticleItem], Field(description="What was published last")]
    facts: Annotated[list[FactItem], Field(description="The facts of the day")]
    counts: Annotated[dict[str, int], Field(description="Entries that everybody sees, by kind")]


@router.get("/home", operation_id="pages_home", summary="The first page", responses=page_responses(Home, "The page of the day."))
async def home(request: Request, _viewer: ViewerDep, session: SessionDep, _query: Annotated[None, Depends(refuse_query)]) -> Response:
    """Show the article of the day, what is new, some facts, and counts."""
    day = Day.today()
    body = await run_read_action(session, HomeService(session).home, day.date)
    return bytes_response(request, body, RENDERS, until=day.ends_at)
