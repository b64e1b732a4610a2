"""The way of an article to the public: who may make which step from where, and what everybody sees meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.crud import audit
from fastapi_application.encyclopedia.articles.workflow import publish_due
from tests.history.steps import etag, patch, revisions, snapshot, step
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg
    import httpx

    from tests.conftest import Make
    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]

ARTICLES = "/api/v1/articles"
LATER = {"publish_at": "2999-01-01T00:00:00Z"}
PAST = {"publish_at": "2000-01-01T00:00:00Z"}
STEPS: dict[str, Any] = {
    "submit": None,
    "approve": None,
    "reject": {"reason": "Sources are missing."},
    "schedule": LATER,
    "publish": None,
    "unpublish": None,
    "archive": None,
}
# From each state: the steps that a moderator who did not write the text may make, and where they lead.
WAYS = {
    "draft": {"submit": "in_review", "archive": "archived"},
    "in_review": {"approve": "published", "reject": "draft", "schedule": "in_review", "archive": "archived"},
    "published": {"unpublish": "draft", "archive": "archived"},
    "archived": {"submit": "in_review"},
}


@pytest.fixture
async def path(make: Make) -> str:
    """Return the path of an editor's draft."""
    return f"{ARTICLES}/{(await make('articles', content='First.'))['id']}"


async def bring(client: httpx.AsyncClient, path: str, status: str) -> None:
    """Bring a draft to a state, as an administrator."""
    for name in {"draft": [], "in_review": ["submit"], "published": ["publish"], "archived": ["archive"]}[status]:
        body(await step(client, path, name))


@pytest.mark.parametrize("status", WAYS)
@pytest.mark.parametrize("name", [name for name in STEPS if name != "publish"])
async def test_where_each_step_leads(
    name: str, status: str, path: str, administrator: httpx.AsyncClient, moderator: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    await bring(administrator, path, status)
    before = body(await moderator.get(path))
    answer = await step(moderator, path, name, STEPS[name], comment="A step.")
    if name not in WAYS[status]:
        assert_problem(answer, 409, "state_conflict")
        assert body(await moderator.get(path)) == before
        return
    shown = body(answer)
    assert (shown["status"], shown["version"]) == (WAYS[status][name], before["version"] + 1)
    assert shown == body(await moderator.get(path))
    assert (shown["archived_at"] is not None) == (shown["status"] == "archived")
    newest = (await revisions(moderator, path))[-1]
    assert (newest["number"], newest["action"], newest["comment"]) == (shown["version"], name, "A step.")
    assert (await anonymous.get(path)).status_code == (200 if shown["status"] == "published" else 404)


@pytest.mark.parametrize("name", STEPS)
async def test_who_may_make_a_step(
    name: str, path: str, anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, moderator: httpx.AsyncClient
) -> None:
    content = {"json": STEPS[name]} if STEPS[name] else {}
    assert_problem(await anonymous.post(f"{path}/{name}", **content), 401, "not_authenticated")
    assert_problem(await reader.post(f"{path}/{name}", **content), 403, "forbidden")
    for client, names in ((editor, {"submit"}), (moderator, set(STEPS) - {"publish"})):
        answer = await client.post(f"{path}/{name}", **content)
        assert_problem(answer, *((428, "precondition_required") if name in names else (403, "forbidden")))


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("reject", {}),
        ("reject", {"reason": " "}),
        ("schedule", {}),
        ("schedule", {"publish_at": "tomorrow"}),
        ("schedule", {**LATER, "more": 1}),
    ],
)
async def test_wrong_bodies_of_steps_are_422(name: str, document: Any, path: str, moderator: httpx.AsyncClient) -> None:
    assert_problem(await step(moderator, path, name, document), 422, "validation_error")


async def test_nobody_but_an_administrator_approves_their_own_change(
    moderator: httpx.AsyncClient, second_moderator: httpx.AsyncClient, administrator: httpx.AsyncClient, make: Make
) -> None:
    path = f"{ARTICLES}/{(await make('articles'))['id']}"
    body(await step(moderator, path, "submit"))  # asking for a review is no change of the text
    await patch(moderator, path, {"content": "A moderator's own words.\n"})
    for name in ("approve", "reject", "schedule"):
        assert_problem(await step(moderator, path, name, STEPS[name]), 403, "forbidden")
    body(await step(second_moderator, path, "approve"))
    await patch(moderator, path, {"content": "And others.\n"})
    assert_problem(await step(moderator, path, "approve"), 403, "forbidden")
    body(await step(second_moderator, path, "approve"))
    await patch(administrator, path, {"content": "An administrator's.\n"})
    body(await step(administrator, path, "approve"))


