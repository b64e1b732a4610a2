"""Routes outside the API: they are not part of its OpenAPI document."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import Row

from fastapi_application.accounts.authentication import ViewerDep
from fastapi_application.api.outside.service import FEED_RENDERS, PART_SIZE, SITEMAP_KINDS, OutsideService
from fastapi_application.api.outside.xml import document, element, text_element
from fastapi_application.core.errors import RouteNotFoundError
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.bodies import refuse_query
from fastapi_application.crud.cache_tags import tags_of_kinds
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.history.changes import CHANGES
from fastapi_application.crud.models import all_kinds
from fastapi_application.crud.responses import bytes_response

SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
ATOM = "http://www.w3.org/2005/Atom"
XML, ATOM_XML, PLAIN = "application/xml", "application/atom+xml", "text/plain; charset=utf-8"
EPOCH = "1970-01-01T00:00:00.000000Z"
_PART = re.compile(r"[1-9][0-9]{0,3}")
NAME = "FrankenJet"

router = APIRouter(include_in_schema=False, dependencies=[Depends(refuse_query)])


def get_base(request: Request) -> str:
    """Return the address that readers see: never one that a client makes up in Host."""
    base: str = request.app.state.settings.app.public_url
    return base.rstrip("/")


BaseDep = Annotated[str, Depends(get_base)]


@router.get("/robots.txt")
async def robots(request: Request, base: BaseDep) -> Response:
    """Let everybody read, and say where the sitemap is."""
    body = f"User-agent: *\nAllow: /\nDisallow: /api/v1/search\n\nSitemap: {base}/sitemap.xml\n".encode()
    return bytes_response(request, body, (), media_type=PLAIN)


@router.get("/sitemap.xml")
async def sitemap(request: Request, base: BaseDep, _viewer: ViewerDep, session: SessionDep) -> Response:
    """List the parts: as many for each kind as it needs."""
    parts = await run_read_action(session, OutsideService(session).parts)
    entries = [
        element("sitemap", text_element("loc", f"{base}/sitemaps/{kind}-{number}.xml"), text_element("lastmod", updated_at))
        for kind, count, updated_at in parts
        for number in range(1, -(-count // PART_SIZE) + 1)
    ]
    body = document(element("sitemapindex", *entries, xmlns=SITEMAP))
    return bytes_response(request, body, tags_of_kinds(SITEMAP_KINDS), media_type=XML)


@router.get("/sitemaps/{name}.xml")
async def sitemap_part(request: Request, name: str, base: BaseDep, _viewer: ViewerDep, session: SessionDep) -> Response:
    """List addresses of one kind.

    Raises:
        RouteNotFoundError: there is no such part.

    """
    kind, _, number = name.rpartition("-")
    if kind not in SITEMAP_KINDS or not _PART.fullmatch(number):
        raise RouteNotFoundError
    rows = await run_read_action(session, OutsideService(session).addresses, kind, int(number))
    if not rows and number != "1":
        raise RouteNotFoundError
    address = f"{base}/api/v1/{kind}"
    entries = [element("url", text_element("loc", f"{address}/{slug}"), text_element("lastmod", changed)) for slug, changed in rows]
    body = document(element("urlset", *entries, xmlns=SITEMAP))
    return bytes_response(request, body, tags_of_kinds((kind,)), media_type=XML)


@router.get("/feeds/articles.atom")
async def new_articles(request: Request, base: BaseDep, _viewer: ViewerDep, session: SessionDep) -> Response:
    """List what was published last."""
    rows = await run_read_action(session, OutsideService(session).articles)
    return bytes_response(request, _feed(base, "articles", "New articles", rows, _article), FEED_RENDERS, media_type=ATOM_XML)


@router.get("/feeds/changes.atom")
async def changes(request: Request, base: BaseDep, _viewer: ViewerDep, session: SessionDep) -> Response:
    """List the entries that were changed last."""
    rows = await run_read_action(session, OutsideService(session).changes)
    body = _feed(base, "changes", "Changes", rows, _change)
    return bytes_response(request, body, tags_of_kinds(all_kinds()) | {CHANGES}, media_type=ATOM_XML)


def _feed(base: str, name: str, title: str, rows: Sequence[Row[Any]], entry: Callable[[str, Row[Any]], str]) -> bytes:
    address = f"{base}/feeds/{name}.atom"
    head = [
        text_element("id", address),
        text_element("title", f"{NAME}: {title}"),
        text_element("updated", max((row.updated_at for row in rows), default=EPOCH)),
        element("link", rel="self", type=ATOM_XML, href=address),
        element("author", text_element("name", NAME)),
    ]
    return document(element("feed", *head, *(entry(base, row) for row in rows), xmlns=ATOM))


def _article(base: str, row: Row[Any]) -> str:
    parts = [
        text_element("id", f"urn:uuid:{row.id}"),
        text_element("title", row.title),
        element("link", rel="alternate", hreflang=row.language, href=f"{base}/api/v1/articles/{row.slug}"),
        text_element("published", row.published_at or row.updated_at),
        text_element("updated", row.updated_at),
        element("category", term=row.category),
        text_element("summary", row.summary or ""),
    ]
    author = [element("author", text_element("name", row.author))] if row.author else []
    return element("entry", *parts, *author)


def _change(base: str, row: Row[Any]) -> str:
    return element(
        "entry",
        text_element("id", f"urn:uuid:{row.id}"),
        text_element("title", row.title),
        element("link", rel="alternate", href=f"{base}/api/v1/{row.kind}/{row.slug}"),
        text_element("updated", row.updated_at),
        element("category", term=row.kind),
        text_element("summary", "New." if row.action == "create" else "Changed."),
    )
