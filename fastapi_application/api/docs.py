"""The first page and the documentation: served from this process, without any other host."""

import base64
import hashlib
import re
from pathlib import Path

import fastapi_offline
import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from fastapi_application.core.version import VERSION
from fastapi_application.crud.responses import VARY

STATIC = "/static-offline-docs"
TITLE = "FrankenJet API"
LINKS = {
    "documentation": "/docs",
    "reference": "/redoc",
    "openapi": "/openapi.json",
    "health": "/api/v1/health",
    "example": "/api/v1/aircraft/concorde",
    "list": "/api/v1/aircraft?country=SU,FR&first_flight=1960/1969&sort=-max_speed_kmh",
}
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
router = APIRouter(include_in_schema=False)


def add_docs(app: FastAPI) -> None:
    """Mount the first page, the documentation and its files."""
    app.include_router(router)
    app.mount(STATIC, StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static"), name="docs-files")


def _page(html: bytes) -> HTMLResponse:
    """A page that runs the scripts of this host and its own inline one, and nothing else."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in _INLINE_SCRIPT.findall(html.decode())]
    scripts = " ".join(["'self'", *(f"'sha256-{value}'" for value in hashes)])
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        "connect-src 'self'; worker-src blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
    return HTMLResponse(html, headers={"Content-Security-Policy": policy, "Cache-Control": "public, no-cache"})


@router.get("/docs")
async def docs() -> Response:
    """Swagger UI."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=TITLE,
        swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{STATIC}/favicon.png",
        swagger_ui_parameters={"docExpansion": "none", "defaultModelsExpandDepth": 0},
    )
    return _page(bytes(page.body))


@router.get("/redoc")
async def redoc() -> Response:
    """ReDoc."""
    page = get_redoc_html(
        openapi_url="/openapi.json",
        title=TITLE,
        redoc_js_url=f"{STATIC}/redoc.standalone.js",
        redoc_favicon_url=f"{STATIC}/favicon.png",
        with_google_fonts=False,
    )
    return _page(bytes(page.body))


@router.get("/")
async def index(request: Request) -> Response:
    """Say where things are: a small page to a browser, JSON otherwise."""
    headers = {"Vary": VARY}
    if "text/html" not in request.headers.get("accept", ""):
        return _json({"name": TITLE, "version": VERSION, "links": LINKS}, headers)
    items = "".join(
        f'<li><a href="{target.replace("&", "&amp;")}">{name}</a> <code>{target.replace("&", "&amp;")}</code></li>'
        for name, target in LINKS.items()
    )
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{TITLE}</title>'
        '<meta name="viewport" content="width=device-width"><style>'
        "body{font:1.1rem/1.6 system-ui;margin:3rem auto;max-width:44rem;padding:0 1rem}"
        "code{color:#555;font-size:.9em}</style></head>"
        f"<body><h1>{TITLE}</h1><p>An encyclopedia of aviation history, version {VERSION}.</p><ul>{items}</ul></body></html>"
    )
    response = _page(html.encode())
    response.headers.update(headers)
    return response


def _json(body: object, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json", headers=headers)
