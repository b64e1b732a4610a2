"""Answers whose bytes PostgreSQL has built."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fastapi import Request, Response, status

from fastapi_application.core.cache_note import SCOPE_KEY, note_tags
from fastapi_application.core.media_types import JSON
from fastapi_application.crud.pages import Page
from fastapi_application.crud.preconditions import none_match
from fastapi_application.crud.repository import Document, content_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastapi_application.crud.history.schemas import RevisionParams
    from fastapi_application.crud.list_query import ListParams

PUBLIC = "public, no-cache"
PRIVATE = "private, no-store"
VARY = "Accept, Accept-Encoding, Authorization"


def read_response(
    request: Request,
    body: bytes,
    etag: str,
    headers: dict[str, str] | None = None,
    tags: Callable[[], Iterable[str]] | None = None,
    media_type: str = JSON,
) -> Response:
    """Answer a GET: 304 if the client has these very bytes. With `tags` (asked only then) the read cache may keep it."""
    if tags is not None and SCOPE_KEY in request.scope:
        note_tags(request.scope, tags())
    cache = PRIVATE if "authorization" in request.headers else PUBLIC
    common = {"ETag": etag, "Cache-Control": cache, "Vary": VARY, **(headers or {})}
    if none_match(request.headers.get("if-none-match"), etag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=common)
    return Response(body, media_type=media_type, headers=common)


def bytes_response(
    request: Request, body: bytes, tags: Iterable[str] | None, *, media_type: str = JSON, until: float | None = None
) -> Response:
    """Answer a GET of a page that is no entity: its ETag is its content.

    Args:
        request: what is answered.
        body: the page.
        tags: what the read cache ends the page by; None: it is not kept.
        media_type: of the page.
        until: Unix time after which the page is another one although nobody has written.

    """
    if tags is not None:
        note_tags(request.scope, tags, until=until)
    return read_response(request, body, f'"{content_hash(body)}"', media_type=media_type)


def document_response(request: Request, document: Document, *, is_kept: bool = True) -> Response:
    """Answer a GET of one entity; `is_kept`: the read cache may keep it."""
    return read_response(request, document.body, document.etag, tags=document.tags if is_kept else None)


def page_response(request: Request, page: Page, parameters: ListParams | RevisionParams) -> Response:
    """Answer a GET of a list, with the links to its other pages."""
    headers = {"Link": _links(request, page, parameters)}
    return read_response(request, page.body, f'"{content_hash(page.body)}"', headers, page.tags)


def written_headers(document: Document, location: str | None = None) -> dict[str, str]:
    """Return the headers of the answer to a write."""
    headers = {"ETag": document.etag, "Cache-Control": PRIVATE}
    return headers if location is None else {**headers, "Location": location}


def written_response(document: Document) -> Response:
    """Answer a write with the entity as it is now."""
    return Response(document.body, headers=written_headers(document), media_type=JSON)


def _links(request: Request, page: Page, parameters: ListParams | RevisionParams) -> str:
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
