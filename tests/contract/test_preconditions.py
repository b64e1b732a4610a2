"""If-Match, If-None-Match and HEAD: nobody overwrites what they have not seen, nobody downloads what they have."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.accounts.audit import Origin
from fastapi_application.accounts.passwords import hash_password
from fastapi_application.accounts.service import AccountService
from fastapi_application.accounts.sessions import SessionService
from fastapi_application.core.actor import Role
from fastapi_application.crud.action import run_crud_action
from tests.factories.registry import FACTORIES
from tests.support.application import PASSWORD, assert_problem, body
from tests.support.entities import KINDS, RELATIONS, Relation, write_document

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make
    from tests.support.application import Application

METHODS = ("PUT", "PATCH", "DELETE")
CASES = [(kind, method) for kind in KINDS for method in METHODS]


async def send(client: httpx.AsyncClient, method: str, path: str, document: Any, if_match: str | None) -> httpx.Response:
    """Send a write; DELETE has no body."""
    headers = {} if if_match is None else {"If-Match": if_match}
    return await client.request(method, path, headers=headers, **({} if method == "DELETE" else {"json": document}))


async def patiently(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
    """Send a request again while the service sheds it, as a client does: a busy machine may be too slow for twenty at once."""
    for _ in range(50):
        answer = await client.request(method, path, **more)
        if answer.status_code != 503:
            break
        await asyncio.sleep(0.05)
    return answer


# --- If-Match ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "method"), CASES)
async def test_a_write_that_names_no_version_is_428(
    kind: str, method: str, editor: httpx.AsyncClient, make: Make, number: int, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    entity = await make(kind)
    for if_match in (None, "*", "", " * "):
        answer = await send(editor, method, f"/api/v1/{kind}/{entity['slug']}", FACTORIES[kind].minimal(number), if_match)
        problem = assert_problem(answer, 428, "precondition_required")
        assert [error["pointer"] for error in problem["errors"]] == ["/header/if-match"]
    assert body(await editor.get(f"/api/v1/{kind}/{entity['id']}")) == entity


@pytest.mark.parametrize(("kind", "method"), CASES)
async def test_a_write_of_another_version_is_412_and_tells_the_current_one(
    kind: str, method: str, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    entity, other = await make(kind), await make(kind)
    path = f"/api/v1/{kind}/{entity['id']}"
    read = await editor.get(path)
    current = read.headers["etag"]
    id8, version, content = current.strip('"').split(".")
    foreign = (await editor.get(f"/api/v1/{kind}/{other['id']}")).headers["etag"]
    for if_match in (
        f'"{id8}.{int(version) + 1}.{content}"',
        f'"{id8}.0.{content}"',
        f'"{id8}"',
        foreign,
        '"x"',
        "x",
        f"{foreign}, W/{foreign}",
    ):
        answer = await send(editor, method, path, FACTORIES[kind].minimal(number), if_match)
        problem = assert_problem(answer, 412, "precondition_failed")
        assert problem["current_etag"] == answer.headers["etag"] == current
    assert body(await editor.get(path)) == body(read)


@pytest.mark.parametrize(
    "form", ["{etag}", "W/{etag}", '"{bare}.gz"', 'W/"{bare}.gz"', '"x", {etag}', '"x",W/{etag} , "y"', '"{id}.1"', '"{id}.1.x"']
)
@pytest.mark.parametrize("method", METHODS)
async def test_every_form_of_the_current_tag_is_accepted(method: str, form: str, editor: httpx.AsyncClient, make: Make) -> None:
    tag = await make("tags")
    path = f"/api/v1/tags/{tag['slug']}"
    etag = (await editor.get(path)).headers["etag"]
    if_match = form.format(etag=etag, bare=etag.strip('"'), id=tag["id"][:8])
    answer = await send(editor, method, path, {"name": "Another name"}, if_match)
    assert answer.status_code == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize("method", METHODS)
async def test_if_match_may_come_in_several_lines(method: str, editor: httpx.AsyncClient, make: Make) -> None:
    tag = await make("tags")
    path = f"/api/v1/tags/{tag['slug']}"
    etag = (await editor.get(path)).headers["etag"]
    content = {} if method == "DELETE" else {"json": {"name": "Another name"}}
    answer = await editor.request(method, path, headers=[("If-Match", etag), ("If-Match", '"x"')], **content)  # type: ignore[arg-type]
    assert answer.is_success, answer.text


async def test_a_tag_survives_a_change_of_what_the_entity_refers_to(editor: httpx.AsyncClient, make: Make) -> None:
    country = await make("countries")
    engine = await make("engines", country=country["slug"])
    path, target = f"/api/v1/engines/{engine['id']}", f"/api/v1/countries/{country['id']}"
    before = (await editor.get(path)).headers["etag"]
    changed = await editor.patch(target, json={"name": "Renamed"}, headers={"If-Match": (await editor.get(target)).headers["etag"]})
    body(changed)
    after = await editor.get(path, headers={"If-None-Match": before})
    assert body(after)["country"]["name"] == "Renamed"  # no 304: the rendering is another one
    assert body(after)["version"] == 1
    assert body(await editor.patch(path, json={"type": "turbofan"}, headers={"If-Match": before}))["version"] == 2


async def test_of_twenty_editors_with_one_tag_exactly_one_changes_the_entity(application: Application, make: Make, number: int) -> None:
    aircraft = await make("aircraft")
    path = f"/api/v1/aircraft/{aircraft['slug']}"
    hashed = await hash_password(PASSWORD)
    async with AsyncExitStack() as stack:
        clients = []
        for index in range(20):
            async with application.fastapi.state.session_factory() as session:
                accounts = AccountService(session)
                email = f"one-of-twenty-{number}-{index}@example.org"
                user = await run_crud_action(session, accounts.create, email, hashed, Role.EDITOR, is_verified=True)
                token = (await run_crud_action(session, SessionService(session).open, user, Origin("127.0.0.1", "test"))).access_token
            clients.append(await stack.enter_async_context(application.client(token)))
        reads = await asyncio.gather(*(patiently(client, "GET", path) for client in clients))
        (etag,) = {read.headers["etag"] for read in reads}
        answers = await asyncio.gather(
            *(patiently(client, "PATCH", path, json={"crew": index}, headers={"If-Match": etag}) for index, client in enumerate(clients))
        )
        assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 19}
        (winner,) = [answer for answer in answers if answer.status_code == 200]
        assert {answer.headers["etag"] for answer in answers} == {winner.headers["etag"]}
        shown = body(await clients[0].get(path))
    assert shown == body(winner)
    assert (shown["version"], shown["crew"]) == (2, answers.index(winner))


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_a_change_that_changes_nothing_keeps_version_and_tag(kind: str, editor: httpx.AsyncClient, make: Make, number: int) -> None:
    created = await editor.post(f"/api/v1/{kind}", json=await FACTORIES[kind].full(number, make))
    shown, etag = body(created, 201), created.headers["etag"]
    same = write_document(kind, shown)
    without_slug = {key: value for key, value in same.items() if key != "slug"}
    for method, document in (("PATCH", {}), ("PATCH", same), ("PUT", same), ("PUT", without_slug)):
        answer = await send(editor, method, f"/api/v1/{kind}/{shown['id']}", document, etag)
        assert body(answer) == shown
        assert answer.headers["etag"] == etag


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
async def test_a_change_of_a_relation_alone_raises_the_version(
    relation: Relation, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    entity, target = await make(relation.owner), await make(relation.target)
    path = f"/api/v1/{relation.owner}/{entity['id']}"
    first = await editor.get(path)
    value = await relation.value([target["slug"]], number, make)
    second = await editor.patch(path, json={relation.field: value}, headers={"If-Match": first.headers["etag"]})
    assert (body(second)["version"], relation.shown(body(second))[0]["id"]) == (2, target["id"])
    assert second.headers["etag"] != first.headers["etag"]
    assert body(second)["updated_at"] > entity["updated_at"]
    assert_problem(await send(editor, "DELETE", path, None, first.headers["etag"]), 412, "precondition_failed")
    third = await editor.patch(path, json={relation.field: None}, headers={"If-Match": second.headers["etag"]})
    assert (body(third)["version"], body(third)[relation.field]) == (3, [] if relation.is_list else None)
    assert body(await editor.get(path)) == body(third)


async def test_order_and_attributes_of_links_are_changes_too(editor: httpx.AsyncClient, make: Make) -> None:
    one, two = [(await make("designers"))["slug"] for _ in range(2)]
    aircraft = await make("aircraft", designers=[{"designer": one, "role": "a"}, {"designer": two}])
    path = f"/api/v1/aircraft/{aircraft['id']}"
    etag = (await editor.get(path)).headers["etag"]
    turned = [{"designer": two, "role": None}, {"designer": one, "role": "a"}]
    for version, links in enumerate((turned, [*turned[:1], {"designer": one, "role": "b"}], turned[:1]), start=2):
        answer = await editor.patch(path, json={"designers": links}, headers={"If-Match": etag})
        assert body(answer)["version"] == version
        assert write_document("aircraft", body(answer))["designers"] == links
        etag = answer.headers["etag"]


# --- If-None-Match and HEAD -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_client_has_is_304(kind: str, anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    entity = await make(kind)
    for path in (f"/api/v1/{kind}/{entity['slug']}", f"/api/v1/{kind}/{entity['id']}", f"/api/v1/{kind}?ids={entity['id']}"):
        client = editor if kind == "articles" else anonymous  # a draft
        read = await client.get(path)
        etag = read.headers["etag"]
        for if_none_match in (etag, f"W/{etag}", f'"x", {etag}', f'"a" , W/{etag},"b"', "*"):
            answer = await client.get(path, headers={"If-None-Match": if_none_match})
            assert (answer.status_code, answer.content) == (304, b"")
            for name in ("etag", "cache-control", "vary"):
                assert answer.headers[name] == read.headers[name]
        assert (await client.head(path, headers={"If-None-Match": etag})).status_code == 304
        bare = etag.strip('"').removesuffix(".gz")  # either form of the same content will do
        for if_none_match in ('"x"', bare, f'"{bare}x"', f'"{bare.rpartition(".")[0]}"', ""):
            again = await client.get(path, headers={"If-None-Match": if_none_match})
            assert again.status_code == 200, (path, etag, if_none_match, dict(again.headers))
            assert body(again) == body(read)


async def test_a_changed_entity_is_not_304_alone_or_in_a_list(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    tag = await make("tags")
    single, listed = f"/api/v1/tags/{tag['id']}", f"/api/v1/tags?ids={tag['id']}"
    tags = {path: (await anonymous.get(path)).headers["etag"] for path in (single, listed)}
    body(await editor.patch(single, json={"name": "Changed"}, headers={"If-Match": tags[single]}))
    for path, etag in tags.items():
        assert (await anonymous.get(path, headers={"If-None-Match": etag})).status_code == 200


async def test_a_missing_entity_is_404_and_not_304(anonymous: httpx.AsyncClient) -> None:
    assert_problem(await anonymous.get("/api/v1/tags/no-such-entry", headers={"If-None-Match": "*"}), 404, "not_found")


@pytest.mark.parametrize("kind", KINDS)
async def test_head_is_get_without_a_body(kind: str, editor: httpx.AsyncClient, make: Make) -> None:
    entity = await make(kind)
    for path in (f"/api/v1/{kind}", f"/api/v1/{kind}/{entity['slug']}", f"/api/v1/{kind}/no-such-entry", f"/api/v1/{kind}?no=1"):
        got, head = await editor.get(path), await editor.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        differing = {name for name in {*got.headers, *head.headers} if got.headers.get(name) != head.headers.get(name)}
        # A failure has the request's id in its body.
        assert differing <= {"x-request-id"}
