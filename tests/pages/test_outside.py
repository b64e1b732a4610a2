"""For the outside world: sitemap, feeds, robots and linked data."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.history.steps import patch, step
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    import httpx

    from tests.conftest import Make

BASE = "http://localhost:8000"
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
ATOM = "{http://www.w3.org/2005/Atom}"
LD = {"Accept": "application/ld+json"}


async def xml(client: httpx.AsyncClient, path: str, media_type: str) -> ET.Element:
    """Return the root of an XML answer, which a client may keep while it is current."""
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert (await client.get(path, headers={"If-None-Match": answer.headers["etag"]})).status_code == 304
    return ET.fromstring(answer.content)  # noqa: S314 - our own answer


async def test_the_sitemap_leads_to_every_entry(library: httpx.AsyncClient) -> None:
    index = await xml(library, "/sitemap.xml", "application/xml")
    parts = [str(node.text).removeprefix(BASE) for node in index.iter(f"{SITEMAP}loc")]
    assert len(parts) == 8
    addresses = [str(node.text) for part in parts for node in (await xml(library, part, "application/xml")).iter(f"{SITEMAP}loc")]
    assert len(addresses) == len(set(addresses)) == 291 + 76 + 280 + 21 + 306 + 123 + 166 + 68
    assert f"{BASE}/api/v1/aircraft/concorde" in addresses
    for address in addresses[::200]:
        assert (await library.get(address.removeprefix(BASE))).status_code == 200


@pytest.mark.parametrize("name", ["aircraft-2", "aircraft-0", "aircraft", "aircraft-01", "facts-1", "users-1", "aircraft-99999", "-1"])
async def test_other_parts_are_not_there(name: str, library: httpx.AsyncClient) -> None:
    assert_problem(await library.get(f"/sitemaps/{name}.xml"), 404, "route_not_found")


@pytest.mark.parametrize("name", ["articles", "changes"])
async def test_a_feed_is_atom(name: str, library: httpx.AsyncClient) -> None:
    feed = await xml(library, f"/feeds/{name}.atom", "application/atom+xml")
    entries = feed.findall(f"{ATOM}entry")
    assert len(entries) == 50
    for node in (feed, *entries):
        assert all(node.findtext(f"{ATOM}{key}") for key in ("id", "title", "updated"))
    updated = [str(entry.findtext(f"{ATOM}updated")) for entry in entries]
    assert updated == sorted(updated, reverse=True)
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == 50
    link = entries[0].find(f"{ATOM}link")
    assert link is not None
    assert (await library.get(link.attrib["href"].removeprefix(BASE))).status_code == 200


async def titles(client: httpx.AsyncClient, name: str) -> list[str]:
    """Return what a feed names, the newest first."""
    feed = await xml(client, f"/feeds/{name}.atom", "application/atom+xml")
    return [str(entry.findtext(f"{ATOM}title")) for entry in feed.findall(f"{ATOM}entry")]


async def test_the_feeds_tell_what_became_public(
    anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make, number: int
) -> None:
    name = f"Feed {number}"
    aircraft = await make("aircraft", name=f"{name} first")
    article = await make("articles", title=f"{name} article")
    path = f"/api/v1/articles/{article['id']}"
    assert (await titles(anonymous, "changes"))[0] == f"{name} first"
    assert f"{name} article" not in await titles(anonymous, "changes") + await titles(anonymous, "articles")
    await patch(editor, f"/api/v1/aircraft/{aircraft['id']}", {"name": f"{name} <second>"})
    body(await step(administrator, path, "publish"))
    assert (await titles(anonymous, "changes"))[:2] == [f"{name} article", f"{name} <second>"]
    assert (await titles(anonymous, "articles"))[0] == f"{name} article"
    await patch(editor, path, {"title": f"{name} waiting"})
    assert (await titles(anonymous, "changes"))[0] == f"{name} article"
    body(await step(administrator, path, "approve"))
    assert (await titles(anonymous, "changes"))[0] == (await titles(anonymous, "articles"))[0] == f"{name} waiting"
    body(await step(administrator, path, "archive"))
    assert f"{name} waiting" not in await titles(anonymous, "changes") + await titles(anonymous, "articles")


async def test_robots_name_the_sitemap(library: httpx.AsyncClient) -> None:
    answer = await library.get("/robots.txt", headers={"Host": "test"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert f"Sitemap: {BASE}/sitemap.xml" in answer.text.splitlines()
    assert_problem(await library.get("/robots.txt?x=1"), 422, "validation_error")


@pytest.mark.parametrize(
    ("path", "type_", "name"),
    [
        ("aircraft/concorde", "Vehicle", "Concorde"),
        ("designers/igor-sikorsky", "Person", "Igor Sikorsky"),
        ("design-bureaus/tupolev", "Organization", "Tupolev"),
        ("manufacturers/boeing", "Organization", "Boeing"),
        ("engines/rolls-royce-merlin", "Product", "Rolls-Royce Merlin"),
        ("countries/fr", "Country", "France"),
        ("tags/france", "DefinedTerm", "France"),
    ],
)
async def test_linked_data(path: str, type_: str, name: str, library: httpx.AsyncClient) -> None:
    answer = await library.get(f"/api/v1/{path}", headers=LD)
    document = body(answer)
    assert answer.headers["content-type"] == "application/ld+json"
    assert "Accept" in answer.headers["vary"]
    assert (document["@context"], document["@type"], document["name"]) == ("https://schema.org", type_, name)
    assert document["url"] == f"{BASE}/api/v1/{path}"
    assert answer.headers["etag"] != (await library.get(f"/api/v1/{path}")).headers["etag"]


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/json", "application/json, application/ld+json;q=0.5", "application/ld+json;q=0", "application/ld+json;q=x"],
)
async def test_json_stays_the_answer_unless_linked_data_is_preferred(accept: str, library: httpx.AsyncClient) -> None:
    answer = await library.get("/api/v1/aircraft/concorde", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"


async def test_every_kind_has_linked_data(library: httpx.AsyncClient) -> None:
    for kind in ("articles", "facts", "icao-types", "tag-categories"):
        (item,) = body(await library.get(f"/api/v1/{kind}?size=1&fields=id"))["items"]
        assert body(await library.get(f"/api/v1/{kind}/{item['id']}", headers=LD))["@id"] == f"urn:uuid:{item['id']}"
