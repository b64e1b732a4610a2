"""Answers whose bytes PostgreSQL has built."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fastapi import Request, Response, status

from fastapi_application.crud.pages import Page
from fastapi_application.crud.preconditions import none_match
from fastapi_application.crud.repository import Document, content_hash

if TYPE_CHECKING:
    from fastapi_application.crud.history.schemas import RevisionParams
    from fastapi_application.crud.list_query import ListParams

JSON = "application/json"
JSON_LD = "application/ld+json"
PUBLIC = "public, no-cache"
PRIVATE = "private, no-store"
VARY = "Accept, Accept-Encoding, Authorization"


def prefers(accept: str, media_type: str, default: str) -> bool:
    """Whether an Accept header asks for a media type by name, and rather than for the default one."""
    wanted = {name.strip().lower(): _quality(parameters) for name, _, parameters in (item.partition(";") for item in accept.split(","))}
    return wanted.get(media_type, 0) > 0 and wanted[media_type] >= wanted.get(default, 0)


def _quality(parameters: str) -> float:
    """Return the weight of an item of an Accept header; one that cannot be read weighs nothing."""
    found = next((part.strip()[2:] for part in parameters.split(";") if part.strip().lower().startswith("q=")), "1")
    try:
        return float(found)
    except ValueError:
        return 0


def read_response(request: Request, body: bytes, etag: str, headers: dict[str, str] | None = None, media_type: str = JSON) -> Response:
    """Answer a GET: 304 if the client has these very bytes."""
    cache = PRIVATE if "authorization" in request.headers else PUBLIC
    common = {"ETag": etag, "Cache-Control": cache, "Vary": VARY, **(headers or {})}
    if none_match(request.headers.get("if-none-match"), etag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=common)
    return Response(body, media_type=media_type, headers=common)


def bytes_response(request: Request, body: bytes, media_type: str = JSON) -> Response:
    """Answer a GET of a page that is no entity: its ETag is its content."""
    return read_response(request, body, f'"{content_hash(body)}"', media_type=media_type)


def document_response(request: Request, document: Document) -> Response:
    """Answer a GET of one entity."""
    return read_response(request, document.body, document.etag)


def page_response(request: Request, page: Page, parameters: ListParams | RevisionParams) -> Response:
    """Answer a GET of a list, with the links to its other pages."""
    return read_response(request, page.body, f'"{content_hash(page.body)}"', {"Link": _links(request, page, parameters)})


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
