"""What a client sees of the read cache: conditions, forms, what is kept and what never is, and what it costs."""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from fastapi_application.core.config import CacheSettings
from tests.read_path.support import API, started, status_of
from tests.support.application import assert_problem, body
from tests.support.queries import recorded_queries

if TYPE_CHECKING:
    import httpx

    from tests.conftest import Make
    from tests.support.application import Application

LONG = "A text that is worth compressing. " * 100
GZIP, PLAIN = {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "identity"}


@pytest.fixture
async def article_path(make: Make, administrator: httpx.AsyncClient) -> str:
    """Publish an article of some length."""
    article = await make("articles", content=LONG)
    path = f"{API}/articles/{article['slug']}"
    headers = {"If-Match": (await administrator.get(path)).headers["etag"]}
    body(await administrator.post(f"{path}/publish", headers=headers))
    return path


async def test_a_miss_a_hit_and_what_both_say(article_path: str, anonymous: httpx.AsyncClient) -> None:
    missed, hit = [await anonymous.get(article_path, headers=PLAIN) for _ in range(2)]
    assert [status_of(answer) for answer in (missed, hit)] == ["fwd=uri-miss; stored", "hit; detail=memory"]
    assert missed.content == hit.content
    own = {"x-request-id", "cache-status", "ratelimit"}
    assert {**missed.headers, **dict.fromkeys(own, "")} == {**hit.headers, **dict.fromkeys(own, "")}
    assert re.fullmatch(r'"[0-9a-f]{8}\.\d+\.[0-9a-f]+"', hit.headers["etag"])
    assert hit.headers["cache-control"] == "public, no-cache"
    assert hit.headers["vary"] == "Accept, Accept-Encoding, Authorization"
    assert hit.headers["content-length"] == str(len(hit.content))


@pytest.mark.parametrize("path", ["hit", "miss"])
async def test_conditions(path: str, article_path: str, anonymous: httpx.AsyncClient) -> None:
    """The same on a miss as on a hit: the 304 of a miss fills the cache too."""
    etag = (await anonymous.get(article_path, headers=PLAIN)).headers["etag"]
    zipped = f'{etag[:-1]}.gz"'
    cases = {
        etag: 304,
        f"W/{etag}": 304,
        f'"other", {etag}': 304,
        f'"with, comma",W/{etag}': 304,
        "*": 304,
        zipped: 304,
        '"other"': 200,
        etag.strip('"'): 200,
        f'"{etag[1:9]}.1"': 200,
        "": 200,
    }
    for number, (condition, expected) in enumerate(cases.items()):
        address = f"{article_path}{'' if path == 'hit' else '?' + '&' * (number % 97 + 1)}"
        answer = await anonymous.get(address, headers={"If-None-Match": condition, **PLAIN})
        assert answer.status_code == expected, condition
        assert answer.headers["vary"] == "Accept, Accept-Encoding, Authorization"
        assert answer.headers["cache-control"] == "public, no-cache"
        assert answer.headers["etag"] in (etag, zipped)
        if expected == 304:
            assert answer.content == b""
            assert "content-type" not in answer.headers
            assert status_of(answer) == ("hit; detail=memory" if path == "hit" else "fwd=uri-miss; stored")
    # Several fields are one list.
    headers = [("If-None-Match", '"other"'), ("If-None-Match", etag)]
    assert (await anonymous.get(article_path, headers=headers)).status_code == 304


async def test_head_is_a_get_without_its_body(article_path: str, anonymous: httpx.AsyncClient) -> None:
    first = await anonymous.head(article_path, headers=PLAIN)
    got = await anonymous.get(article_path, headers=PLAIN)
    again = await anonymous.head(article_path, headers=PLAIN)
    assert [status_of(answer) for answer in (first, got, again)] == ["fwd=uri-miss; stored", "hit; detail=memory", "hit; detail=memory"]
    for answer in (first, again):
        assert answer.content == b""
        assert answer.headers["content-length"] == str(len(got.content))
        assert answer.headers["etag"] == got.headers["etag"]
    assert (await anonymous.head(article_path, headers={"If-None-Match": got.headers["etag"]})).status_code == 304


