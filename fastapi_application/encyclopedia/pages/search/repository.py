"""Queries of search and suggest.

How a question is understood and how an entity is indexed is one thing, written once, in the functions of the database
(`search_text`, `search_key`, `search_query`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncSession

MAX_MATCHES = 1000
"""Matches that are ranked and counted; a question with more says that its numbers are not exact."""
SUGGESTIONS = 10
MARK, UNMARK = "\x02", "\x03"
"""Around what matched; no stored text has control characters."""

_UNDERSTAND = text("""
    SELECT search_key(:q) AS key, CAST(search_query(:q) AS text) AS query,
        CAST(ARRAY(
            SELECT id FROM country WHERE code = ANY (:countries) OR CAST(id AS text) = ANY (:countries)
            UNION SELECT entity_id FROM entity_slug WHERE kind = 'countries' AND slug = ANY (:countries)
        ) AS uuid[]) AS country_ids
""")

# The planner must not know the words: for a frequent one, or one that it has never met, it would rather read the whole
# table until something matches, not knowing what it costs to fetch a long vector. The index finds either at once.
_ASKED = "asked AS MATERIALIZED (SELECT CAST(:query AS tsquery) AS words)"

_EXISTS = text(f"""
    WITH {_ASKED}
    SELECT EXISTS (
        SELECT FROM search_name JOIN search_document USING (kind, entity_id) WHERE key = :key AND (is_public OR :everything)
    ) OR EXISTS (
        SELECT FROM asked JOIN search_document ON document @@ words WHERE is_public OR :everything
    )
""")  # noqa: S608 - a constant of this file

_FILTERS = """(is_public OR :everything)
            AND (CAST(:kinds AS text[]) IS NULL OR d.kind = ANY (:kinds))
            AND (CAST(:country_ids AS uuid[]) IS NULL OR d.country_ids && :country_ids)
            AND (CAST(:decades AS integer[]) IS NULL OR d.decade = ANY (:decades))
            AND (CAST(:categories AS text[]) IS NULL OR d.category = ANY (:categories))
            AND (CAST(:languages AS text[]) IS NULL OR d.language = ANY (:languages))"""

# Names come first, then the words of the whole document. The rank within those reads only the small `head`.
_FIND = text(f"""
    WITH {_ASKED}, named AS MATERIALIZED (
        SELECT kind, entity_id, weight FROM search_name JOIN search_document AS d USING (kind, entity_id)
        WHERE key = :key AND {_FILTERS} ORDER BY key, weight DESC LIMIT :limit
    ), worded AS MATERIALIZED (
        SELECT kind, entity_id FROM asked JOIN search_document AS d ON document @@ words WHERE {_FILTERS} LIMIT :limit
    ), candidate AS MATERIALIZED (
        SELECT kind, entity_id, max(weight) AS weight
        FROM (SELECT kind, entity_id, weight + 1 AS weight FROM named UNION ALL SELECT kind, entity_id, 0 FROM worded) AS found
        GROUP BY kind, entity_id
    ), matched AS MATERIALIZED (
        SELECT d.kind, entity_id, label, category, decade, country_ids,
            weight + ts_rank('{{0.05, 0.1, 0.3, 1}}', head, CAST(:query AS tsquery)) AS score
        FROM candidate JOIN search_document AS d USING (kind, entity_id)
    ), page AS (
        SELECT kind, entity_id, score FROM matched
        ORDER BY score DESC, array_position(:kinds_in_order, kind), length(label), label COLLATE "C", entity_id
        LIMIT :size OFFSET :offset
    )
    SELECT
        (SELECT count(*) FROM matched) AS total,
        (SELECT count(*) FROM named) < :limit AND (SELECT count(*) FROM worded) < :limit AS exact,
        ARRAY(SELECT json_build_array(kind, entity_id, score) FROM page) AS page,
        ARRAY(SELECT json_build_array(kind, count(*)) FROM matched GROUP BY kind ORDER BY count(*) DESC, kind) AS kind,
        ARRAY(SELECT json_build_array(code, count(*)) FROM matched, unnest(country_ids) AS country_id
            JOIN country ON country.id = country_id GROUP BY code ORDER BY count(*) DESC, code) AS country,
        ARRAY(SELECT json_build_array(lpad(CAST(decade AS text), 4, '0') || 's', count(*)) FROM matched
            WHERE decade IS NOT NULL GROUP BY decade ORDER BY decade) AS decade,
        ARRAY(SELECT json_build_array(category, count(*)) FROM matched
            WHERE category IS NOT NULL GROUP BY category ORDER BY count(*) DESC, category) AS category