async def test_a_rejection_says_why_and_keeps_the_text(path: str, editor: httpx.AsyncClient, moderator: httpx.AsyncClient) -> None:
    body(await step(editor, path, "submit"))
    rejected = body(await step(moderator, path, "reject", {"reason": "Sources are missing."}))
    assert rejected["review"] == {"status": "draft", "pending_revision": None, "publish_at": None, "reason": "Sources are missing."}
    assert rejected["content"] == "First."
    assert (await revisions(editor, path))[-1]["comment"] == "Sources are missing."
    assert body(await step(editor, path, "submit"))["review"]["reason"] is None


# --- a published article under revision ---------------------------------------------------------------------------------


@pytest.fixture
async def published(path: str, administrator: httpx.AsyncClient) -> dict[str, Any]:
    """Return the published article as everybody sees it."""
    shown: dict[str, Any] = body(await step(administrator, path, "publish"))
    return shown


async def test_the_public_reads_the_published_text_until_the_new_one_is_approved(
    path: str, published: dict[str, Any], anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, moderator: httpx.AsyncClient, make: Make
) -> None:
    tag = await make("tags")
    public = await anonymous.get(path)
    first = await patch(editor, path, {"content": "Second.", "tags": [tag["slug"]]})
    second = await patch(editor, path, {"summary": "In short."})
    assert (first["version"], second["version"], second["content"], second["status"]) == (3, 4, "Second.", "published")
    assert second["review"] == {"status": "in_review", "pending_revision": 4, "publish_at": None, "reason": None}
    assert [item["slug"] for item in second["tags"]] == [tag["slug"]]
    assert body(await moderator.get(path)) == second
    now = await anonymous.get(path)
    assert (now.content, now.headers["etag"]) == (public.content, public.headers["etag"])
    assert body(now) == published
    approved = body(await step(moderator, path, "approve"))
    assert (approved["version"], approved["content"], approved["summary"], approved["review"]) == (5, "Second.", "In short.", None)
    assert body(await anonymous.get(path)) == approved
    assert [item["number"] for item in await revisions(anonymous, path)] == [2, 5]
    assert [item["pending"] for item in await revisions(editor, path)] == [False, False, True, True, False]
    then = body(await anonymous.get(path, params={"as_of": second["updated_at"]}))
    assert then == published
    assert body(await editor.get(path, params={"as_of": second["updated_at"]}))["content"] == "Second."


async def test_an_old_version_is_412_whether_it_waits_or_not(path: str, published: dict[str, Any], editor: httpx.AsyncClient) -> None:
    seen = await etag(editor, path)
    await patch(editor, path, {"content": "Second."})
    for answer in (
        await editor.patch(path, json={"content": "Third."}, headers=seen),
        await editor.delete(path, headers=seen),
        await editor.post(f"{path}/submit", headers=seen),
    ):
        problem = assert_problem(answer, 412, "precondition_failed")
        assert problem["changed_fields"] == ["content"]
        assert problem["current_etag"] == (await editor.get(path)).headers["etag"]