async def test_each_form_of_an_answer_has_its_own_etag(article_path: str, anonymous: httpx.AsyncClient, make: Make) -> None:
    plain = await anonymous.get(article_path, headers=PLAIN)
    zipped = await anonymous.get(article_path, headers=GZIP)
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == plain.content  # the client has unzipped it
    assert int(zipped.headers["content-length"]) < len(plain.content) / 2
    assert zipped.headers["etag"] == f'{plain.headers["etag"][:-1]}.gz"'
    for accepted, form in {
        "gzip;q=0": plain,
        "*": zipped,
        "br, GZIP;q=0.5": zipped,
        "gzip;q=0.0, *": plain,
        "br": plain,
        "": plain,
    }.items():
        answer = await anonymous.get(article_path, headers={"Accept-Encoding": accepted})
        assert answer.headers["etag"] == form.headers["etag"], accepted
    unchanged = await anonymous.get(article_path, headers={"If-None-Match": zipped.headers["etag"], **GZIP})
    assert (unchanged.status_code, unchanged.headers["etag"]) == (304, zipped.headers["etag"])
    # What is short stays as it is.
    short = await anonymous.get(f"{API}/tag-categories/{(await make('tag-categories'))['slug']}", headers=GZIP)
    assert "content-encoding" not in short.headers
    assert len(short.content) < 1024


async def test_if_match_takes_the_etag_of_either_form(editor: httpx.AsyncClient, anonymous: httpx.AsyncClient, make: Make) -> None:
    aircraft = await make("aircraft", description=LONG)
    path = f"{API}/aircraft/{aircraft['slug']}"
    etag = (await anonymous.get(path, headers=GZIP)).headers["etag"]
    assert etag.endswith('.gz"')
    changed = await editor.patch(path, json={"name": f"{aircraft['name']} bis"}, headers={"If-Match": etag})
    assert body(changed)["version"] == aircraft["version"] + 1


async def test_requests_with_a_token_see_the_database(article_path: str, anonymous: httpx.AsyncClient, reader: httpx.AsyncClient) -> None:
    await anonymous.get(article_path)
    for _ in range(2):
        answer = await reader.get(article_path)
        assert status_of(answer) == "fwd=bypass"
        assert answer.headers["cache-control"] == "private, no-store"
    refused = await anonymous.get(article_path, headers={"Authorization": "Bearer fja_wrong"})
    assert_problem(refused, 401, "not_authenticated")


async def test_a_draft_that_an_editor_has_seen_stays_unseen(editor: httpx.AsyncClient, anonymous: httpx.AsyncClient, make: Make) -> None:
    path = f"{API}/articles/{(await make('articles'))['slug']}"
    assert (await editor.get(path)).status_code == 200
    for status in ("fwd=uri-miss; stored", "hit; detail=memory"):
        hidden = await anonymous.get(path)
        assert_problem(hidden, 404, "not_found")
        assert status_of(hidden) == status
    assert (await editor.get(path)).status_code == 200


async def test_a_404_is_kept_with_the_id_of_each_request(anonymous: httpx.AsyncClient, number: int) -> None:
    answers = [await anonymous.get(f"{API}/aircraft/nobody-{number}") for _ in range(2)]
    assert [status_of(answer) for answer in answers] == ["fwd=uri-miss; stored", "hit; detail=memory"]
    first, second = [assert_problem(answer, 404, "not_found") for answer in answers]
    assert first["request_id"] != second["request_id"]
    assert {**first, "request_id": ""} == {**second, "request_id": ""}
    assert answers[1].headers["cache-control"] == "no-store"
    # A route that is not there is nobody's page.
    assert "stored" not in (await anonymous.get(f"{API}/nowhere")).headers.get("cache-status", "")


