"""Search over the starter encyclopedia: what people ask finds what they mean."""

from __future__ import annotations

import html
import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.application import Application, assert_problem, body
from tests.support.seeded import connection_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx

    from tests.conftest import Make

SEARCHES: list[dict[str, str]] = json.loads(Path(__file__).with_name("searches.json").read_text())
SEARCH, SUGGEST = "/api/v1/search", "/api/v1/suggest"


@pytest.fixture
async def connection(library_database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Look at the database of the library."""
    async with connection_to(library_database) as connection:
        yield connection


async def ask(client: httpx.AsyncClient, q: str, **parameters: Any) -> dict[str, Any]:
    """Return the answer to a question."""
    answer: dict[str, Any] = body(await client.get(SEARCH, params={"q": q, **parameters}))
    return answer


def hits(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Return kinds and slugs of what was found."""
    return [(item["kind"], item["slug"]) for item in answer["items"]]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search["q"])
async def test_the_first_hit_is_what_people_mean(search: dict[str, str], library: httpx.AsyncClient) -> None:
    answer = await ask(library, search["q"], size=3)
    assert hits(answer)[:1] == [(search["kind"], search["slug"])]


async def test_every_spelling_is_the_same_question(library: httpx.AsyncClient) -> None:
    for spellings in (["Ил2", "ил-2", "il 2", "IL-2"], ["Ёлка", "елка"], ["Мясищев", "Myasishchev"], ["Blériot", "BLERIOT"]):
        assert len({(await ask(library, spelling, size=1))["normalised"] for spelling in spellings}) == 1


