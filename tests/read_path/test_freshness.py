"""No cached page is ever older than the last acknowledged write: what is cached is compared with what the database says.

A reader with a token passes the cache by and sees what the public sees: the oracle of every test here.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.registry import FACTORIES
from tests.support.application import body, running_application
from tests.support.entities import KINDS, RELATIONS, Relation

if TYPE_CHECKING:
    import httpx

    from tests.conftest import Make

API = "/api/v1"


async def change(client: httpx.AsyncClient, path: str, patch: dict[str, Any]) -> dict[str, Any]:
    """Patch an entity as it is now; a published article with what then waits."""
    headers = {"If-Match": (await client.get(path)).headers["etag"]}
    changed: dict[str, Any] = body(await client.patch(path, json=patch, headers=headers))
    if changed.get("status") == "published" and changed["review"] is not None:
        await publish(client, path)
    return changed


async def remove(client: httpx.AsyncClient, path: str) -> None:
    """Delete an entity as it is now."""
    answer = await client.delete(path, headers={"If-Match": (await client.get(path)).headers["etag"]})
    assert answer.status_code == 204, answer.text


async def publish(client: httpx.AsyncClient, path: str) -> None:
    """Publish an article as it is now."""
    body(await client.post(f"{path}/publish", headers={"If-Match": (await client.get(path)).headers["etag"]}))


def status_of(answer: httpx.Response) -> str:
    """Return what the cache says that it did."""
    return answer.headers["cache-status"].removeprefix("frankenjet; ")


class Pages:
    """Some pages, kept warm, and compared with what a reader gets whom nothing is kept for."""

    def __init__(self, anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, paths: list[str]) -> None:
        """Name the pages."""
        self.anonymous, self.reader, self.paths = anonymous, reader, paths

    async def warm(self) -> None:
        """Make each of them a hit."""
        for path in self.paths:
            answer = await self.anonymous.get(path)
            if not status_of(answer).startswith("hit"):
                answer = await self.anonymous.get(path)
            assert status_of(answer).startswith("hit"), (path, answer.status_code, answer.text)

    async def assert_fresh(self) -> None:
        """Compare each of them."""
        for path in self.paths:
            shown, true = await self.anonymous.get(path), await self.reader.get(path)
            assert status_of(true) == "fwd=bypass"
            assert shown.status_code == true.status_code, path
            if true.status_code == 200:
                assert shown.json() == true.json(), path
                assert shown.headers["etag"].replace(".gz", "") == true.headers["etag"], path
            assert shown.headers.get("location") == true.headers.get("location"), path


def pages_about(*entities: tuple[str, dict[str, Any]]) -> list[str]:
    """Return the pages on which these entities may be seen."""
    details = [f"{API}/{kind}/{entity[key]}" for kind, entity in entities for key in ("id", "slug")]
    kinds = sorted({kind for kind, _ in entities})
    lists = [f"{API}/{kind}?size={size}&ids={ids_of(kind, entities)}" for kind in kinds for size in (1, 100)]
    return details + lists + [f"{API}/{kind}?size=2&page={page}" for kind in kinds for page in (1, 2)]


def ids_of(kind: str, entities: tuple[tuple[str, dict[str, Any]], ...]) -> str:
    """Return the ids of the entities of a kind."""
    return ",".join(entity["id"] for known, entity in entities if known == kind)


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
async def test_both_ends_of_a_relation_are_fresh_after_each_step(
    relation: Relation,
    anonymous: httpx.AsyncClient,
    reader: httpx.AsyncClient,
    administrator: httpx.AsyncClient,
    make: Make,
    number: int,
) -> None:
    target, other, owner = await make(relation.target), await make(relation.target), await make(relation.owner)
    pages = Pages(anonymous, reader, pages_about((relation.target, target), (relation.target, other), (relation.owner, owner)))
    paths = {"owner": f"{API}/{relation.owner}/{owner['id']}", "target": f"{API}/{relation.target}/{target['id']}"}
    if relation.owner == "articles":
        await publish(administrator, paths["owner"])
    if relation.target == "articles":
        await publish(administrator, paths["target"])
    labels = {kind: {"articles": "title", "tag-categories": "title", "facts": "text"}.get(kind, "name") for kind in (*KINDS, "images")}
    one, two = ([entity["slug"]] for entity in (target, other))
    steps: list[tuple[str, dict[str, Any]]] = [
        ("owner", {relation.field: await relation.value(one, number + 2000, make)}),
        ("target", {labels[relation.target]: f"Renamed {number}"}),
        ("owner", {labels[relation.owner]: f"Renamed owner {number}"}),
        ("target", {"slug": f"another-slug-{number}"}),
        ("owner", {relation.field: await relation.value(two, number + 2000, make)}),
        ("owner", {relation.field: [] if relation.is_list else None}),
    ]
    for end, patch in steps:
        await pages.warm()
        await change(administrator, paths[end], patch)
        await pages.assert_fresh()
    await pages.warm()
    await remove(administrator, paths["owner"])
    await pages.assert_fresh()
    await remove(administrator, paths["target"])
    await pages.assert_fresh()


async def test_an_article_comes_to_every_page_that_it_is_about_when_it_is_published(
    anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make, number: int
) -> None:
    article = await make("articles", **await FACTORIES["articles"].full(number, make))
    translation = await make("articles", translation_of=article["slug"])
    await publish(administrator, f"{API}/articles/{translation['id']}")
    about = [
        (kind.replace("_", "-"), item)
        for kind in ("tags", "aircraft", "designers", "design_bureaus", "manufacturers")
        for item in article[kind]
    ]
    assert len(about) == 5
    unrelated = await make("aircraft")
    pages = Pages(anonymous, reader, pages_about(("articles", article), ("articles", translation), *about))
    aside = Pages(anonymous, reader, [f"{API}/aircraft/{unrelated['slug']}"])
    await pages.warm()
    await aside.warm()
    await publish(administrator, f"{API}/articles/{article['id']}")
    await pages.assert_fresh()
    for kind, item in about:
        assert article["slug"] in (await anonymous.get(f"{API}/{kind}/{item['slug']}")).text
    assert article["slug"] in (await anonymous.get(f"{API}/articles/{translation['slug']}")).text
    assert status_of(await anonymous.get(aside.paths[0])) == "hit; detail=memory"


async def test_a_write_ends_only_what_shows_it(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    country, engine = await make("countries"), await make("engines")
    mine, other = [await make("aircraft", countries=[country["slug"]]) for _ in range(2)]
    for path in (f"/aircraft/{mine['slug']}", f"/aircraft/{other['slug']}", f"/countries/{country['slug']}", f"/engines/{engine['slug']}"):
        await anonymous.get(API + path)
        assert status_of(await anonymous.get(API + path)) == "hit; detail=memory"
    await change(editor, f"{API}/aircraft/{mine['slug']}", {"engines": [{"engine": engine["slug"]}]})
    assert status_of(await anonymous.get(f"{API}/aircraft/{mine['slug']}")) == "fwd=stale; stored"
    assert status_of(await anonymous.get(f"{API}/engines/{engine['slug']}")) == "fwd=stale; stored"
    assert status_of(await anonymous.get(f"{API}/aircraft/{other['slug']}")) == "hit; detail=memory"
    assert status_of(await anonymous.get(f"{API}/countries/{country['slug']}")) == "hit; detail=memory"
    # A write that changes nothing ends nothing.
    await change(editor, f"{API}/aircraft/{mine['slug']}", {"engines": [{"engine": engine["slug"]}]})
    assert status_of(await anonymous.get(f"{API}/aircraft/{mine['slug']}")) == "hit; detail=memory"


async def test_a_page_that_shows_many_of_a_kind_is_ended_by_each_of_them(
    anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    designer = await make("designers")
    aircraft = [await make("aircraft", name=f"{index:02} of {number}", designers=[{"designer": designer["slug"]}]) for index in range(22)]
    pages = Pages(anonymous, reader, [f"{API}/designers/{designer['slug']}"])
    for index, name in ((21, "00 comes into the list"), (3, "zz goes out of it"), (20, "99 stays outside")):
        await pages.warm()
        await change(editor, f"{API}/aircraft/{aircraft[index]['id']}", {"name": name})
        await pages.assert_fresh()


async def test_a_404_and_a_308_end_when_something_comes_there(
    anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    tag = await make("tags")
    path = f"{API}/tags/{{}}".format
    pages = Pages(anonymous, reader, [path(f"new-{number}"), path(tag["slug"]), f"{API}/facts?aircraft=not-yet-{number}"])
    await pages.warm()
    await change(editor, path(tag["id"]), {"slug": f"new-{number}"})
    await pages.assert_fresh()
    moved = await anonymous.get(path(tag["slug"]))
    assert (moved.status_code, moved.headers["location"]) == (308, path(f"new-{number}"))
    aircraft = await make("aircraft", slug=f"not-yet-{number}")
    await make("facts", aircraft=aircraft["slug"])
    await pages.assert_fresh()
    assert body(await anonymous.get(pages.paths[2]))["total"] == 1
    await pages.warm()
    await change(editor, path(tag["id"]), {"slug": f"newer-{number}"})
    await pages.assert_fresh()
    await remove(editor, path(tag["id"]))
    await pages.assert_fresh()
    await make("tags", slug=f"new-{number}")
    await pages.assert_fresh()
    assert (await anonymous.get(path(f"new-{number}"))).status_code == 200


async def test_two_processes_agree(anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    """Another application on the same database and Redis: its memory ends with ours, and it finds what we have stored."""
    aircraft = await make("aircraft", manufacturers=[{"manufacturer": (await make("manufacturers"))["slug"]}])
    path = f"{API}/aircraft/{aircraft['slug']}"
    async with running_application() as second, second.client() as there:
        await anonymous.get(path)
        first = await there.get(path)
        assert status_of(first) == "hit; detail=redis"
        assert status_of(await there.get(path)) == "hit; detail=memory"
        assert first.content == (await anonymous.get(path)).content
        await change(editor, f"{API}/manufacturers/{aircraft['manufacturers'][0]['manufacturer']['id']}", {"name": "Renamed"})
        stale = await there.get(path)
        assert status_of(stale) == "fwd=stale; stored"
        assert stale.json() == (await reader.get(path)).json()
        assert stale.headers["etag"] != first.headers["etag"]
        # What the other has stored meanwhile is as good as our own query.
        assert status_of(await anonymous.get(path)) == "hit; detail=redis"


async def test_random_writes_and_reads(
    anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make, number: int
) -> None:
    """A walk through writes of every kind that has relations, on a small world that two applications keep warm."""
    chance = random.Random(20_261_121)  # noqa: S311 - chooses, keeps no secret
    country, category = await make("countries"), await make("tag-categories")
    designer, bureau, tag = await make("designers"), await make("design-bureaus"), await make("tags", category=category["slug"])
    planes = [await make("aircraft") for _ in range(3)]
    article = await make("articles")
    await publish(administrator, f"{API}/articles/{article['id']}")
    world = [("countries", country), ("tag-categories", category), ("designers", designer), ("design-bureaus", bureau), ("tags", tag)]
    world += [("aircraft", plane) for plane in planes] + [("articles", article)]
    pages = pages_about(*world)

    def write() -> tuple[str, dict[str, Any]]:
        plane = chance.choice(planes)["id"]
        label = f"Name {number} {chance.randrange(10**9)}"
        chosen = chance.sample(planes, chance.randrange(3))
        writes: list[tuple[str, dict[str, Any]]] = [
            (f"aircraft/{plane}", {"name": label}),
            (f"aircraft/{plane}", {"designers": [{"designer": designer["id"], "role": label}]}),
            (f"aircraft/{plane}", {"designers": [], "design_bureau": chance.choice([None, bureau["id"]])}),
            (f"aircraft/{plane}", {"countries": chance.choice([[], [country["id"]]])}),
            (f"designers/{designer['id']}", {"name": label, "country": chance.choice([None, country["id"]])}),
            (f"design-bureaus/{bureau['id']}", {"name": label}),
            (f"countries/{country['id']}", {"name": label}),
            (f"tag-categories/{category['id']}", {"title": label}),
            (f"articles/{article['id']}", {"title": label, "aircraft": [item["id"] for item in chosen], "tags": [tag["id"]]}),
            (f"articles/{article['id']}", {"tags": [], "designers": [designer["id"]]}),
        ]
        return chance.choice(writes)

    async with running_application() as second, second.client() as there:
        for _ in range(60):
            path, patch = write()
            await change(administrator, f"{API}/{path}", patch)
            for page in chance.sample(pages, 6):
                client = chance.choice([anonymous, there])
                shown, true = await client.get(page), await reader.get(page)
                assert (shown.status_code, shown.content) == (true.status_code, true.content), (path, patch, page)
