"""Nothing that is not public is found at any address that the public may ask."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.crud.history.models import Revision
from fastapi_application.crud.history.reading import HistoryReader
from fastapi_application.encyclopedia.articles.models import Article
from fastapi_application.encyclopedia.images.models import Image
from fastapi_application.encyclopedia.tags.models import Tag
from tests.history.steps import patch, step
from tests.history.test_changes import last
from tests.support.application import body
from tests.support.operations import Operation, operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.conftest import Make

ARTICLES = "/api/v1/articles"
IMAGES = "/api/v1/images"
READS = [operation for operation in operations() if operation.method == "GET"]
OUTSIDE = ("/sitemap.xml", "/sitemaps/articles-1.xml", "/sitemaps/tags-1.xml", "/feeds/articles.atom", "/feeds/changes.atom")


@dataclass
class Secrets:
    """What the public must not learn: every name and text has the marker in it."""

    marker: str
    hidden: list[dict[str, Any]]
    """A draft, an article in review, one that was public and is archived."""
    shown: list[dict[str, Any]]
    """What is public and has to do with them."""
    tag: dict[str, Any]
    image: dict[str, Any]
    """A picture that only a draft shows."""
    since: int
    """The number of the last change before them."""

    @property
    def moments(self) -> list[str]:
        """Times at which the secrets were there already."""
        return [item["updated_at"] for item in self.shown] + ["2999-01-01T00:00:00Z"]


def text(marker: str, links: dict[str, Any]) -> dict[str, Any]:
    """Return an article with the marker in every text."""
    source = {"title": marker, "url": f"https://{marker}.example"}
    words = dict.fromkeys(("title", "summary", "content", "meta_title", "meta_description"), f"{marker} {marker}")
    return {**words, "keywords": [marker], "sources": [source], **links}


async def hide(
    marker: str, anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make
) -> Secrets:
    """Write all that must be hidden."""
    start = await last(anonymous)
    aircraft, public_tag = await make("aircraft"), await make("tags")
    tag = await make("tags", name=marker)
    links = {"aircraft": [aircraft["slug"]], "tags": [public_tag["slug"]]}
    published = await make("articles", **links)
    path = f"{ARTICLES}/{published['id']}"
    body(await step(administrator, path, "publish"))
    image = await make("images", **dict.fromkeys(("name", "alt", "caption", "author"), marker))
    drawn = {"tags": [tag["slug"]], "images": [{"image": image["slug"], "caption": marker}]}
    draft = await make("articles", **text(marker, {**links, **drawn}), translation_of=published["slug"])
    in_review = await make("articles", **text(marker, links))
    body(await step(editor, f"{ARTICLES}/{in_review['id']}", "submit", comment=marker))
    archived = await make("articles", **text(marker, links))
    for name in ("publish", "archive"):
        body(await step(administrator, f"{ARTICLES}/{archived['id']}", name))
        await anonymous.get(f"{ARTICLES}/{archived['id']}")
    # Published, but with an original that is not.
    translation = await make("articles", translation_of=draft["slug"], **links)
    body(await step(administrator, f"{ARTICLES}/{translation['id']}", "publish"))
    await patch(editor, path, {**text(marker, {}), "tags": [tag["slug"]], "slug": f"{marker}-slug"}, marker)
    body(await step(administrator, path, "reject", {"reason": marker}))
    await patch(editor, path, {"content": f"Again {marker}."}, marker)
    return Secrets(marker, [draft, in_review, archived], [published, translation, aircraft, public_tag], tag, image, start)


def queries(operation: Operation, secrets: Secrets) -> Iterator[dict[str, Any]]:
    """Ask in all the ways in which a curious reader would."""
    known = operation.query
    yield {}
    hidden, ids = secrets.hidden[0], ",".join(item["id"] for item in [*secrets.hidden, *secrets.shown, secrets.tag, secrets.image])
    tries: dict[str, list[Any]] = {
        "since": [secrets.since],
        "as_of": secrets.moments,
        "ids": [ids],
        "sort": ["-created_at"],
        "cursor": [""],
        "q": [secrets.marker],
        "tag": [secrets.tag["id"]],
        "image": [secrets.image["id"]],
        "title": [hidden["title"]],
        "translation_of": [hidden["id"]],
    }
    for name, values in tries.items():
        if name in known:
            yield from ({name: value, **({"size": 100} if "size" in known else {})} for value in values)


def paths(operation: Operation, secrets: Secrets) -> Iterator[str]:
    """Ask for everything, by id and by slug; for revisions by each number."""
    known = [*secrets.hidden, *secrets.shown, *([secrets.image] if operation.template.startswith(IMAGES) else [])]
    refs = [item[key] for item in known for key in ("id", "slug")] if operation.has_ref else [""]
    of_articles = operation.template.startswith(ARTICLES)
    numbers = range(1, 5) if "{number}" in operation.template or "{old}" in operation.template else [1]
    for ref, old, new in product(refs if of_articles else refs[-4:], numbers, numbers if "{new}" in operation.template else [1]):
        path = operation.template.replace("{ref}", ref).replace("{number}", str(old)).replace("{old}", str(old))
        yield path.replace("{new}", str(new))


def asked(secrets: Secrets) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every question of a curious reader."""
    for operation in READS:
        yield from product(paths(operation, secrets), queries(operation, secrets))
    yield from ((path, {}) for path in OUTSIDE)


