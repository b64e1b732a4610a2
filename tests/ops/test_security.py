"""What every answer tells browsers, what none tells anybody, and where to report what is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from pydantic import ValidationError

from fastapi_application.api.security_txt import PATH
from fastapi_application.core.config import AppSettings, Settings
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.middleware import wrap_in_edge
from tests.support.http_server import http_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.application import Application

PROTECTIVE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
REQUESTS = [
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/static-offline-docs/swagger-ui.css"),
    ("GET", PATH),
    ("GET", "/api/v1/aircraft"),
    ("GET", "/api/v1/aircraft?size=0"),
    ("GET", "/api/v1/aircraft/nothing"),
    ("GET", "/nothing"),
    ("GET", "/a%01b"),
    ("POST", "/api/v1/aircraft"),
    ("DELETE", "/api/v1/health"),
    ("OPTIONS", "/api/v1/aircraft"),
    ("GET", f"/{'x' * 3000}"),
]


@pytest.fixture(scope="module")
def served(database: str) -> Iterator[httpx.Client]:
    """Serve over real HTTP."""
    with http_server() as address, httpx.Client(base_url=address) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), REQUESTS, ids=lambda value: value[:40].strip("/") or "index")
def test_every_answer_protects_and_names_no_server(method: str, path: str, served: httpx.Client) -> None:
    headers = served.request(method, path).headers
    assert {name: headers.get(name) for name in PROTECTIVE} == PROTECTIVE
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert not {"server", "x-powered-by", "x-worker", "access-control-allow-origin"} & set(headers)
    assert headers["x-request-id"]


async def test_where_to_report_a_vulnerability(application: Application) -> None:
    async with application.client() as client:
        answer = await client.get(PATH)
        assert (await client.head(PATH)).headers["content-type"] == answer.headers["content-type"] == "text/plain; charset=utf-8"
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert fields["Contact"] == "mailto:security@localhost"
    assert fields["Canonical"] == f"http://localhost:8000{PATH}"
    expires = datetime.fromisoformat(fields["Expires"])
    assert timedelta(days=170) < expires - datetime.now(UTC) < timedelta(days=365)


async def test_the_operator_names_the_contact() -> None:
    settings = Settings(app=AppSettings(public_url="https://planes.example.org/", security_contact="https://planes.example.org/report"))
    app = create_fastapi_app(settings)
    app.state.settings = settings
    async with httpx.AsyncClient(transport=httpx.ASGITransport(wrap_in_edge(app, settings)), base_url="http://test") as client:
        text = (await client.get(PATH)).text
    assert "Contact: https://planes.example.org/report\n" in text
    assert f"Canonical: https://planes.example.org{PATH}\n" in text


@pytest.mark.parametrize("value", ["security@example.org", "http://example.org", "mailto:a@b\nContact: evil"])
def test_a_contact_is_a_uri_of_one_line(value: str) -> None:
    with pytest.raises(ValidationError):
        AppSettings(security_contact=value)