async def test_a_308_is_kept(editor: httpx.AsyncClient, anonymous: httpx.AsyncClient, make: Make) -> None:
    tag = await make("tags")
    path, slug = f"{API}/tags/{tag['slug']}", f"{tag['slug']}-renamed"
    etag = (await anonymous.get(path)).headers["etag"]
    body(await editor.patch(path, json={"slug": slug}, headers={"If-Match": etag}))
    answers = [await anonymous.get(path) for _ in range(2)]
    assert [(answer.status_code, answer.headers["location"]) for answer in answers] == [(308, f"{API}/tags/{slug}")] * 2
    assert [status_of(answer) for answer in answers] == ["fwd=stale; stored", "hit; detail=memory"]
    for answer in answers:
        assert answer.headers["cache-control"] == "public, no-cache"


async def test_what_is_refused_is_not_kept(application: Application) -> None:
    async with started() as own, own.client() as client:
        for path in (
            "/aircraft?nonsense=1",
            "/aircraft?size=1000",
            "/aircraft?page=x",
            "/tags?sort=__init__",
            "/nowhere?x=1",
            "/aircraft/x?y=z",
        ):
            answer = await client.get(f"{API}{path}")
            assert answer.status_code in (404, 422)
            assert not (answer.status_code == 422 and "stored" in status_of(answer)), path
        assert [key for key in own.cache.store._entries if key[1]] in ([], [(f"{API}/aircraft/x", b"y=z")])  # noqa: SLF001


async def test_many_unknown_parameters_leave_no_trace(database: str) -> None:
    async with started() as own, own.client() as client:
        before = len(own.cache.store)
        await asyncio.gather(*(client.get(f"{API}/tags?unknown={number}") for number in range(300)))
        assert len(own.cache.store) == before


async def test_memory_is_bounded_whatever_is_asked_for(database: str) -> None:
    bound = 1
    async with started(cache=CacheSettings(local_max_mb=bound)) as own, own.client() as client:
        for number in range(600):
            await client.get(f"{API}/aircraft/no-such-aircraft-{number}")
            assert own.cache.store.bytes <= bound * 1024 * 1024
        assert 100 < len(own.cache.store) < 600  # the bound was reached: the oldest have gone
        assert status_of(await client.get(f"{API}/aircraft/no-such-aircraft-599")) == "hit; detail=memory"
        assert status_of(await client.get(f"{API}/aircraft/no-such-aircraft-0")) == "fwd=uri-miss; stored"


async def test_200_first_readers_of_a_page_make_one_query(article_path: str, database: str) -> None:
    async with started() as own, own.client() as client:
        with recorded_queries(own.fastapi.state.engine) as warm_up:
            await client.get(f"{API}/tags?size=1")
        assert warm_up
        with recorded_queries(own.fastapi.state.engine) as queries:
            answers = await asyncio.gather(*(client.get(article_path, headers=PLAIN) for _ in range(200)))
    assert len([query for query in queries if "article" in query]) == 1
    assert len({answer.content for answer in answers}) == 1
    statuses = [status_of(answer) for answer in answers]
    assert statuses.count("fwd=uri-miss; stored") == 1
    assert set(statuses) <= {"fwd=uri-miss; stored", "fwd=uri-miss; collapsed", "hit; detail=memory", "hit; detail=redis"}


async def test_a_write_is_not_joined_to_an_older_query(database: str, editor: httpx.AsyncClient, make: Make) -> None:
    """A reader who comes after a write was acknowledged does not get what a query from before it has found."""
    aircraft = await make("aircraft")
    path = f"{API}/aircraft/{aircraft['slug']}"
    async with started() as own, own.client() as client:
        inner, gate, reached = own.cache.app, asyncio.Event(), asyncio.Event()

        async def held(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] != path or gate.is_set():
                await inner(scope, receive, send)
                return
            messages: list[Any] = []

            async def keep(message: Any) -> None:
                messages.append(message)

            await inner(scope, receive, keep)
            reached.set()
            await gate.wait()
            for message in messages:
                await send(message)

        own.cache.app = held
        early = asyncio.create_task(client.get(path))
        await reached.wait()
        reached.clear()
        etag = (await editor.get(path)).headers["etag"]
        body(await editor.patch(path, json={"name": "Written meanwhile"}, headers={"If-Match": etag}))
        late = asyncio.create_task(client.get(path))
        await reached.wait()  # it has asked the database itself
        gate.set()
        assert body(await early)["name"] == aircraft["name"]
        assert body(await late)["name"] == "Written meanwhile"
        # The slow reader did not put the old name back.
        for _ in range(2):
            assert body(await client.get(path))["name"] == "Written meanwhile"


