"""From a stranger's registration to a published article with a picture, through the proxy."""

from __future__ import annotations

import asyncio
import email
import io
import re
import time
from email.policy import default
from typing import TYPE_CHECKING, Any

import httpx
from PIL import Image

from scale.editor import API, WHY, change, create, public, sign_in, step
from scale.report import BrokenError, Report, body
from scale.system import EMAIL, PASSWORD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from scale.system import ScaledSystem

STRANGER, STRANGERS_PASSWORD = "stranger@example.org", "a long password of a stranger"
PATIENCE_S = 60
_CREDIT = {"alt": "A drawing.", "licence": "CC-BY-SA-4.0", "author": "Jane Doe", "source_url": "https://example.org/drawing"}
_LINK = re.compile(r"/verify\?token=([\w.-]+)")


async def tell(system: ScaledSystem, report: Report) -> None:
    """Register, verify, become an editor, write, have it approved, upload, read and search."""
    async with await sign_in(system, EMAIL, PASSWORD) as administrator:
        await _join(system, administrator, report)
        async with await sign_in(system, STRANGER, STRANGERS_PASSWORD) as editor:
            plane = await _write(system, editor, report)
            await _publish(system, editor, administrator, plane, report)
            await _illustrate(system, editor, plane, report)
            await _leave(system, editor, report)
    await _numbers(system, report)


async def _join(system: ScaledSystem, administrator: httpx.AsyncClient, report: Report) -> None:
    async with public(system.address) as client:
        body(await client.post(f"{API}/auth/register", json={"email": STRANGER, "password": STRANGERS_PASSWORD}), 202)
        token = await _eventually(lambda: asyncio.to_thread(_mailed_token, system.directory / "mail"))
        body(await client.post(f"{API}/auth/verify", json={"token": token}), 204)
    report.must("the worker mails a stranger the link that verifies the account", so=True)
    (account,) = body(await administrator.get(f"{API}/users", params={"q": STRANGER}))["items"]
    promoted = body(await administrator.patch(f"{API}/users/{account['id']}", json={"role": "editor"}))
    report.must("an administrator makes an editor of the stranger", so=promoted["role"] == "editor", detail=promoted)


def _mailed_token(folder: Path) -> str | None:
    for path in sorted(folder.glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=default)
        part = message.get_body(("plain",))
        if part is not None and (found := _LINK.search(part.get_content())):
            return found[1]
    return None


async def _write(system: ScaledSystem, editor: httpx.AsyncClient, report: Report) -> dict[str, Any]:
    document = {"name": "Scaled Flyer", "category": "airplane", "first_flight": "1903-12-17"}
    post: Callable[[], Awaitable[httpx.Response]] = lambda: editor.post(  # noqa: E731 - sent twice as it is
        f"{API}/aircraft", params=WHY, json=document, headers={"Idempotency-Key": "the-story"}
    )
    first, second = await post(), await post()
    plane: dict[str, Any] = body(first, 201)
    again = second.status_code == first.status_code and second.content == first.content
    report.must("a POST that is repeated is done once", so=again and "idempotency-replayed" in second.headers, detail=second.text)
    path = f"{API}/aircraft/{plane['slug']}"
    stale = {"If-Match": first.headers["etag"]}
    changed = await change(editor, path, wingspan_m=12.3)
    overtaken = await editor.patch(path, params=WHY, json={"wingspan_m": 1}, headers=stale)
    report.must("a change that was overtaken is refused", so=overtaken.status_code == 412, detail=overtaken.text)  # noqa: PLR2004 - HTTP
    shown = [body(await _get(address, path)) for address in system.api_addresses]
    report.must("both processes show the change", so=shown == [changed, changed], detail=shown)
    return plane


async def _publish(
    system: ScaledSystem, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, plane: dict[str, Any], report: Report
) -> None:
    fields = {"title": "How scaling was invented", "category": "event", "content": "It flew twice.", "aircraft": [plane["slug"]]}
    article = await create(editor, "articles", **fields)
    path = f"{API}/articles/{article['slug']}"
    hidden = [(await _get(address, path)).status_code for address in system.api_addresses]
    report.must("the public does not see a draft", so=hidden == [404, 404], detail=hidden)
    await step(editor, path, "submit")
    refused = await editor.post(f"{path}/approve", params=WHY, headers={"If-Match": (await editor.get(path)).headers["etag"]})
    report.must("an editor does not approve", so=refused.status_code == 403, detail=refused.text)  # noqa: PLR2004 - HTTP
    approved = await step(administrator, path, "approve")
    report.must("an administrator approves", so=approved["status"] == "published", detail=approved)
    pages = (path, f"{API}/aircraft/{plane['slug']}", f"{API}/articles", f"{API}/search?q=scaling", "/feeds/articles.atom")
    for page in pages:
        shown = [(await _get(address, page)).text for address in system.api_addresses]
        report.must(f"both processes show it on {page}", so=all(article["slug"] in text for text in shown), detail=shown)


async def _illustrate(system: ScaledSystem, editor: httpx.AsyncClient, plane: dict[str, Any], report: Report) -> None:
    drawing = io.BytesIO()
    Image.new("RGB", (1200, 800), (40, 90, 160)).save(drawing, "PNG")
    sent = await editor.post(f"{API}/images", files={"file": ("drawing.png", drawing.getvalue())}, data=_CREDIT)
    image = body(sent, 201)
    path = f"{API}/images/{image['id']}"

    async def rendered() -> dict[str, Any] | None:
        shown: dict[str, Any] = body(await editor.get(path))
        return shown if shown["status"] == "ready" else None

    renditions = (await _eventually(rendered))["renditions"]
    report.must("the worker renders an upload", so=bool(renditions), detail=renditions)
    await change(editor, f"{API}/aircraft/{plane['slug']}", images=[{"image": image["slug"], "caption": "Drawn."}])
    files = [await _get(address, renditions[0]["url"]) for address in system.api_addresses]
    is_served = all(answer.status_code == httpx.codes.OK and answer.headers["content-type"].startswith("image/") for answer in files)
    report.must("both processes serve the picture", so=is_served, detail=files)


async def _leave(system: ScaledSystem, editor: httpx.AsyncClient, report: Report) -> None:
    body(await editor.post(f"{API}/auth/logout"), 204)
    token = {"Authorization": editor.headers["authorization"]}
    refused = []
    for address in system.api_addresses:
        async with public(address) as client:
            refused.append((await client.get(f"{API}/users/me", headers=token)).status_code)
    report.must("who has signed out is signed out at both processes", so=refused == [401, 401], detail=refused)


async def _numbers(system: ScaledSystem, report: Report) -> None:
    health = [body(await _get(address, f"{API}/health"))["status"] for address in system.api_addresses]
    report.must("both processes are healthy", so=health == ["pass", "pass"], detail=health)
    ports = [(await _get(f"http://127.0.0.1:{port}", "/metrics")).text for port in system.metrics]
    served = all("frankenjet_http_requests_total{" in text for text in ports)
    report.must("each process has its numbers, at a port of its own", so=served, detail=ports)
    outside = (await _get(system.address, "/metrics")).status_code
    report.must("the proxy does not show them", so=outside == 404, detail=outside)  # noqa: PLR2004 - HTTP


async def _get(address: str, path: str) -> httpx.Response:
    async with public(address) as client:
        return await client.get(path)


async def _eventually[T](look: Callable[[], Awaitable[T | None]]) -> T:
    """Wait for what the worker does."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := await look()) is None:
        if time.monotonic() > deadline:
            raise BrokenError(f"not done by the worker within {PATIENCE_S} s")
        await asyncio.sleep(0.1)
    return found
