"""Articles: a draft is nowhere to be seen, whichever way the public looks; publishing shows it everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from fastapi_application.core.actor import Role
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make
    from tests.support.application import Application

ARTICLES = "/api/v1/articles"
STATUSES = ("draft", "in_review", "archived")
# What an article links to, and where those show the articles that link to them.
TARGETS = {
    "tags": "tags",
    "aircraft": "aircraft",
    "designers": "designers",
    "design_bureaus": "design-bureaus",
    "manufacturers": "manufacturers",
}


class Case(NamedTuple):
    """A draft with all of its links, whose slug has changed once, and its original and translation, both published."""

    draft: dict[str, Any]
    old_slug: str
    original: dict[str, Any]
    translation: dict[str, Any]
    targets: dict[str, dict[str, Any]]


async def publish(client: httpx.AsyncClient, ref: str) -> httpx.Response:
    """Publish the current version of an article."""
    etag = (await client.get(f"{ARTICLES}/{ref}")).headers["etag"]
    return await client.post(f"{ARTICLES}/{ref}/publish", headers={"If-Match": etag})


async def ids(client: httpx.AsyncClient, **query: str) -> set[str]:
    """Return the ids of a list of articles, and check that its total agrees."""
    page = body(await client.get(ARTICLES, params={"size": "100", **query}))
    assert page["total"] == len(page["items"])
    return {item["id"] for item in page["items"]}


@pytest.fixture
async def case(editor: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make, number: int) -> Case:
    """Write the articles."""
    targets = {field: await make(kind) for field, kind in TARGETS.items()}
    original = await make("articles")
    body(await publish(administrator, original["id"]))
    links = {field: [target["slug"]] for field, target in targets.items()}
    draft = await make("articles", translation_of=original["slug"], language="fr", keywords=[f"keyword-{number}"], **links)
    translation = await make("articles", translation_of=draft["slug"], language="de")
    body(await publish(administrator, translation["id"]))
    path = f"{ARTICLES}/{draft['id']}"
    etag = (await editor.get(path)).headers["etag"]
    renamed = await editor.patch(path, json={"slug": f"secret-{number}"}, headers={"If-Match": etag})
    return Case(body(renamed), draft["slug"], original, translation, targets)


async def public_view(client: httpx.AsyncClient, case: Case) -> dict[str, Any]:
    """Return everything that a client learns of the draft, whichever way it looks."""
    draft, seen = case.draft, {}
    for ref in (draft["slug"], draft["id"], case.old_slug):
        for method in ("GET", "HEAD"):
            seen[f"{method} {ref}"] = (await client.request(method, f"{ARTICLES}/{ref}")).status_code
    queries = [
        {"ids": f"{draft['id']},{case.original['id']}"},
        {"title": draft["title"]},
        {"keyword": draft["keywords"][0]},
        {"ids": draft["id"], "language": "fr"},
        {"ids": draft["id"], "sort": "-created_at"},
        {"ids": draft["id"], "sort": "status,-published_at"},
        {"ids": draft["id"], "published_at.is_null": "true"},
        {"translation_of": case.original["slug"]},
        *({field.removesuffix("s"): target["slug"]} for field, target in case.targets.items()),
    ]
    for query in queries:
        seen[f"list {query}"] = draft["id"] in await ids(client, **query)
    for name in (draft["slug"], draft["id"], case.old_slug):
        seen[f"translations of {name}"] = await ids(client, translation_of=name) != set()
    seen["is a translation"] = case.translation["id"] in await ids(
        client, ids=case.translation["id"], **{"translation_of.is_null": "false"}
    )
    cursor = body(await client.get(ARTICLES, params={"cursor": "", "ids": draft["id"]}))
    seen["cursor"] = bool(cursor["items"])
    for field, kind in TARGETS.items():
        target = case.targets[field]
        shown = body(await client.get(f"/api/v1/{kind}/{target['slug']}"))
        seen[f"{kind}.articles"] = [item["id"] for item in shown["articles"]] == [draft["id"]]
        seen[f"{kind}.articles_count"] = shown["articles_count"] == 1
    # A tag that no other article bears would tell of the draft.
    tags = body(await client.get("/api/v1/tags", params={"ids": case.targets["tags"]["id"]}))["items"]
    seen["tag in a list"] = [tag["articles_count"] for tag in tags] == [1]
    original = body(await client.get(f"{ARTICLES}/{case.original['slug']}"))
    seen["translations of the original"] = [item["id"] for item in original["translations"]] == [draft["id"]]
    translation = body(await client.get(f"{ARTICLES}/{case.translation['slug']}"))
    seen["translation_of of the translation"] = (translation["translation_of"] or {}).get("id") == draft["id"]
    (item,) = body(await client.get(ARTICLES, params={"ids": case.translation["id"]}))["items"]
    seen["translation_of in a list"] = (item["translation_of"] or {}).get("id") == draft["id"]
    return seen


def everywhere(seen: dict[str, Any], case: Case) -> dict[str, Any]:
    """Return the view of one who sees the draft everywhere; only a draft has no date of publication."""
    status = {**dict.fromkeys(seen, True), **{key: 200 for key in seen if key.startswith(("GET", "HEAD"))}}
    return {**status, f"GET {case.old_slug}": 308, f"HEAD {case.old_slug}": 308}


@pytest.mark.parametrize("status", STATUSES)
async def test_what_is_not_published_is_nowhere_to_be_seen(
    status: str, case: Case, anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    await db.execute("UPDATE article SET status = $1 WHERE id = $2::uuid", status, case.draft["id"])
    for client in (anonymous, reader):
        seen = await public_view(client, case)
        nowhere = {key: 404 if key.startswith(("GET", "HEAD")) else False for key in seen}
        assert seen == nowhere


async def test_a_page_of_drafts_adds_nothing_to_the_public_total(anonymous: httpx.AsyncClient, make: Make) -> None:
    before = body(await anonymous.get(ARTICLES))["total"]
    await make("articles")
    assert body(await anonymous.get(ARTICLES))["total"] == before


async def test_editors_moderators_and_administrators_see_drafts(
    case: Case, editor: httpx.AsyncClient, moderator: httpx.AsyncClient, administrator: httpx.AsyncClient
) -> None:
    for client in (editor, moderator, administrator):
        seen = await public_view(client, case)
        assert seen == everywhere(seen, case)


async def test_a_published_article_is_everywhere(case: Case, anonymous: httpx.AsyncClient, administrator: httpx.AsyncClient) -> None:
    body(await publish(administrator, case.draft["id"]))
    seen = await public_view(anonymous, case)
    without_date = {key for key in seen if "published_at.is_null" in key}
    assert len(without_date) == 1
    assert seen == {**everywhere(seen, case), **dict.fromkeys(without_date, False)}


async def test_a_draft_shows_its_state_and_author(case: Case, editor: httpx.AsyncClient) -> None:
    shown = body(await editor.get(f"{ARTICLES}/{case.draft['id']}"))
    assert (shown["status"], shown["published_at"], shown["archived_at"]) == ("draft", None, None)
    assert shown["author"] == {"id": shown["created_by"], "display_name": None}


# --- states are not written by a body, and not asked for without a token ----------------------------------------------


@pytest.mark.parametrize("field", ["status", "published_at", "archived_at", "author"])
async def test_the_state_is_read_only(field: str, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make) -> None:
    article = await make("articles")
    path = f"{ARTICLES}/{article['id']}"
    headers = {"If-Match": (await editor.get(path)).headers["etag"]}
    document = {"title": "T", "category": "event", field: "published"}
    for client in (editor, administrator):
        for answer in (
            await client.post(ARTICLES, json=document),
            await client.put(path, json=document, headers=headers),
            await client.patch(path, json={field: None}, headers=headers),
        ):
            errors = assert_problem(answer, 422, "validation_error")["errors"]
            assert [(error["pointer"], error["code"]) for error in errors] == [(f"/body/{field}", "read_only_field")]
    assert body(await editor.get(path)) == article


@pytest.mark.parametrize("status", [*STATUSES, "draft,published"])
async def test_asking_for_unpublished_articles_needs_an_editors_token(
    status: str, anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient
) -> None:
    assert_problem(await anonymous.get(ARTICLES, params={"status": status}), 401, "not_authenticated")
    assert_problem(await reader.get(ARTICLES, params={"status": status}), 403, "forbidden")
    items = body(await editor.get(ARTICLES, params={"status": status}))["items"]
    # A change of a published article that waits for a review is in its queue.
    assert {item["review"]["status"] if status == "in_review" else item["status"] for item in items} <= set(status.split(","))


async def test_editors_filter_by_status(case: Case, editor: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    both = f"{case.draft['id']},{case.original['id']}"
    assert await ids(editor, ids=both, status="draft") == {case.draft["id"]}
    assert await ids(editor, ids=both, status="published") == {case.original["id"]}
    assert await ids(editor, ids=both, status="draft,published") == {case.draft["id"], case.original["id"]}
    answer = await anonymous.get(ARTICLES, params={"status": "no-such-status"})
    assert [error["pointer"] for error in assert_problem(answer, 422, "validation_error")["errors"]] == ["/query/status/0"]


# --- publish ----------------------------------------------------------------------------------------------------------


async def test_only_administrators_publish(
    anonymous: httpx.AsyncClient,
    reader: httpx.AsyncClient,
    editor: httpx.AsyncClient,
    moderator: httpx.AsyncClient,
    application: Application,
    make: Make,
) -> None:
    article = await make("articles")
    path = f"{ARTICLES}/{article['slug']}/publish"
    headers = {"If-Match": (await editor.get(f"{ARTICLES}/{article['id']}")).headers["etag"]}
    assert_problem(await anonymous.post(path, headers=headers), 401, "not_authenticated")
    for client in (reader, editor, moderator):
        assert_problem(await client.post(path, headers=headers), 403, "forbidden")
    token = await application.create_user("unverified-administrator@example.org", Role.ADMINISTRATOR, is_verified=False)
    async with application.client(token) as client:
        assert_problem(await client.post(path, headers=headers), 403, "email_not_verified")
    assert body(await editor.get(f"{ARTICLES}/{article['id']}"))["status"] == "draft"


async def test_order_of_errors_of_publishing(administrator: httpx.AsyncClient, case: Case) -> None:
    path, missing, unknown = f"{ARTICLES}/{case.draft['slug']}/publish", f"{ARTICLES}/no-such-entry/publish", {"no_such": "1"}
    for if_match in (None, "*"):
        headers = {} if if_match is None else {"If-Match": if_match}
        assert_problem(await administrator.post(missing, params=unknown, headers=headers), 428, "precondition_required")
    stale = {"If-Match": '"00000000.1.x"'}
    assert_problem(await administrator.post(missing, params=unknown, headers=stale), 422, "validation_error")
    assert_problem(await administrator.post(missing, headers=stale), 404, "not_found")
    moved = await administrator.post(f"{ARTICLES}/{case.old_slug}/publish", params={"comment": "now"}, headers=stale)
    assert (moved.status_code, moved.headers["location"]) == (308, f"{path}?comment=now")
    answer = await administrator.post(path, headers=stale)
    assert assert_problem(answer, 412, "precondition_failed")["current_etag"] == answer.headers["etag"]
    assert body(await publish(administrator, case.draft["slug"]))["status"] == "published"


@pytest.mark.parametrize("status", STATUSES)
async def test_publishing_goes_straight_from_any_state(
    status: str, administrator: httpx.AsyncClient, anonymous: httpx.AsyncClient, make: Make, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    article = await make("articles")
    archived = ", archived_at = now()" if status == "archived" else ""
    await db.execute(f"UPDATE article SET status = $1{archived} WHERE id = $2::uuid", status, article["id"])  # noqa: S608
    answer = await publish(administrator, article["id"])
    shown = body(answer)
    assert (shown["status"], shown["archived_at"], shown["version"]) == ("published", None, 2)
    assert shown["published_at"] is not None
    assert shown["updated_by"] != article["created_by"]
    assert answer.headers["cache-control"] == "private, no-store"
    assert body(await anonymous.get(f"{ARTICLES}/{article['slug']}")) == shown


async def test_publishing_what_is_published_changes_nothing(administrator: httpx.AsyncClient, make: Make) -> None:
    article = await make("articles")
    first = await publish(administrator, article["id"])
    second = await publish(administrator, article["id"])
    assert body(second) == body(first)
    assert second.headers["etag"] == first.headers["etag"]