async def test_an_entry_that_is_not_whole_is_a_miss(article_path: str, database: str) -> None:
    async with started() as own, own.client() as client:
        whole = await client.get(article_path)
        question = own.cache.question({"path": article_path, "query_string": b"", "headers": []})
        assert question.entry is not None
        key = question.level_key
        stored: bytes = await own.link.command("GET", key)
        head = stored.partition(b"\n")[0]
        broken = [
            stored[:-1],
            stored[: len(stored) // 2],
            stored.replace(b"200", b"201"),
            head,
            head + b"\n",
            b"",
            b"\n",
            head + b"\nzzzzzzzz[]",
        ]
        for value in [*broken, b"\x80\x04N.", orjson.dumps({"status": 200})]:
            await own.link.command("SET", key, value, "EX", 60)
            own.cache.store.remove(question.key)
            answer = await client.get(article_path)
            assert answer.content == whole.content
            assert status_of(answer) == "fwd=uri-miss; stored", value
        own.cache.store.remove(question.key)
        assert status_of(await client.get(article_path)) == "hit; detail=redis"


async def test_what_the_redis_level_holds_is_compressed_once(article_path: str, database: str) -> None:
    async with started() as first, first.client() as client:
        await client.get(article_path, headers=GZIP)
        question = first.cache.question({"path": article_path, "query_string": b"", "headers": []})
        stored: bytes = await first.link.command("GET", question.level_key)
        ttl = await first.link.command("TTL", question.level_key)
        assert question.entry is not None
        assert question.entry.answer.zipped is not None
        assert stored.endswith(question.entry.answer.zipped)
        assert gzip.decompress(question.entry.answer.zipped) == question.entry.answer.body
        assert 0 < ttl <= CacheSettings().ttl_s
    async with started() as second, second.client() as client:
        answer = await client.get(article_path, headers=GZIP)
        assert status_of(answer) == "hit; detail=redis"
        assert answer.headers["content-encoding"] == "gzip"


async def test_the_cache_can_be_switched_off(article_path: str, database: str) -> None:
    async with started(cache=CacheSettings(enabled=False)) as own, own.client() as client:
        for _ in range(2):
            answer = await client.get(article_path)
            assert status_of(answer) == "fwd=bypass"
            assert answer.headers["etag"]
        assert (await client.get(article_path, headers={"If-None-Match": answer.headers["etag"]})).status_code == 304


async def test_shared_caches_may_be_let_to_serve_without_asking(article_path: str, database: str) -> None:
    async with started(cache=CacheSettings(shared_max_age_s=30)) as own, own.client() as client:
        for _ in range(2):
            assert (await client.get(article_path)).headers["cache-control"] == "public, max-age=0, s-maxage=30, must-revalidate"
        assert (await client.get(f"{API}/aircraft/nobody-at-all")).headers["cache-control"] == "no-store"


async def test_an_answer_ends_with_its_time(article_path: str, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(cache=CacheSettings(ttl_s=60)) as own, own.client() as client:
        await client.get(article_path)
        question = own.cache.question({"path": article_path, "query_string": b"", "headers": []})
        assert question.entry is not None
        question.entry.until = 0.0
        await own.link.command("DEL", question.level_key)
        assert status_of(await client.get(article_path)) == "fwd=uri-miss; stored"


async def test_a_patch_costs_at_most_eight_round_trips(application: Application, editor: httpx.AsyncClient, make: Make) -> None:
    """Each statement is one, and so are BEGIN and COMMIT."""
    aircraft = await make("aircraft")
    path = f"{API}/aircraft/{aircraft['slug']}"
    etag = (await editor.get(path)).headers["etag"]
    with recorded_queries(application.fastapi.state.engine) as statements:
        body(await editor.patch(path, json={"name": f"{aircraft['name']} II"}, headers={"If-Match": etag}))
    assert len(statements) + len(("BEGIN", "COMMIT")) <= 8, statements
