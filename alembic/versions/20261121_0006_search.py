"""What search, suggest and timeline read: a document for each entity, its names and events, and the triggers that keep them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

EXTENSIONS = ("unaccent", "pg_trgm", "fuzzystrmatch")

# The words of a text, as they are indexed and asked for: without accents and case, digits apart from letters.
# `unaccent` is only STABLE because its dictionary could be changed; named, and never changed here, it is immutable.
# The collation is PostgreSQL's own, so that nothing depends on the locale of the server.
SEARCH_TEXT = r"""
CREATE FUNCTION search_text(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT btrim(regexp_replace(
        regexp_replace(
            lower(public.unaccent('public.unaccent'::regdictionary,
                lower(normalize(value, NFC) COLLATE pg_catalog.pg_c_utf8)) COLLATE pg_catalog.pg_c_utf8),
            '([[:alpha:]])(?=[[:digit:]])|([[:digit:]])(?=[[:alpha:]])', '\1\2 ', 'g'),
        '[^[:alnum:]]+', ' ', 'g'))
$$"""

# Latin letters for Cyrillic ones, and one spelling for what transliterations spell differently: Myasishchev = Мясищев.
# Regular expressions with a back reference are slow, so a cheaper one looks first.
SEARCH_LETTERS = r"""
CREATE FUNCTION search_letters(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    doubled CONSTANT text := 'aa|bb|cc|dd|ee|ff|gg|hh|ii|jj|kk|ll|mm|nn|oo|pp|qq|rr|ss|tt|uu|vv|zz';
BEGIN
    value := translate(value, 'абвгґдеёєзийіїклмнопрстуўфхыэwъь', 'abvggdeeeziiiiklmnoprstuufhiev');
    IF value ~ '[жцчшщюя]' THEN
        value := replace(replace(replace(replace(value, 'ж', 'zh'), 'ц', 'ts'), 'ч', 'ch'), 'щ', 'shch');
        value := replace(replace(replace(value, 'ш', 'sh'), 'ю', 'iu'), 'я', 'ia');
    END IF;
    IF value ~ '[yx]' THEN
        value := regexp_replace(regexp_replace(value, 'y+', 'y', 'g'), 'x+', 'ks', 'g');
        value := translate(replace(value, 'ye', 'e'), 'y', 'i');
    END IF;
    IF value ~ doubled THEN
        value := regexp_replace(value, '([a-z])\1+', '\1', 'g');
    END IF;
    value := regexp_replace(value, '(?<!c)kh', 'h', 'g');
    IF value ~ doubled THEN
        value := regexp_replace(value, '([a-z])\1+', '\1', 'g');
    END IF;
    RETURN value;
END
$$"""

# The one spelling of a name, without blanks: Ил-2, ил2, IL 2 and Il-2 are il2. Applying it twice changes nothing.
SEARCH_KEY = """
CREATE FUNCTION search_key(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN normalize(public.search_letters(normalize(replace(public.search_text(value), ' ', ''), NFC)), NFC);
END
$$"""

# Stems of English words in Latin script and of Russian ones in Cyrillic: the script of a word tells its language, whatever
# the language of the article around it.
SEARCH_VECTOR = """
CREATE FUNCTION search_vector(value text) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT to_tsvector('public.encyclopedia'::regconfig, public.search_text(value))
$$"""

# Every word of a question must be there, as a stem or, in a name, in any spelling. Digits follow their letters: "il 2".
# Words that say nothing ("the") are left out, unless nothing else is asked.
SEARCH_QUERY = """
CREATE FUNCTION search_query(value text) RETURNS tsquery LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    word text;
    stems tsquery;
    result tsquery := ''::tsquery;
BEGIN
    FOREACH word IN ARRAY regexp_split_to_array(btrim(value), '\\s+') LOOP
        word := public.search_text(word);
        stems := phraseto_tsquery('public.encyclopedia'::regconfig, word);
        IF numnode(stems) > 0 THEN
            result := result && (stems || phraseto_tsquery('pg_catalog.simple'::regconfig, public.search_letters(word)));
        END IF;
    END LOOP;
    RETURN result;
END
$$"""

# The decade of a date of history, if it lies in one decade for certain: 1936 and 193X do, 1939/1941 does not.
EDTF_DECADE = """
CREATE FUNCTION edtf_decade(earliest integer, latest integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN earliest >= 1 AND latest <= 3652059
            AND extract(decade FROM DATE '0001-01-01' + (earliest - 1)) = extract(decade FROM DATE '0001-01-01' + (latest - 1))
        THEN (extract(decade FROM DATE '0001-01-01' + (earliest - 1)) * 10)::integer
    END
$$"""

# The first words of a Markdown text, for a list of results.
SEARCH_SUMMARY = r"""
CREATE FUNCTION search_summary(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT nullif(CASE WHEN length(plain) > 280 THEN regexp_replace(left(plain, 280), '\s+\S*$', '') || '…' ELSE plain END, '')
    FROM (SELECT btrim(regexp_replace(
        regexp_replace(left(value, 1000), '!?\[([^\]]*)\]\([^)]*\)', '\1', 'g'), '[#*_`>\s]+', ' ', 'g')) AS plain) AS stripped
$$"""

# What each kind shows to search. `names` begins with the one that is shown; `parts` says what of a name
# is a name too: its words, those of a person (the last is what people say), or nothing (`whole`).
SEARCH_SOURCE = """
CREATE VIEW search_source AS
SELECT 'aircraft' AS kind, id AS entity_id, slug, name AS label,
    array_remove(ARRAY[name, original_name] || ARRAY(SELECT alias->>'name' FROM json_array_elements(aliases) AS alias)
        || ARRAY(SELECT value FROM json_each_text(names)) || ARRAY[icao_designator, iata_designator], NULL) AS names,
    'words' AS parts, search_summary(description) AS summary, description AS body, NULL AS language, category,
    edtf_decade(first_flight_earliest, first_flight_latest) AS decade,
    ARRAY(SELECT country_id FROM aircraft_country AS link WHERE link.aircraft_id = aircraft.id ORDER BY position) AS country_ids,
    true AS is_public
FROM aircraft
UNION ALL
SELECT 'designers', id, slug, name,
    array_remove(ARRAY[name, original_name] || ARRAY(SELECT alias->>'name' FROM json_array_elements(aliases) AS alias), NULL),
    'person', search_summary(biography), biography, NULL, NULL,
    edtf_decade(birth_date_earliest, birth_date_latest), array_remove(ARRAY[country_id], NULL), true
FROM designer
UNION ALL
SELECT 'design-bureaus', id, slug, name,
    array_remove(ARRAY[name, original_name] || ARRAY(SELECT alias->>'name' FROM json_array_elements(aliases) AS alias), NULL),
    'words', location, NULL, NULL, NULL,
    edtf_decade(founded_earliest, founded_latest), array_remove(ARRAY[country_id], NULL), true
FROM design_bureau
UNION ALL
SELECT 'manufacturers', id, slug, name,
    array_remove(ARRAY[name, original_name] || ARRAY(SELECT alias->>'name' FROM json_array_elements(aliases) AS alias), NULL),
    'words', NULL, NULL, NULL, kind,
    edtf_decade(founded_earliest, founded_latest), array_remove(ARRAY[country_id], NULL), true
FROM manufacturer
UNION ALL
SELECT 'engines', id, slug, name, array_remove(ARRAY[name, original_name], NULL),
    'words', manufacturer_name, NULL, NULL, type,
    edtf_decade(first_run_earliest, first_run_latest), array_remove(ARRAY[country_id], NULL), true
FROM engine
UNION ALL
SELECT 'articles', id, slug, title, ARRAY[title],
    'whole', coalesce(summary, search_summary(content)), concat_ws(' ', array_to_string(keywords, ' '), content), language, category,
    NULL, '{}'::uuid[], status = 'published'
FROM article"""

# What happened to an entity, and when. A day of the year is known only where the whole date is.
EVENT_SOURCE = """
CREATE VIEW event_source AS
SELECT kind, entity_id, event, date_edtf, earliest, latest,
    CASE WHEN date_edtf ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN right(date_edtf, 5) END AS month_day
FROM (
    SELECT 'aircraft' AS kind, id AS entity_id, event, date_edtf, earliest, latest FROM aircraft CROSS JOIN LATERAL (VALUES
        ('first_flight', first_flight_edtf, first_flight_earliest, first_flight_latest),
        ('introduced', introduced_edtf, introduced_earliest, introduced_latest),
        ('retired', retired_edtf, retired_earliest, retired_latest)) AS dates (event, date_edtf, earliest, latest)
    UNION ALL
    SELECT 'designers', id, event, date_edtf, earliest, latest FROM designer CROSS JOIN LATERAL (VALUES
        ('born', birth_date_edtf, birth_date_earliest, birth_date_latest),
        ('died', death_date_edtf, death_date_earliest, death_date_latest)) AS dates (event, date_edtf, earliest, latest)
    UNION ALL
    SELECT 'design-bureaus', id, event, date_edtf, earliest, latest FROM design_bureau CROSS JOIN LATERAL (VALUES
        ('founded', founded_edtf, founded_earliest, founded_latest),
        ('dissolved', dissolved_edtf, dissolved_earliest, dissolved_latest)) AS dates (event, date_edtf, earliest, latest)
    UNION ALL
    SELECT 'manufacturers', id, event, date_edtf, earliest, latest FROM manufacturer CROSS JOIN LATERAL (VALUES
        ('founded', founded_edtf, founded_earliest, founded_latest),
        ('dissolved', dissolved_edtf, dissolved_earliest, dissolved_latest)) AS dates (event, date_edtf, earliest, latest)
    UNION ALL
    SELECT 'engines', id, 'first_run', first_run_edtf, first_run_earliest, first_run_latest FROM engine
) AS events
WHERE date_edtf IS NOT NULL"""

# Whole names weigh 4 (the one that is shown) or 3, a part with a digit 2 (a designation: "F-15" of "McDonnell Douglas F-15
# Eagle") and a surname, a single word 1, other parts 0. A short number alone names nothing.
SEARCH_NAMES = r"""
CREATE FUNCTION search_names(names text[], parts text)
RETURNS TABLE (key text, name text, weight smallint) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    WITH given AS (
        SELECT given.name, given.position,
            (regexp_split_to_array(btrim(regexp_replace(given.name, '[][\s()«»"“”„,/:;]+', ' ', 'g')), ' '))[1:8] AS words
        FROM unnest(names) WITH ORDINALITY AS given(name, position)
    ), spelled AS (
        SELECT public.search_key(given.name) AS key, given.name, CASE position WHEN 1 THEN 4 ELSE 3 END AS weight FROM given
        UNION ALL
        SELECT public.search_key(array_to_string(part, ' ')), given.name,
            CASE WHEN array_to_string(part, '') ~ '[0-9]' THEN 2
                WHEN first = cardinality(words) AND parts = 'person' THEN 2 WHEN last = first THEN 1 ELSE 0 END
        FROM given
            CROSS JOIN LATERAL generate_series(1, cardinality(words)) AS first
            CROSS JOIN LATERAL generate_series(first, least(first + 3, cardinality(words))) AS last
            CROSS JOIN LATERAL (SELECT words[first:last] AS part) AS piece
        WHERE parts <> 'whole' AND cardinality(words) > 1 AND NOT (first = 1 AND last = cardinality(words))
    )
    SELECT DISTINCT ON (spelled.key) spelled.key, spelled.name, spelled.weight::smallint
    FROM spelled
    WHERE spelled.key <> '' AND (spelled.weight > 2 OR spelled.key !~ '^([0-9]{1,2}|.)$')
    ORDER BY spelled.key, spelled.weight DESC, spelled.name COLLATE "C"
$$"""

# Brings the documents of some entities up to date, and writes only what differs.
SEARCH_REFRESH = """
CREATE FUNCTION search_refresh(of_kind text, ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_document AS kept
        (kind, entity_id, slug, label, summary, language, category, decade, country_ids, is_public, head, document)
    SELECT kind, entity_id, slug, label, summary, language, category, decade, country_ids, is_public, head,
        head || setweight(coalesce(search_vector(body), ''), 'D')
    FROM search_source
        CROSS JOIN LATERAL (SELECT array_to_string(names, ' . ') AS all_names) AS joined
        CROSS JOIN LATERAL (SELECT setweight(search_vector(all_names), 'A')
            || setweight(to_tsvector('pg_catalog.simple', search_letters(search_text(all_names))), 'A')
            || setweight(coalesce(search_vector(summary), ''), 'B') AS head) AS vectors
    WHERE kind = of_kind AND entity_id = ANY (ids)
    ON CONFLICT (kind, entity_id) DO UPDATE SET
        slug = excluded.slug, label = excluded.label, summary = excluded.summary, language = excluded.language,
        category = excluded.category, decade = excluded.decade, country_ids = excluded.country_ids,
        is_public = excluded.is_public, head = excluded.head, document = excluded.document
    WHERE kept.* IS DISTINCT FROM excluded.*;
    WITH fresh AS MATERIALIZED (
        SELECT kind, entity_id, spelled.key, spelled.name, spelled.weight
        FROM search_source AS source CROSS JOIN LATERAL search_names(names, source.parts) AS spelled
        WHERE kind = of_kind AND entity_id = ANY (ids)
    ), gone AS (
        DELETE FROM search_name AS old WHERE old.kind = of_kind AND old.entity_id = ANY (ids)
            AND NOT EXISTS (SELECT FROM fresh WHERE fresh.entity_id = old.entity_id AND fresh.key = old.key)
    )
    INSERT INTO search_name AS kept (kind, entity_id, key, name, weight) SELECT kind, entity_id, key, name, weight FROM fresh
    ON CONFLICT (kind, entity_id, key) DO UPDATE SET name = excluded.name, weight = excluded.weight
    WHERE kept.* IS DISTINCT FROM excluded.*;
    WITH fresh AS MATERIALIZED (
        SELECT kind, entity_id, event, date_edtf, earliest, latest, month_day FROM event_source
        WHERE kind = of_kind AND entity_id = ANY (ids)
    ), gone AS (
        DELETE FROM timeline_event AS old WHERE old.kind = of_kind AND old.entity_id = ANY (ids)
            AND NOT EXISTS (SELECT FROM fresh WHERE fresh.entity_id = old.entity_id AND fresh.event = old.event)
    )
    INSERT INTO timeline_event AS kept (kind, entity_id, event, date_edtf, earliest, latest, month_day)
    SELECT kind, entity_id, event, date_edtf, earliest, latest, month_day FROM fresh
    ON CONFLICT (kind, entity_id, event) DO UPDATE SET
        date_edtf = excluded.date_edtf, earliest = excluded.earliest, latest = excluded.latest, month_day = excluded.month_day
    WHERE kept.* IS DISTINCT FROM excluded.*;
END
$$"""

SEARCH_CHANGED = """
CREATE FUNCTION search_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM search_refresh(TG_ARGV[0], ARRAY(SELECT id FROM changed));
    RETURN NULL;
END
$$"""

SEARCH_REMOVED = """
CREATE FUNCTION search_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_document WHERE kind = TG_ARGV[0] AND entity_id IN (SELECT id FROM changed);
    RETURN NULL;
END
$$"""

SEARCH_COUNTRIES_CHANGED = """
CREATE FUNCTION search_countries_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM search_refresh('aircraft', ARRAY(SELECT DISTINCT aircraft_id FROM changed));
    RETURN NULL;
END
$$"""

FUNCTIONS = {
    "search_text(text)": SEARCH_TEXT,
    "search_letters(text)": SEARCH_LETTERS,
    "search_key(text)": SEARCH_KEY,
    "search_vector(text)": SEARCH_VECTOR,
    "search_query(text)": SEARCH_QUERY,
    "edtf_decade(integer, integer)": EDTF_DECADE,
    "search_summary(text)": SEARCH_SUMMARY,
    "search_names(text[], text)": SEARCH_NAMES,
    "search_refresh(text, uuid[])": SEARCH_REFRESH,
    "search_changed()": SEARCH_CHANGED,
    "search_removed()": SEARCH_REMOVED,
    "search_countries_changed()": SEARCH_COUNTRIES_CHANGED,
}

KINDS = {
    "aircraft": "aircraft",
    "articles": "article",
    "design-bureaus": "design_bureau",
    "designers": "designer",
    "engines": "engine",
    "manufacturers": "manufacturer",
}

# Once for a statement, however many rows it changes.
TRIGGER = """
CREATE TRIGGER search_{event} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION {function}({argument})"""

# Built while the service goes on writing.
ORDERS = {
    "ix_aircraft_first_flight_earliest": ("aircraft", ["first_flight_earliest", "first_flight_latest", "id"]),
    "ix_aircraft_first_flight_earliest_descending": (
        "aircraft",
        [sa.text("first_flight_earliest DESC NULLS LAST"), sa.text("first_flight_latest DESC NULLS LAST"), "id"],
    ),
    "ix_aircraft_max_speed_kmh": ("aircraft", ["max_speed_kmh"]),
    "ix_article_published_at": ("article", [sa.text("published_at DESC NULLS LAST"), "id"]),
    "ix_article_updated_at": ("article", [sa.text("updated_at DESC NULLS LAST"), "id"]),
}

NAME_KEY = sa.text("length(key) >= 5 AND weight >= 1")


def upgrade() -> None:
    """Apply."""
    for extension in EXTENSIONS:
        op.execute(f"CREATE EXTENSION IF NOT EXISTS {extension} WITH SCHEMA public")
    op.execute("CREATE TEXT SEARCH CONFIGURATION public.encyclopedia (COPY = pg_catalog.russian)")
    op.execute(
        "ALTER TEXT SEARCH CONFIGURATION public.encyclopedia ALTER MAPPING FOR hword, hword_part, word WITH public.unaccent, russian_stem"
    )
    _create_tables()
    _create_timeline()
    for signature, statement in FUNCTIONS.items():
        if signature.startswith("search_names"):
            op.execute(SEARCH_SOURCE)
            op.execute(EVENT_SOURCE)
        op.execute(statement)
    for kind, table in KINDS.items():
        _create_triggers(table, "search_changed", "search_removed", f"'{kind}'")
        op.execute(f"SELECT search_refresh('{kind}', ARRAY(SELECT id FROM {table}))")  # noqa: S608 - names from above
    _create_triggers("aircraft_country", "search_countries_changed", "search_countries_changed", "")
    with op.get_context().autocommit_block():
        for name, (table, terms) in ORDERS.items():
            op.create_index(name, table, terms, postgresql_concurrently=True)


def _create_tables() -> None:
    op.create_table(
        "search_document",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("decade", sa.Integer(), nullable=True),
        sa.Column("country_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("head", postgresql.TSVECTOR(), nullable=False),
        sa.Column("document", postgresql.TSVECTOR(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "entity_id", name=op.f("pk_search_document")),
    )
    # A pending list would be searched row by row until the next vacuum.
    op.create_index(
        "ix_search_document_document", "search_document", ["document"], postgresql_using="gin", postgresql_with={"fastupdate": "off"}
    )
    op.create_index("ix_search_document_kind_is_public_decade", "search_document", ["kind", "is_public", "decade"])
    op.create_table(
        "search_name",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("weight", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["kind", "entity_id"],
            ["search_document.kind", "search_document.entity_id"],
            name=op.f("fk_search_name_kind_entity_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("kind", "entity_id", "key", name=op.f("pk_search_name")),
    )
    op.create_index("ix_search_name_key_weight", "search_name", ["key", sa.text("weight DESC")])
    op.create_index(
        "ix_search_name_key",
        "search_name",
        ["key"],
        postgresql_using="gin",
        postgresql_ops={"key": "gin_trgm_ops"},
        postgresql_with={"fastupdate": "off"},
        postgresql_where=NAME_KEY,
    )


def _create_timeline() -> None:
    op.create_table(
        "timeline_event",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("date_edtf", sa.Text(), nullable=False),
        sa.Column("earliest", sa.Integer(), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("month_day", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["kind", "entity_id"],
            ["search_document.kind", "search_document.entity_id"],
            name=op.f("fk_timeline_event_kind_entity_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("kind", "entity_id", "event", name=op.f("pk_timeline_event")),
    )
    op.create_index("ix_timeline_event_earliest_latest", "timeline_event", ["earliest", "latest", "kind", "entity_id", "event"])
    op.create_index("ix_timeline_event_month_day_earliest", "timeline_event", ["month_day", "earliest"])


def _create_triggers(table: str, changed: str, removed: str, argument: str) -> None:
    for event, rows, function in (("insert", "NEW", changed), ("update", "NEW", changed), ("delete", "OLD", removed)):
        op.execute(TRIGGER.format(event=event, table=table, rows=rows, function=function, argument=argument))


def downgrade() -> None:
    """Take back."""
    with op.get_context().autocommit_block():
        for name, (table, _) in ORDERS.items():
            op.drop_index(name, table_name=table, postgresql_concurrently=True)
    for table in (*KINDS.values(), "aircraft_country"):
        for event in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER search_{event} ON {table}")
    op.drop_table("timeline_event")
    op.drop_table("search_name")
    op.drop_table("search_document")
    for signature in reversed(FUNCTIONS):
        if signature.startswith("search_summary"):
            op.execute("DROP VIEW event_source")
            op.execute("DROP VIEW search_source")
        op.execute(f"DROP FUNCTION {signature}")
    op.execute("DROP TEXT SEARCH CONFIGURATION public.encyclopedia")
    for extension in reversed(EXTENSIONS):
        op.execute(f"DROP EXTENSION {extension}")
