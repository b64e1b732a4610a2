"""Answers whose bytes PostgreSQL has built."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fastapi import Request, Response, status

from fastapi_application.core.cache_note import SCOPE_KEY, note_tags
from fastapi_application.crud.pages import Page
from fastapi_application.crud.preconditions import none_match
from fastapi_application.crud.repository import Document, content_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastapi_application.crud.list_query import ListParams

JSON = "application/json"
PUBLIC = "public, no-cache"
PRIVATE = "private, no-store"
VARY = "Accept, Accept-Encoding, Authorization"


def read_response(
    request: Request,
    body: bytes,
    etag: str,
    headers: dict[str, str] | None = None,
    tags: Callable[[], Iterable[str]] | None = None,
) -> Response:
    """Answer a GET: 304 if the client has these very bytes. With `tags` (asked only then) the read cache may keep it."""
    if tags is not None and SCOPE_KEY in request.scope:
        note_tags(request.scope, tags())
    cache = PRIVATE if "authorization" in request.headers else PUBLIC
    common = {"ETag": etag, "Cache-Control": cache, "Vary": VARY, **(headers or {})}
    if none_match(request.headers.get("if-none-match"), etag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=common)
    return Response(body, media_type=JSON, headers=common)


def document_response(request: Request, document: Document) -> Response:
    """Answer a GET of one entity."""
    return read_response(request, document.body, document.etag, tags=document.tags)


def page_response(request: Request, page: Page, parameters: ListParams) -> Response:
    """Answer a GET of a list, with the links to its other pages."""
    headers = {"Link": _links(request, page, parameters)}
    return read_response(request, page.body, f'"{content_hash(page.body)}"', headers, page.tags)


def written_response(document: Document, status_code: int = status.HTTP_200_OK, location: str | None = None) -> Response:
    """Answer a write with the entity as it is now."""
    headers = {"ETag": document.etag, "Cache-Control": PRIVATE}
    if location is not None:
        headers["Location"] = location
    return Response(document.body, status_code, headers, media_type=JSON)


def _links(request: Request, page: Page, parameters: ListParams) -> str:
    """RFC 8288 links, relative to the host: they hold behind any proxy."""
    given = [(name, value) for name, value in request.query_params.multi_items() if name not in ("page", "cursor")]

    def link(relation: str, **more: object) -> str:
        return f'<{request.scope["path"]}?{urlencode([*given, *more.items()])}>; rel="{relation}"'

    if parameters.cursor is not None:
        following = [link("next", cursor=page.next_cursor)] if page.next_cursor else []
        return ", ".join([link("first", cursor=""), *following])
    links = [link("first", page=1)]
    if parameters.page > 1:
        links.append(link("prev", page=parameters.page - 1))
    if page.has_next:
        links.append(link("next", page=parameters.page + 1))
    return ", ".join(links)
