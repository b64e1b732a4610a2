"""Slugs: where they come from, what happens to old ones, and whose they are."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.crud.service import EntityService
from tests.contract.kinds import WRITABLE, if_match, rename, service_of
from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    import httpx

    from tests.conftest import Make

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
NAMED = [kind for kind in WRITABLE if service_of(kind).automatic_slug is EntityService.automatic_slug]
"""The kinds whose slugs come from names."""


def label(kind: str) -> str:
    """Return the field that names an entity of a kind."""
    name: str = service_of(kind).model.__label__
    return name


def named(kind: str, name: str) -> dict[str, Any]:
    """Return the least document of a kind, with this name."""
    return {**FACTORIES[kind].minimal(0), label(kind): name}


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Messerschmitt Me 262", "messerschmitt-me-262"),
        ("Éole", "eole"),
        ("Ørsted Å", "orsted-a"),
        ("Große Fläche", "grosse-flache"),
        ("Ил-2 «Штурмовик»", "il-2-shturmovik"),
        ("Ελλάς", "ellas"),
        ("零式艦上戦闘機", "ling-shi-jian-shang-zhan-dou-ji"),
        ("B-17/G & co.", "b-17-g-co"),
    ],
)
async def test_automatic_slug_is_the_name_in_latin(name: str, slug: str, make: Make, number: int) -> None:
    created = await make("aircraft", name=f"{name} {number}")
    assert created["slug"] == f"{slug}-{number}"


@pytest.mark.parametrize("name", ["ميغ", "한국", "עברית", "ไทย", "भारत", "Հայ", "ქართ", "አማ", "𝔉lug", "  x  ", "名" * 200, "w" * 200])
@pytest.mark.parametrize("kind", ["aircraft", "articles"])
async def test_automatic_slug_is_valid_for_names_of_every_script(kind: str, name: str, editor: httpx.AsyncClient) -> None:
    created = body(await editor.post(f"/api/v1/{kind}", json=named(kind, name)), 201)
    assert SLUG.fullmatch(created["slug"])
    assert len(created["slug"]) <= 120
    assert body(await editor.get(f"/api/v1/{kind}/{created['slug']}")) == created


@pytest.mark.parametrize("kind", NAMED)
async def test_name_without_letters_takes_the_kind_for_a_slug(kind: str, editor: httpx.AsyncClient) -> None:
    for _ in range(2):
        created = body(await editor.post(f"/api/v1/{kind}", json=named(kind, "✈ ✈")), 201)
        assert re.fullmatch(rf"{kind}(-[0-9]+)?", created["slug"])


@pytest.mark.parametrize("kind", NAMED)
async def test_name_that_is_a_uuid_still_makes_a_slug_that_answers(kind: str, editor: httpx.AsyncClient) -> None:
    answer = await editor.post(f"/api/v1/{kind}", json=named(kind, str(uuid.uuid4())))
    created = body(answer, 201)
    assert body(await editor.get(answer.headers["location"])) == created


@pytest.mark.parametrize("kind", NAMED)
async def test_the_same_name_gets_the_next_number(kind: str, editor: httpx.AsyncClient, number: int) -> None:
    document = named(kind, f"Twin of {kind} {number}")
    slugs = [body(await editor.post(f"/api/v1/{kind}", json=document), 201)["slug"] for _ in range(3)]
    base = f"twin-of-{kind}-{number}"
    assert slugs == [base, f"{base}-2", f"{base}-3"]


async def test_the_same_long_name_gets_the_next_number_within_the_limit(editor: httpx.AsyncClient, number: int) -> None:
    document = named("aircraft", f"{number}" + "y" * 180)
    slugs = [body(await editor.post("/api/v1/aircraft", json=document), 201)["slug"] for _ in range(2)]
    assert slugs[1] == f"{slugs[0]}-2"
    assert max(map(len, slugs)) <= 120


@pytest.mark.parametrize("kind", NAMED)
async def test_posts_that_arrive_at_once_get_different_slugs(kind: str, editor: httpx.AsyncClient, number: int) -> None:
    document = named(kind, f"Crowd of {kind} {number}")
    answers = await asyncio.gather(*(editor.post(f"/api/v1/{kind}", json=document) for _ in range(5)))
    base = f"crowd-of-{kind}-{number}"
    assert {body(answer, 201)["slug"] for answer in answers} == {base, *(f"{base}-{count}" for count in range(2, 6))}


@pytest.mark.parametrize("kind", WRITABLE)
async def test_one_of_several_posts_of_an_explicit_slug_wins(kind: str, editor: httpx.AsyncClient, number: int) -> None:
    documents = [{**FACTORIES[kind].minimal(112_000 + number // 29 % 700 * 4 + index), "slug": f"race-{number}"} for index in range(4)]
    answers = await asyncio.gather(*(editor.post(f"/api/v1/{kind}", json=document) for document in documents))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


@pytest.mark.parametrize("kind", WRITABLE)
async def test_explicit_slug_that_is_taken_is_refused(kind: str, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    slug = f"mine-{number}"
    await make(kind, slug=slug)
    other = await make(kind)
    document = {**FACTORIES[kind].minimal(number + 7000), "slug": slug}
    for answer in (await editor.post(f"/api/v1/{kind}", json=document), await rename(editor, kind, other, slug)):
        problem = assert_problem(answer, 409, "slug_taken")
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/body/slug", "slug_taken")]


async def test_kinds_do_not_share_slugs(make: Make, number: int) -> None:
    slug = f"shared-{number}"
    assert {(await make(kind, slug=slug))["slug"] for kind in WRITABLE} == {slug}


@pytest.mark.parametrize("kind", WRITABLE)
async def test_old_slug_answers_308_to_every_method(kind: str, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    old, new = f"before-{number}", f"after-{number}"
    entity = await make(kind, slug=old)
    assert body(await rename(editor, kind, entity, new))["slug"] == new
    path, target = f"/api/v1/{kind}/{old}", f"/api/v1/{kind}/{new}"
    etag = await if_match(editor, target)
    document = FACTORIES[kind].minimal(number + 7000)
    for method, sent in (("GET", None), ("HEAD", None), ("PUT", document), ("PATCH", {}), ("DELETE", None)):
        query = "" if method in ("GET", "HEAD") else "?comment=why%20not%3F"
        answer = await editor.request(method, path + query, json=sent, headers=etag)
        assert (method, answer.status_code, answer.headers.get("location")) == (method, 308, target + query)
    assert body(await editor.get(target))["version"] == 2, "a redirected write must change nothing"


@pytest.mark.parametrize("kind", WRITABLE)
async def test_a_client_that_follows_308_writes_and_reads(kind: str, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    entity = await make(kind, slug=f"followed-{number}")
    await rename(editor, kind, entity, f"follow-{number}")
    path = f"/api/v1/{kind}/followed-{number}"
    assert body(await editor.get(path, follow_redirects=True))["id"] == entity["id"]
    etag = await if_match(editor, f"/api/v1/{kind}/{entity['id']}")
    changes = FACTORIES[kind].changes(number)
    patched = await editor.patch(f"{path}?comment=a%20b", json=changes, headers=etag, follow_redirects=True)
    assert body(patched)["version"] == 3
    gone = await editor.delete(path, headers={"If-Match": patched.headers["etag"]}, follow_redirects=True)
    assert gone.status_code == 204


async def test_old_slug_of_an_article_answers_308_to_publish(make: Make, administrator: httpx.AsyncClient, number: int) -> None:
    article = await make("articles", slug=f"to-publish-{number}")
    await rename(administrator, "articles", article, f"published-{number}")
    etag = await if_match(administrator, f"/api/v1/articles/{article['id']}")
    answer = await administrator.post(f"/api/v1/articles/to-publish-{number}/publish?comment=now", headers=etag)
    assert answer.status_code == 308
    assert answer.headers["location"] == f"/api/v1/articles/published-{number}/publish?comment=now"


async def test_errors_of_the_request_come_before_the_redirect(
    make: Make, editor: httpx.AsyncClient, anonymous: httpx.AsyncClient, number: int
) -> None:
    entity = await make("tags", slug=f"strict-{number}")
    await rename(editor, "tags", entity, f"stricter-{number}")
    path = f"/api/v1/tags/strict-{number}"
    assert_problem(await anonymous.delete(path), 401, "not_authenticated")
    assert_problem(await editor.delete(path), 428, "precondition_required")
    assert_problem(await editor.get(path, params={"no": "such"}), 422, "validation_error")
    assert_problem(await editor.patch(path, json={"name": 1}, headers={"If-Match": '"x.1"'}), 422, "validation_error")


@pytest.mark.parametrize("kind", WRITABLE)
async def test_after_two_renames_both_old_slugs_lead_straight_to_the_current_one(
    kind: str, make: Make, editor: httpx.AsyncClient, number: int
) -> None:
    first, second, third = (f"{word}-{number}" for word in ("first", "second", "third"))
    entity = await make(kind, slug=first)
    for slug in (second, third):
        body(await rename(editor, kind, entity, slug))
    for slug in (first, second):
        assert (await editor.get(f"/api/v1/{kind}/{slug}")).headers["location"] == f"/api/v1/{kind}/{third}"
    assert body(await rename(editor, kind, entity, first))["slug"] == first
    for slug in (second, third):
        assert (await editor.get(f"/api/v1/{kind}/{slug}")).headers["location"] == f"/api/v1/{kind}/{first}"
    assert body(await editor.get(f"/api/v1/{kind}/{first}"))["id"] == entity["id"]


@pytest.mark.parametrize("kind", WRITABLE)
async def test_old_slug_is_its_entitys_until_that_is_deleted(kind: str, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    old, new = f"kept-{number}", f"moved-{number}"
    entity, other = await make(kind, slug=old), await make(kind)
    await rename(editor, kind, entity, new)
    document = {**FACTORIES[kind].minimal(number + 7000), "slug": old}
    assert_problem(await editor.post(f"/api/v1/{kind}", json=document), 409, "slug_taken")
    assert_problem(await rename(editor, kind, other, old), 409, "slug_taken")
    path = f"/api/v1/{kind}/{new}"
    assert (await editor.delete(path, headers=await if_match(editor, path))).status_code == 204
    for slug in (old, new):
        assert_problem(await editor.get(f"/api/v1/{kind}/{slug}"), 404, "not_found")
    assert body(await editor.post(f"/api/v1/{kind}", json=document), 201)["slug"] == old
    assert body(await rename(editor, kind, other, new))["slug"] == new


@pytest.mark.parametrize("kind", NAMED)
async def test_automatic_slug_avoids_an_old_one(kind: str, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    document = named(kind, f"Old name {number}")
    entity = body(await editor.post(f"/api/v1/{kind}", json=document), 201)
    await rename(editor, kind, entity, f"new-name-{number}")
    assert body(await editor.post(f"/api/v1/{kind}", json=document), 201)["slug"] == f"old-name-{number}-2"


@pytest.mark.parametrize("kind", NAMED)
async def test_a_new_name_keeps_the_slug(kind: str, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    entity = await make(kind)
    path = f"/api/v1/{kind}/{entity['id']}"
    patched = body(await editor.patch(path, json={label(kind): f"Other {number}"}, headers=await if_match(editor, path)))
    assert (patched["slug"], patched[label(kind)]) == (entity["slug"], f"Other {number}")
    put = await editor.put(path, json=named(kind, f"Third {number}"), headers=await if_match(editor, path))
    assert body(put)["slug"] == entity["slug"]
    cleared = await editor.patch(path, json={"slug": None}, headers=await if_match(editor, path))
    assert (body(cleared)["slug"], body(cleared)["version"]) == (entity["slug"], 3)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_slug_of_a_country_is_its_code_and_follows_it(method: str, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    country = await make("countries")
    assert country["slug"] == country["code"].lower()
    code = FACTORIES["countries"].minimal(number + 13_000)["code"]
    path = f"/api/v1/countries/{country['id']}"
    document = {"code": code, "name": country["name"]}
    changed = body(await editor.request(method, path, json=document, headers=await if_match(editor, path)))
    assert (changed["code"], changed["slug"]) == (code, code.lower())
    old = await editor.get(f"/api/v1/countries/{country['slug']}")
    assert (old.status_code, old.headers["location"]) == (308, f"/api/v1/countries/{code.lower()}")
    renamed = await editor.patch(path, json={"name": f"Other {number}"}, headers=await if_match(editor, path))
    assert body(renamed)["slug"] == code.lower()


async def test_slug_of_a_fact_comes_from_its_id_and_stays(make: Make, editor: httpx.AsyncClient) -> None:
    fact = await make("facts")
    assert fact["slug"] == f"fact-{fact['id'][:8]}"
    path = f"/api/v1/facts/{fact['id']}"
    changed = await editor.put(path, json={"text": "Another fact."}, headers=await if_match(editor, path))
    assert body(changed)["slug"] == fact["slug"]


BAD_SLUGS = [
    "",
    "Upper",
    "-a",
    "a-",
    "a--b",
    "a_b",
    "a b",
    "a/b",
    "é",
    "ил-2",
    "a" * 121,
    "a\n",
    "a\x00",
    7,
    "0b9ef3a2-5c1d-4f6e-8a7b-1c2d3e4f5a6b",
]


@pytest.mark.parametrize("slug", BAD_SLUGS)
async def test_bad_slug_is_refused_by_name(slug: object, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    entity = await make("tags")
    path = f"/api/v1/tags/{entity['id']}"
    document, etag = {"name": f"Bad {number}", "slug": slug}, await if_match(editor, path)
    for answer in (
        await editor.post("/api/v1/tags", json=document),
        await editor.put(path, json=document, headers=etag),
        await editor.patch(path, json={"slug": slug}, headers=etag),
    ):
        problem = assert_problem(answer, 422, "validation_error")
        assert [error["pointer"] for error in problem["errors"]] == ["/body/slug"]


async def test_longest_slug_is_accepted(make: Make, number: int) -> None:
    slug = f"{number}-".ljust(120, "z")
    assert (await make("tags", slug=slug))["slug"] == slug


async def test_old_slugs_of_drafts_are_not_told_to_the_public(
    make: Make,
    anonymous: httpx.AsyncClient,
    reader: httpx.AsyncClient,
    editor: httpx.AsyncClient,
    administrator: httpx.AsyncClient,
    number: int,
) -> None:
    old, new = f"secret-{number}", f"topsecret-{number}"
    article = await make("articles", slug=old)
    await rename(editor, "articles", article, new)
    for client in (anonymous, reader):
        for ref in (old, new, article["id"]):
            assert_problem(await client.get(f"/api/v1/articles/{ref}"), 404, "not_found")
            assert (await client.head(f"/api/v1/articles/{ref}")).status_code == 404
    assert (await editor.get(f"/api/v1/articles/{old}")).headers["location"] == f"/api/v1/articles/{new}"
    etag = await if_match(editor, f"/api/v1/articles/{new}")
    body(await administrator.post(f"/api/v1/articles/{new}/publish", headers=etag))
    assert (await anonymous.get(f"/api/v1/articles/{old}")).headers["location"] == f"/api/v1/articles/{new}"


async def test_public_cannot_find_a_draft_through_its_translations(
    make: Make, anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, number: int
) -> None:
    old, new = f"hidden-{number}", f"hiding-{number}"
    original = await make("articles", slug=old)
    await rename(editor, "articles", original, new)
    translation = await make("articles", translation_of=new)
    path = f"/api/v1/articles/{translation['id']}"
    body(await administrator.post(f"{path}/publish", headers=await if_match(editor, path)))
    assert body(await anonymous.get(path))["translation_of"] is None
    ids = {"ids": translation["id"]}
    for ref in (old, new, original["id"]):
        assert body(await anonymous.get("/api/v1/articles", params={**ids, "translation_of": ref}))["items"] == []
        assert body(await editor.get("/api/v1/articles", params={**ids, "translation_of": ref}))["total"] == 1
    for unknown, expected in (("true", 1), ("false", 0)):
        found = await anonymous.get("/api/v1/articles", params={**ids, "translation_of.is_null": unknown})
        assert body(found)["total"] == expected