""")  # noqa: S608 - a constant of this file

# A stored text has "Il-2", which the parser reads as the number -2: `shown` takes it as well as 2.
_SHOW = text("""
    SELECT d.kind, CAST(d.entity_id AS text) AS entity_id, d.slug, d.label, d.summary,
        ts_headline('public.encyclopedia', d.label, shown, 'HighlightAll=true, ' || :marks) AS name,
        ts_headline('public.encyclopedia', CASE WHEN to_tsvector('public.encyclopedia', coalesce(d.summary, '')) @@ shown
            THEN d.summary ELSE coalesce(body, d.summary, '') END, shown, 'MaxWords=40, MinWords=20, ' || :marks) AS text
    FROM unnest(CAST(:kinds AS text[]), CAST(:ids AS uuid[])) WITH ORDINALITY AS page(kind, entity_id, position)
        JOIN search_document AS d USING (kind, entity_id)
        JOIN search_source AS source USING (kind, entity_id)
        CROSS JOIN (SELECT CAST(regexp_replace(:query, '''([0-9]+)''', '(''\\1'' | ''-\\1'')', 'g') AS tsquery) AS shown) AS question
    ORDER BY position
""")

_NEAREST = text("""
    SELECT key, name, levenshtein(key, :key) AS distance FROM search_name
    WHERE key % :key AND length(key) >= 5 AND weight >= 1 AND levenshtein_less_equal(key, :key, 2) <= 2
        AND EXISTS (SELECT FROM search_document AS d
            WHERE (d.kind, d.entity_id) = (search_name.kind, search_name.entity_id) AND (is_public OR :everything))
    ORDER BY distance, weight DESC, similarity(key, :key) DESC, key LIMIT 10
""")

# What stands before and behind the question in the alphabet: something that begins like it.
_NEIGHBOURS = text("""
    SELECT DISTINCT ON (label) label FROM (
        (SELECT kind, entity_id FROM search_name WHERE key >= :key AND weight = 4 ORDER BY key LIMIT 6)
        UNION ALL (SELECT kind, entity_id FROM search_name WHERE key < :key AND weight = 4 ORDER BY key DESC LIMIT 6)
    ) AS near JOIN search_document USING (kind, entity_id) WHERE is_public LIMIT 5
""")

# A short beginning has many names: the first of the alphabet are ranked, not all of them.
_SUGGEST = text("""
    WITH found AS MATERIALIZED (
        SELECT kind, entity_id, key, weight FROM search_name
        WHERE key >= :key AND key < :key || U&'\\FFFF' ORDER BY key, weight DESC LIMIT 1000
    ), best AS (
        SELECT kind, entity_id, min(length(key)) AS length,
            max(CASE WHEN key = :key THEN 10 ELSE 0 END + CASE WHEN kind = 'articles' THEN 0 ELSE weight END) AS score
        FROM found GROUP BY kind, entity_id
    )
    SELECT d.kind, d.slug, d.label FROM best JOIN search_document AS d USING (kind, entity_id)
    WHERE is_public OR :everything
    ORDER BY score DESC, length, array_position(:kinds_in_order, d.kind), length(label), label COLLATE "C", entity_id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Terms:
    """A question as the index understands it."""

    key: str
    query: str
    country_ids: list[uuid.UUID]


class SearchRepository:
    """Questions to the documents and names."""

    def __init__(self, session: AsyncSession, kinds: Sequence[str], *, everything: bool) -> None:
        """Bind the repository to a session; `kinds` in the order in which equals are shown, `everything`: drafts too."""
        self.session = session
        self.kinds = list(kinds)
        self.everything = everything

    async def understand(self, q: str, countries: list[str]) -> Terms:
        """Normalise a question, and look up the countries that it is about."""
        row = (await self.session.execute(_UNDERSTAND, {"q": q, "countries": countries})).one()
        return Terms(*row)

    async def exists(self, terms: Terms) -> bool:
        """Whether anything at all matches."""
        parameters = {"key": terms.key, "query": terms.query, "everything": self.everything}
        return bool(await self.session.scalar(_EXISTS, parameters))

    async def find(self, terms: Terms, filters: dict[str, Any], size: int, offset: int) -> RowMapping:
        """Return the page as (kind, id, score), the total and the facets."""
        own = {"key": terms.key, "query": terms.query, "everything": self.everything, "kinds_in_order": self.kinds}
        paging = {"limit": MAX_MATCHES, "size": size, "offset": offset}
        return (await self.session.execute(_FIND, {**own, **filters, **paging})).mappings().one()

    async def show(self, page: list[tuple[str, str, float]], terms: Terms) -> Sequence[RowMapping]:
        """Return what a page shows, with the matches marked."""
        marks = f"StartSel={MARK}, StopSel={UNMARK}"
        parameters = {"kinds": [row[0] for row in page], "ids": [row[1] for row in page], "query": terms.query, "marks": marks}
        return (await self.session.execute(_SHOW, parameters)).mappings().all()

    async def nearest(self, key: str) -> Sequence[RowMapping]:
        """Return names at most two letters away, the nearest first."""
        return (await self.session.execute(_NEAREST, {"key": key, "everything": self.everything})).mappings().all()

    async def neighbours(self, key: str) -> list[str]:
        """Return names that begin like a question which nothing matches."""
        return list(await self.session.scalars(_NEIGHBOURS, {"key": key}))

    async def suggest(self, key: str) -> Sequence[RowMapping]:
        """Return the best names that begin with a key."""
        parameters = {"key": key, "limit": SUGGESTIONS, "everything": self.everything, "kinds_in_order": self.kinds}
        return (await self.session.execute(_SUGGEST, parameters)).mappings().all()
