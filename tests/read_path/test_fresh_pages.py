"""Pages that are made of several kinds are kept too, and none of them is older than the last write."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from fastapi_application.core.actor import Role
from fastapi_application.crud.cache_outbox import CachePublisher
from fastapi_application.encyclopedia.articles.workflow import publish_due, publish_due_articles
from fastapi_application.encyclopedia.pages.day import Day
from tests.history.steps import patch, step
from tests.history.test_changes import last
from tests.read_path.support import API, eventually, status_of
from tests.support.application import PASSWORD, body
from tests.support.jobs import a_job, leave, until_done, working

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.conftest import Make
    from tests.support.application import Application
    from tests.support.jobs import Connection

LD = {"Accept": "application/ld+json"}


class Library:
    """Every page on which the entries of a test may be seen, for the public and past the cache."""

    def __init__(self, anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, word: str, slug: str, since: int) -> None:
        """Name the pages."""
        self.anonymous, self.reader = anonymous, reader
        self.changes = f"{API}/changes?since={since}"
        self.paths = [
            *(f"{API}/{path}?q={word}" for path in ("search", "suggest")),
            *(f"{API}/{path}" for path in ("statistics", "pages/home", "vocabularies", "on-this-day?date=02-03", "on-this-day")),
            *(f"{API}/timeline?from=1911-02&to=1911-03", self.changes, f"{API}/aircraft?include=countries,designers"),
            *(f"{API}/aircraft/{slug}/lineage", f"{API}/aircraft/{slug}/family", f"{API}/aircraft/compare?refs={slug},{slug}-twin"),
            *("/sitemap.xml", "/sitemaps/aircraft-1.xml", "/sitemaps/articles-1.xml", "/sitemaps/tags-1.xml"),
            *("/feeds/articles.atom", "/feeds/changes.atom", "/robots.txt", f"{API}/tags?size=100", f"{API}/tags?sort=-created_at"),
        ]

    async def changed_by(self, write: Callable[[], Any]) -> set[str]:
        """Write while everything is kept; every page must then be as the database has it. Return those that changed."""
        before = {}
        for path in self.paths:
            await self.anonymous.get(path)
            kept = await self.anonymous.get(path)
            assert status_of(kept).startswith("hit"), path
            before[path] = kept.content
        await write()
        for path in self.paths:
            shown, true = await self.anonymous.get(path), await self.reader.get(path)
            assert status_of(true) == "fwd=bypass"
            assert (shown.status_code, shown.content) == (true.status_code, true.content), path
            before[path] = b"" if shown.content == before[path] else b"changed"
        return {path for path, changed in before.items() if changed}


async def test_every_page_is_kept_and_fresh(
    application: Application,
    anonymous: httpx.AsyncClient,
    reader: httpx.AsyncClient,
    administrator: httpx.AsyncClient,
    make: Make,
    number: int,
) -> None:
    word = "Qwzx" + str(number).translate(str.maketrans("0123456789", "abcdefghij"))
    twin = await make("aircraft")
    aircraft = await make("aircraft", name=word, first_flight="1911-02-03", slug=f"{twin['slug']}-b")
    await patch(administrator, f"{API}/aircraft/{twin['id']}", {"slug": f"{aircraft['slug']}-twin"})
    country, tag = await make("countries"), await make("tags")
    library = Library(anonymous, reader, word, aircraft["slug"], await last(anonymous))
    path, article = f"{API}/aircraft/{aircraft['id']}", await make("articles", title=f"{word} article", tags=[tag["slug"]])
    text = f"{API}/articles/{article['id']}"
    search, suggest = library.paths[:2]

    assert {search, "/feeds/changes.atom"} <= await library.changed_by(lambda: patch(administrator, path, {"name": f"{word} b"}))
    changed = await library.changed_by(lambda: patch(administrator, path, {"countries": [country["slug"]], "first_flight": "1911-02-04"}))
    assert {search, f"{API}/statistics", f"{API}/on-this-day?date=02-03", f"{API}/aircraft/{aircraft['slug']}/lineage"} <= changed
    renamed = {"name": f"Country {number}"}
    assert f"{API}/statistics" in await library.changed_by(lambda: patch(administrator, f"{API}/countries/{country['id']}", renamed))
    edge = [{"aircraft": twin["id"], "type": "variant_of"}]
    changed = await library.changed_by(lambda: patch(administrator, path, {"lineage": edge}))
    assert {f"{API}/aircraft/{aircraft['slug']}/{page}" for page in ("lineage", "family")} <= changed
    changed = await library.changed_by(lambda: step(administrator, text, "publish"))
    assert {search, suggest, f"{API}/statistics", f"{API}/pages/home", "/feeds/articles.atom", "/sitemaps/tags-1.xml"} <= changed
    assert {library.changes, f"{API}/tags?sort=-created_at"} <= changed
    # A change that waits is nobody's business.
    assert await library.changed_by(lambda: patch(administrator, text, {"title": f"{word} waits"})) == set()
    assert search in await library.changed_by(lambda: step(administrator, text, "approve"))
    changed = await library.changed_by(lambda: step(administrator, text, "archive"))
    assert {search, "/feeds/articles.atom", "/feeds/changes.atom", "/sitemaps/tags-1.xml"} <= changed
    assert search in await library.changed_by(lambda: step(administrator, path, "revert", {"revision": 1}))
    await application.create_user(f"author-{number}@example.org", Role.EDITOR)  # an account that nobody sees ends nothing
    for page in library.paths:
        assert status_of(await anonymous.get(page)).startswith("hit"), page


async def test_the_name_of_an_author_is_fresh(
    application: Application, anonymous: httpx.AsyncClient, administrator: httpx.AsyncClient, number: int
) -> None:
    token = await application.create_user(f"named-{number}@example.org", Role.EDITOR)
    async with application.client(token) as author:
        article = body(await author.post(f"{API}/articles", json={"title": f"Signed {number}", "category": "event"}), 201)
        path = f"{API}/articles/{article['id']}"
        body(await step(administrator, path, "publish"))
        pages = [path, f"{API}/articles?size=100&sort=-created_at", "/feeds/articles.atom", f"{API}/pages/home"]
        for name in (f"First {number}", f"Second {number}"):
            for page in pages:
                await anonymous.get(page)
                assert status_of(await anonymous.get(page)).startswith("hit"), page
            body(await author.patch(f"{API}/users/me", json={"display_name": name}))
            for page in pages:
                assert name in (await anonymous.get(page)).text, page
        answer = await author.request("DELETE", f"{API}/users/me", json={"current_password": PASSWORD})
        assert answer.status_code == 204, answer.text
    for page in pages:
        assert f"Second {number}" not in (await anonymous.get(page)).text, page


async def test_linked_data_and_json_are_kept_apart(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    aircraft = await make("aircraft")
    path = f"{API}/aircraft/{aircraft['id']}"
    for _ in range(2):
        assert body(await anonymous.get(path))["name"] == aircraft["name"]
        linked = await anonymous.get(path, headers=LD)
        assert (linked.headers["content-type"], body(linked)["@type"]) == ("application/ld+json", "Vehicle")
    assert status_of(linked).startswith("hit")
    await patch(editor, path, {"name": "Another name"})
    assert body(await anonymous.get(path, headers=LD))["name"] == body(await anonymous.get(path))["name"] == "Another name"


async def test_the_past_and_what_a_token_reads_are_never_kept(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    tag = await make("tags")
    path = f"{API}/tags/{tag['id']}"
    for page in (f"{path}?as_of=2999-01-01T00:00:00Z", f"{path}/revisions", f"{path}/revisions/1", f"{path}/revisions/1/diff/1"):
        for _ in range(3):
            answer = await anonymous.get(page)
            assert (answer.status_code, status_of(answer)) == (200, "fwd=uri-miss"), page
    for _ in range(2):
        assert status_of(await editor.get(path)) == "fwd=bypass"
        assert (await editor.get(path)).headers["cache-control"] == "private, no-store"


async def test_pages_of_the_day_end_with_it(anonymous: httpx.AsyncClient, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    aircraft = await make("aircraft", first_flight="1912-03-04")
    pages = [f"{API}/pages/home", f"{API}/on-this-day"]
    today = Day.today()
    assert 0 < today.ends_at - time.time() <= 86_400
    assert today.date == datetime.fromtimestamp(today.ends_at - 1, UTC).date().isoformat()
    # The day is over as soon as it is asked for: its pages are made anew each time.
    monkeypatch.setattr(Day, "today", lambda: Day("2026-03-04", time.time() - 1))
    await make("facts")  # ends what is kept
    await make("aircraft")
    for _ in range(2):
        home, on_this_day = [await anonymous.get(page) for page in pages]
        assert {status_of(answer).partition(";")[0] for answer in (home, on_this_day)} <= {"fwd=uri-miss", "fwd=stale"}
        assert home.json()["date"] == "2026-03-04"
        assert aircraft["slug"] in on_this_day.text
    monkeypatch.setattr(Day, "today", lambda: Day("2026-03-05", time.time() + 3600))
    for _ in range(2):
        home, on_this_day = [await anonymous.get(page) for page in pages]
    assert [status_of(answer).partition(";")[0] for answer in (home, on_this_day)] == ["hit", "hit"]
    assert aircraft["slug"] not in on_this_day.text


@pytest.fixture
async def due(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make, number: int) -> str:
    """Return the path of an article whose time has come, while the cache still says that there is none."""
    article = await make("articles", title=f"Comes {number}")
    path = f"{API}/articles/{article['id']}"
    body(await step(editor, path, "submit"))
    soon = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    body(await step(administrator, path, "schedule", {"publish_at": soon}))
    for _ in range(2):
        missing = await anonymous.get(path)
    assert (missing.status_code, status_of(missing)) == (404, "hit; detail=memory")
    return path


async def test_the_first_read_after_a_workers_commit_is_fresh(
    application: Application, anonymous: httpx.AsyncClient, due: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def relay_nothing(*_: object) -> int:
        return 0

    monkeypatch.setattr(CachePublisher, "relay", relay_nothing)  # nobody does it for the worker
    identifier = await leave(application, "publish_now")
    async with working(a_job("publish_now", publish_due_articles)):
        await until_done(db, identifier)
        assert (await anonymous.get(due)).status_code == 200


async def test_what_is_published_without_redis_comes_by_itself(application: Application, anonymous: httpx.AsyncClient, due: str) -> None:
    """Who cannot reach the cache leaves its tags in the outbox, and whoever serves finds them there."""
    assert await publish_due(async_sessionmaker(application.fastapi.state.engine, expire_on_commit=False)) >= 1

    await eventually(lambda: anonymous.get(due), lambda answer: answer.status_code == 200)