async def test_a_change_sent_back_waits_as_a_draft(
    path: str, published: dict[str, Any], editor: httpx.AsyncClient, moderator: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    await patch(editor, path, {"content": "Second."})
    assert body(await step(editor, path, "submit"))["version"] == 3  # it waits for review already
    rejected = body(await step(moderator, path, "reject", {"reason": "No."}))
    assert (rejected["content"], rejected["review"]["status"], rejected["review"]["reason"]) == ("Second.", "draft", "No.")
    assert_problem(await step(moderator, path, "approve"), 409, "state_conflict")
    submitted = body(await step(editor, path, "submit"))
    assert (submitted["review"]["status"], submitted["review"]["reason"]) == ("in_review", None)
    body(await step(moderator, path, "reject", {"reason": "No, again."}))
    assert (await patch(editor, path, {"content": "Third."}))["review"]["status"] == "in_review"
    assert body(await anonymous.get(path)) == published


async def test_taking_a_change_back_leaves_nothing_to_review(
    path: str, published: dict[str, Any], editor: httpx.AsyncClient, moderator: httpx.AsyncClient
) -> None:
    await patch(editor, path, {"content": "Second."})
    reverted = body(await step(editor, path, "revert", {"revision": published["version"]}))
    assert (reverted["content"], reverted["review"]["status"], reverted["version"]) == ("First.", "draft", 4)
    assert_problem(await step(moderator, path, "approve"), 409, "state_conflict")
    assert (await patch(editor, path, {"content": "Third."}))["version"] == 5


@pytest.mark.parametrize("name", ["unpublish", "archive"])
async def test_a_hidden_article_has_the_text_that_waited(
    name: str, path: str, published: dict[str, Any], editor: httpx.AsyncClient, moderator: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    await patch(editor, path, {"content": "Second."})
    shown = body(await step(moderator, path, name))
    assert (shown["content"], shown["version"]) == ("Second.", 4)
    assert_problem(await anonymous.get(path), 404, "not_found")
    assert body(await editor.get(path)) == shown


async def test_what_no_longer_fits_is_not_published_and_does_not_stop_anybody_from_hiding_the_article(
    path: str, published: dict[str, Any], editor: httpx.AsyncClient, moderator: httpx.AsyncClient, anonymous: httpx.AsyncClient, make: Make
) -> None:
    designer = await make("designers")
    slug = f"wanted-{published['slug']}"
    await patch(editor, path, {"slug": slug, "designers": [designer["slug"]]})
    assert (await anonymous.get(f"{ARTICLES}/{slug}")).status_code == 404  # nothing tells of the new slug
    await make("articles", slug=slug)
    assert_problem(await step(moderator, path, "approve"), 409, "state_conflict")
    gone = f"/api/v1/designers/{designer['id']}"
    assert (await editor.delete(gone, headers=await etag(editor, gone))).status_code == 204
    problem = assert_problem(await step(moderator, path, "approve"), 409, "state_conflict")
    assert [error["pointer"] for error in problem["errors"]] == ["/body/designers/0"]
    assert body(await anonymous.get(path)) == published
    hidden = body(await step(moderator, path, "unpublish"))
    assert (hidden["slug"], hidden["designers"], hidden["version"]) == (published["slug"], [], 4)
    assert (await snapshot(editor, path, 3))["slug"] == slug


async def test_a_change_that_cannot_be_is_refused_when_it_is_made(
    path: str, published: dict[str, Any], editor: httpx.AsyncClient, make: Make
) -> None:
    taken = (await make("articles"))["slug"]
    headers = await etag(editor, path)
    assert_problem(await editor.patch(path, json={"slug": taken}, headers=headers), 409, "slug_taken")
    assert_problem(await editor.patch(path, json={"tags": ["no-such-tag"]}, headers=headers), 422, "validation_error")
    assert body(await editor.get(path)) == published


async def test_the_queue_has_what_waits_for_review(
    path: str, published: dict[str, Any], editor: httpx.AsyncClient, moderator: httpx.AsyncClient, make: Make
) -> None:
    draft = await make("articles")
    both = f"{published['id']},{draft['id']}"

    async def queue(status: str) -> set[str]:
        page = body(await moderator.get(ARTICLES, params={"status": status, "ids": both}))
        return {item["id"] for item in page["items"]}

    assert await queue("in_review") == set()
    body(await step(editor, f"{ARTICLES}/{draft['id']}", "submit"))
    await patch(editor, path, {"content": "Second."})
    assert await queue("in_review") == {published["id"], draft["id"]}
    assert await queue("published") == {published["id"]}
    body(await step(moderator, path, "reject", {"reason": "No."}))
    assert await queue("in_review") == {draft["id"]}


async def test_publishing_takes_the_change_that_waits(
    path: str, published: dict[str, Any], editor: httpx.AsyncClient, administrator: httpx.AsyncClient
) -> None:
    await patch(editor, path, {"content": "Second."})
    shown = body(await step(administrator, path, "publish"))
    assert (shown["content"], shown["review"], shown["published_at"]) == ("Second.", None, published["published_at"])


# --- the clock ----------------------------------------------------------------------------------------------------------


async def test_a_scheduled_article_appears_by_itself(
    application: Application,
    path: str,
    editor: httpx.AsyncClient,
    moderator: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    db: Connection,
) -> None:
    body(await step(editor, path, "submit"))
    scheduled = body(await step(moderator, path, "schedule", LATER))
    assert (scheduled["status"], scheduled["review"]["publish_at"]) == ("in_review", "2999-01-01T00:00:00.000000Z")
    factory = application.fastapi.state.session_factory
    await publish_due(factory)
    assert (await anonymous.get(path)).status_code == 404
    await db.execute("UPDATE article SET publish_at = now() WHERE id = $1::uuid", scheduled["id"])
    assert await publish_due(factory) == 1
    shown = body(await anonymous.get(path))
    assert (shown["status"], shown["updated_by"], shown["review"]) == ("published", scheduled["updated_by"], None)
    assert await publish_due(factory) == 0


async def test_a_change_can_be_scheduled_too_and_takes_the_approval_with_it_when_it_changes(
    application: Application,
    path: str,
    published: dict[str, Any],
    editor: httpx.AsyncClient,
    moderator: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
) -> None:
    factory = application.fastapi.state.session_factory
    await patch(editor, path, {"content": "Second."})
    body(await step(moderator, path, "schedule", PAST))
    assert (await patch(editor, path, {"content": "Not reviewed."}))["review"]["publish_at"] is None
    await publish_due(factory)
    assert body(await anonymous.get(path)) == published
    body(await step(moderator, path, "schedule", PAST))
    await publish_due(factory)
    assert body(await anonymous.get(path))["content"] == "Not reviewed."


async def test_an_edited_draft_is_no_longer_scheduled(path: str, editor: httpx.AsyncClient, moderator: httpx.AsyncClient) -> None:
    body(await step(editor, path, "submit"))
    body(await step(moderator, path, "schedule", LATER))
    changed = await patch(editor, path, {"content": "Second."})
    assert (changed["status"], changed["review"]["publish_at"]) == ("in_review", None)


async def test_what_cannot_be_published_at_its_time_goes_back_and_stops_no_other(
    application: Application, path: str, published: dict[str, Any], editor: httpx.AsyncClient, moderator: httpx.AsyncClient, make: Make
) -> None:
    slug = f"late-{published['slug']}"
    await patch(editor, path, {"slug": slug})
    body(await step(moderator, path, "schedule", PAST))
    await make("articles", slug=slug)
    other = f"{ARTICLES}/{(await make('articles'))['id']}"
    body(await step(editor, other, "submit"))
    body(await step(moderator, other, "schedule", PAST))
    assert await publish_due(application.fastapi.state.session_factory) == 2
    assert body(await editor.get(other))["status"] == "published"
    review = body(await editor.get(path))["review"]
    assert (review["status"], review["publish_at"]) == ("draft", None)
    assert "no longer fits" in review["reason"]


# --- the audit log ------------------------------------------------------------------------------------------------------


@pytest.fixture
def log() -> Iterator[list[tuple[str, str | None]]]:
    """Collect what is sent to the audit log."""
    entries: list[tuple[str, str | None]] = []

    async def write(_session: Any, action: str, _actor: Any, *, kind: str, subject: Any, comment: str | None) -> None:
        assert action.startswith(kind)
        assert subject
        entries.append((action, comment))

    audit.add_audit_hook(write)
    yield entries
    audit.remove_audit_hook(write)


async def test_each_step_is_an_entry_of_the_audit_log(
    log: list[tuple[str, str | None]], path: str, editor: httpx.AsyncClient, moderator: httpx.AsyncClient
) -> None:
    log.clear()
    body(await step(editor, path, "submit", comment="Please."))
    body(await step(moderator, path, "approve"))
    await patch(editor, path, {"content": "Second."}, "Better.")
    body(await step(moderator, path, "reject", {"reason": "No."}))
    assert (await editor.delete(path, params={"comment": "Gone."}, headers=await etag(editor, path))).status_code == 204
    assert log == [
        ("articles.submit", "Please."),
        ("articles.approve", None),
        ("articles.update", "Better."),
        ("articles.reject", "No."),
        ("articles.delete", "Gone."),
    ]