async def test_an_answer_is_complete_and_safe(library: httpx.AsyncClient) -> None:
    answer = await ask(library, "Il-2", size=2)
    item = answer["items"][0]
    assert item["url"] == "/api/v1/aircraft/ilyushin-il-2"
    assert body(await library.get(item["url"]))["id"] == item["id"]
    assert item["highlight"]["name"] == "Ilyushin <mark>Il-2</mark>"
    assert answer["pages"] == -(-answer["total"] // 2)
    scores = [found["score"] for found in (await ask(library, "fighter", size=100))["items"]]
    assert scores == sorted(scores, reverse=True)


async def test_pages_show_every_match_once(library: httpx.AsyncClient) -> None:
    whole = await ask(library, "boeing", size=100)
    pages = [await ask(library, "boeing", size=7, page=number) for number in range(1, -(-whole["total"] // 7) + 1)]
    assert [hit for page in pages for hit in hits(page)] == hits(whole)
    assert len(set(hits(whole))) == whole["total"] == len(whole["items"])


@pytest.mark.parametrize("q", ["boeing", "истребитель", "Sikorsky", "jet", "MiG-15", "wing", "mesershmitt", "nothing like it"])
async def test_facets_are_the_totals_of_the_narrowed_search(q: str, library: httpx.AsyncClient) -> None:
    answer = await ask(library, q, size=1)
    assert answer["facets_exact"] is answer["total_exact"] is True
    assert sum(count["count"] for count in answer["facets"]["kind"]) == answer["total"]
    for facet, counts in answer["facets"].items():
        for count in counts:
            narrowed = await ask(library, q, size=1, **{facet: count["value"]})
            assert narrowed["total"] == count["count"], (facet, count)
    missing = {"aircraft", "designers", "design-bureaus", "manufacturers", "engines", "articles"} - {
        count["value"] for count in answer["facets"]["kind"]
    }
    for kind in missing:
        assert (await ask(library, q, kind=kind))["total"] == 0


async def test_nothing_found_is_an_answer_with_suggestions(library: httpx.AsyncClient) -> None:
    answer = await ask(library, "konkordvwzjgx")
    assert (answer["total"], answer["items"]) == (0, [])
    assert answer["suggestions"]
    assert body(await library.get(SEARCH, params={"q": "***"}))["total"] == 0


async def test_a_correction_says_what_was_asked_instead(library: httpx.AsyncClient) -> None:
    answer = await ask(library, "boeng")
    assert answer["query"] == "boeng"
    assert answer["normalised"] == "boeing"
    assert "Boeing" in answer["suggestions"]


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({}, "/query/q"),
        ({"q": ""}, "/query/q"),
        ({"q": "  "}, "/query/q"),
        ({"q": "a" * 201}, "/query/q"),
        ({"q": "a" * 8000}, "/query/q"),
        ({"q": "a\x07"}, "/query/q"),
        ({"q": "a", "kind": "countries"}, "/query/kind/0"),
        ({"q": "a", "decade": "1935"}, "/query/decade/0"),
        ({"q": "a", "category": "cat"}, "/query/category/0"),
        ({"q": "a", "size": 101}, "/query/size"),
        ({"q": "a", "page": 200, "size": 100}, "/query/page"),
        ({"q": "a", "nonsense": 1}, "/query/nonsense"),
    ],
)
async def test_a_wrong_question_is_refused(parameters: dict[str, Any], pointer: str, library: httpx.AsyncClient) -> None:
    problem = assert_problem(await library.get(SEARCH, params=parameters), 422, "validation_error")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize(
    "q",
    [
        "a & b | !c",
        "'; DROP TABLE aircraft; --",
        "a:*",
        "<->",
        "((((",
        "%_%",
        "\\",
        "a1 " * 66,
        "щ" * 200,
        "ß" * 200,
        "👩‍🚀",
        "\u202eabc",
        "İ",
        "x" * 200,
    ],
)
async def test_a_hostile_question_is_only_a_question(q: str, library: httpx.AsyncClient) -> None:
    answer = await ask(library, q.strip())
    # Operators and escapes say nothing: what is found is what its words find.
    words = re.sub(r"[\W_]+", " ", q).strip()
    assert hits(answer) == (hits(await ask(library, words)) if words else [])
    body(await library.get(SUGGEST, params={"q": q.strip()}))


async def test_texts_are_escaped_and_only_matches_are_marked(administrator: httpx.AsyncClient, make: Make, number: int) -> None:
    word = "zyx" + str(number).translate(str.maketrans("0123456789", "abcdefghij")) + "word"
    title = f'<b onclick="alert()">{word}</b> & "quotes"'
    article = await make("articles", title=title, summary=f"<b>{word}</b> <mark>not a match</mark>")
    path = f"/api/v1/articles/{article['id']}"
    etag = (await administrator.get(path)).headers["etag"]
    body(await administrator.post(f"{path}/publish", headers={"If-Match": etag}))
    (item,) = (await ask(administrator, word))["items"]
    for shown in item["highlight"].values():
        assert re.findall(r"<[^>]*>", shown) == ["<mark>", "</mark>"]
    assert html.unescape(re.sub("</?mark>", "", item["highlight"]["name"])) == title


async def test_normalising_twice_changes_nothing(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    chance = random.Random(7)  # noqa: S311 - the same texts in every run
    letters = "abckhxyewijß éЁйщьхкЮЯ0123-.'/«»九אقåøŁ\u0301\u200b가"
    texts = ["".join(chance.choice(letters) for _ in range(chance.randint(1, 30))) for _ in range(4000)]
    texts += ["".join(chr(chance.randint(33, 0x2FFF)) for _ in range(12)) for _ in range(1000)]
    names = [row["name"] for row in await connection.fetch("SELECT DISTINCT name FROM search_name")]
    changed = await connection.fetch(
        "SELECT text FROM unnest($1::text[]) AS text WHERE search_key(search_key(text)) <> search_key(text)", texts + names
    )
    assert [row["text"] for row in changed] == []


async def test_every_name_finds_its_own_entry_among_the_first_three(
    connection: asyncpg.Connection[asyncpg.Record], library: httpx.AsyncClient
) -> None:
    # Whole names by weight: at most two entries may stand before an entry under one of its own names.
    beaten = await connection.fetch("""
        SELECT own.name FROM search_name AS own WHERE own.weight >= 3 AND (
            SELECT count(*) FROM search_name AS other WHERE other.key = own.key AND other.weight > own.weight) > 2
    """)
    assert [row["name"] for row in beaten] == []
    rows = await connection.fetch("SELECT kind, slug, name FROM search_name JOIN search_document USING (kind, entity_id) WHERE weight >= 3")
    for row in random.Random(7).sample(rows, 250):  # noqa: S311
        assert (row["kind"], row["slug"]) in hits(await ask(library, row["name"], size=3)), row["name"]


async def test_the_documents_are_what_the_entries_say(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """What triggers have kept is what a fresh reading makes."""
    differing = await connection.fetchval("""
        SELECT count(*) FROM search_source AS s FULL JOIN search_document AS d USING (kind, entity_id)
        WHERE (s.slug, s.label, s.summary, s.category, s.decade, s.country_ids, s.is_public)
            IS DISTINCT FROM (d.slug, d.label, d.summary, d.category, d.decade, d.country_ids, d.is_public)
    """)
    assert differing == 0
    assert await connection.fetchval("SELECT count(*) FROM search_document") > 900


@pytest.mark.parametrize(
    ("q", "slug"),
    [
        ("mig", "mikoyan"),
        ("ми", "mil-mi-8"),
        ("conc", "concorde"),
        ("сик", "igor-sikorsky"),
        ("Il", "ilyushin-il-2"),
        ("lockh", "lockheed-u-2"),
    ],
)
async def test_suggest_completes_a_name(q: str, slug: str, library: httpx.AsyncClient) -> None:
    items = body(await library.get(SUGGEST, params={"q": q}))["items"]
    assert 1 <= len(items) <= 10
    assert slug in [item["slug"] for item in items]
    assert all(set(item) == {"kind", "slug", "name", "url"} for item in items)


async def test_a_change_is_found_at_the_next_request(
    editor: httpx.AsyncClient, anonymous: httpx.AsyncClient, make: Make, number: int
) -> None:
    before, after = f"Quux{number}alpha", f"Quux{number}beta"
    country = await make("countries")
    aircraft = await make("aircraft", name=before, countries=[country["slug"]])
    path = f"/api/v1/aircraft/{aircraft['id']}"
    assert hits(await ask(anonymous, before)) == [("aircraft", aircraft["slug"])]
    assert (await ask(anonymous, before, country=country["slug"]))["facets"]["country"] == [{"value": country["code"], "count": 1}]
    etag = (await editor.get(path)).headers["etag"]
    body(await editor.patch(path, json={"name": after, "countries": []}, headers={"If-Match": etag}))
    assert (await ask(anonymous, before, size=1))["suggestions"] != [] or hits(await ask(anonymous, before)) == []
    assert hits(await ask(anonymous, after)) == [("aircraft", aircraft["slug"])]
    assert (await ask(anonymous, after))["facets"]["country"] == []
    assert body(await anonymous.get(SUGGEST, params={"q": after}))["items"][0]["slug"] == aircraft["slug"]
    etag = (await editor.get(path)).headers["etag"]
    assert (await editor.delete(path, headers={"If-Match": etag})).status_code == 204
    assert ("aircraft", aircraft["slug"]) not in hits(await ask(anonymous, after))
    assert body(await anonymous.get(SUGGEST, params={"q": after}))["items"] == []


async def test_drafts_are_seen_by_editors_alone(
    application: Application, anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    word = f"Secretdraft{number}x"
    await make("articles", title=word, summary=f"{word} summary", keywords=[word])
    for client in (anonymous, reader):
        answer = await ask(client, word)
        assert (answer["total"], answer["facets"]["kind"], answer["facets"]["category"]) == (0, [], [])
        assert body(await client.get(SUGGEST, params={"q": word}))["items"] == []
        for path in ("/api/v1/pages/home", "/feeds/articles.atom", "/feeds/changes.atom", "/sitemaps/articles-1.xml", "/api/v1/statistics"):
            assert word.lower() not in (await client.get(path)).text.lower()
    assert (await ask(editor, word))["total"] == 1
    assert len(body(await editor.get(SUGGEST, params={"q": word}))["items"]) == 1