async def leaks(client: httpx.AsyncClient, secrets: Secrets, *, only_first: bool = False) -> list[str]:
    """Return where the marker is found."""
    found = []
    for path, query in asked(secrets):
        answer = await client.get(path, params=query)
        assert answer.status_code < 500, (path, query)
        # A failure names the path of the request, a list and a search the request's own query: none of them tells anything.
        told = answer.text.replace(path, "").replace(f'"query":"{secrets.marker}"', "")
        told += "".join(value for name, value in answer.headers.items() if name != "link")
        if secrets.marker in told.lower():
            found.append(f"{path}?{query}")
            if only_first:
                break
    return found


async def test_nothing_hidden_is_found_anywhere(
    anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make, number: int
) -> None:
    secrets = await hide(f"qzvx{number}k", anonymous, editor, administrator, make)
    assert await leaks(anonymous, secrets) == []
    # Shown, seen by everybody, and hidden again: what was kept of it must be gone.
    path = f"{ARTICLES}/{secrets.hidden[0]['id']}"
    body(await step(administrator, path, "publish"))
    assert len(await leaks(anonymous, secrets)) > 10
    body(await step(administrator, path, "unpublish"))
    assert await leaks(anonymous, secrets) == []


async def test_a_page_of_a_hidden_tag_tells_of_no_article(
    anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make, number: int
) -> None:
    """Whoever knows the address of a tag may read it; who does not is never led there."""
    secrets = await hide(f"qzvy{number}k", anonymous, editor, administrator, make)
    shown = body(await anonymous.get(f"/api/v1/tags/{secrets.tag['id']}"))
    assert (shown["articles"], shown["articles_count"]) == ([], 0)
    assert body(await editor.get("/api/v1/tags", params={"ids": secrets.tag["id"]}))["total"] == 1


def forget_statements() -> None:
    """Empty the caches of statements: they were built with the filters as they are."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("fastapi_application.crud", "fastapi_application.encyclopedia")):
            for value in list(vars(module).values()):
                clear = getattr(value, "cache_clear", None)
                if clear is not None:
                    clear()


def _shows(status: str) -> Any:
    return classmethod(
        lambda _cls, entity: entity.status.in_(("published", status)) if not isinstance(entity, Article) else entity.status == "published"
    )


MUTATIONS: dict[str, tuple[Any, str, Any]] = {
    "drafts": (Article, "is_public", _shows("draft")),
    "articles in review": (Article, "is_public", _shows("in_review")),
    "archived articles": (Article, "is_public", _shows("archived")),
    "images of drafts": (Image, "is_public", classmethod(lambda _cls, image: image.licence.is_not(None))),
    "tags of drafts": (Tag, "is_public", classmethod(lambda _cls, _entity: None)),
    "changes that wait": (HistoryReader, "_visible", lambda _self, entity_id, _viewer: [Revision.entity_id == entity_id]),
}


@pytest.mark.parametrize("filtered", MUTATIONS)
async def test_the_walk_finds_what_a_missing_filter_lets_through(
    filtered: str,
    anonymous: httpx.AsyncClient,
    editor: httpx.AsyncClient,
    administrator: httpx.AsyncClient,
    make: Make,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forget_statements()
    try:
        with monkeypatch.context() as without:
            without.setattr(*MUTATIONS[filtered])
            secrets = await hide(f"qzvz{number}k", anonymous, editor, administrator, make)
            assert await leaks(anonymous, secrets, only_first=True)
    finally:
        forget_statements()
