"""What keeps pages as fast with a hundred thousand entries: counts of what refers to an entry, and indexes for orders."""

import sqlalchemy as sa

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# What is counted by which column, for tables that the public sees all of.
COUNTED = {
    "aircraft": {
        "category": "r.category",
        "engine_type": "r.engine_type",
        "decade": "edtf_decade(r.first_flight_earliest, r.first_flight_latest)",
        "design_bureau_id": "r.design_bureau_id",
    },
    **{f"aircraft_{target}": {f"{target}_id": f"r.{target}_id"} for target in ("country", "designer", "manufacturer", "engine", "image")},
    "designer_design_bureau": {"design_bureau_id": "r.design_bureau_id"},
}
# An article's links count for the public while the article is published.
OF_ARTICLES = ("tag", "aircraft", "designer", "design_bureau", "manufacturer", "image")
IS_PUBLISHED = "EXISTS (SELECT FROM article WHERE article.id = r.article_id AND article.status = 'published')"

# Writers only add rows here too (see `entity_count`). An absent value is the empty text.
COUNT_CHANGES = """
CREATE FUNCTION count_group_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    come text := 'SELECT 1 AS sign, * FROM new_rows';
    gone text := 'SELECT -1 AS sign, * FROM old_rows';
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM group_count WHERE starts_with(source, TG_TABLE_NAME || '.');
        RETURN NULL;
    END IF;
    EXECUTE format('INSERT INTO group_count (source, value, total, public) %s HAVING sum(sign) <> 0',
        group_counts(TG_ARGV[0], TG_ARGV[1], CASE TG_OP WHEN 'INSERT' THEN come WHEN 'DELETE' THEN gone ELSE come || ' UNION ALL ' || gone END));
    RETURN NULL;
END $$
"""
COUNTS = """
CREATE FUNCTION group_counts(groups text, public_condition text, changes text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('SELECT source, coalesce(value, ''''), sum(sign), coalesce(sum(sign) FILTER (WHERE is_public), 0) '
                  'FROM (SELECT sign, g.source, g.value, %s AS is_public FROM (%s) AS r CROSS JOIN LATERAL (VALUES %s) AS g(source, value)) '
                  'GROUP BY source, coalesce(value, '''')', public_condition, changes, groups)
$$
"""
MAINTAIN = """
CREATE FUNCTION maintain_group_count(counted regclass, groups text, public_condition text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    event text;
    rows_of text;
BEGIN
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', counted);
    FOR event, rows_of IN VALUES ('insert', 'REFERENCING NEW TABLE AS new_rows'), ('delete', 'REFERENCING OLD TABLE AS old_rows'),
            ('update', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'), ('truncate', '') LOOP
        EXECUTE format('CREATE TRIGGER count_groups_%s AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION count_group_changes(%L, %L)',
                       event, event, counted, rows_of, groups, public_condition);
    END LOOP;
    EXECUTE 'INSERT INTO group_count (source, value, total, public) '
        || group_counts(groups, public_condition, format('SELECT 1 AS sign, * FROM %s', counted));
END $$
"""
COUNT_PUBLICATION = """
CREATE FUNCTION count_publication() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE target text;
BEGIN
    FOREACH target IN ARRAY TG_ARGV LOOP
        EXECUTE format('INSERT INTO group_count (source, value, total, public) SELECT %L, %I::text, 0, $1 FROM %I WHERE article_id = $2',
                       format('article_%s.%s_id', target, target), target || '_id', 'article_' || target)
            USING CASE WHEN TG_OP = 'DELETE' OR OLD.status = 'published' THEN -1 ELSE 1 END, OLD.id;
    END LOOP;
    RETURN OLD;
END $$
"""
# With a published article go its links, by themselves: then nothing tells any more that it was public.
PUBLICATION = (
    """CREATE TRIGGER count_publication AFTER UPDATE ON article FOR EACH ROW
    WHEN ((OLD.status = 'published') <> (NEW.status = 'published')) EXECUTE FUNCTION count_publication({targets})""",
    """CREATE TRIGGER count_removal BEFORE DELETE ON article FOR EACH ROW
    WHEN (OLD.status = 'published') EXECUTE FUNCTION count_publication({targets})""",
)
COMPACT = """
CREATE OR REPLACE FUNCTION compact_entity_counts() RETURNS void LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM entity_count WHERE kind IN (SELECT kind FROM entity_count GROUP BY kind HAVING count(*) > 1)
        RETURNING kind, total, public
    )
    INSERT INTO entity_count (kind, total, public) SELECT kind, sum(total), sum(public) FROM gone GROUP BY kind{groups}
$$
"""
COMPACT_GROUPS = """;
    WITH gone AS (
        DELETE FROM group_count
        WHERE (source, value) IN (SELECT source, value FROM group_count GROUP BY source, value HAVING count(*) > 1)
        RETURNING source, value, total, public
    )
    INSERT INTO group_count (source, value, total, public)
    SELECT source, value, sum(total), sum(public) FROM gone GROUP BY source, value HAVING sum(total) <> 0 OR sum(public) <> 0"""

# Which entity owns a link, and which it leads to.
LINKS = {
    **{f"aircraft_{target}": ("aircraft", target) for target in ("country", "designer", "manufacturer", "engine", "image")},
    **{f"article_{target}": ("article", target) for target in OF_ARTICLES},
    "aircraft_lineage": ("descendant", "aircraft"),
    "country_successor": ("predecessor", "successor"),
    "designer_design_bureau": ("designer", "design_bureau"),
}
OWNERS = {"descendant": "aircraft", "predecessor": "country"}
OWNER_NAME = """
CREATE FUNCTION take_name_of_{owner}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT sort_name INTO NEW.sort_name FROM {table} WHERE id = NEW.{owner}_id;
    RETURN NEW;
END $$
"""
TAKE_NAME = "CREATE TRIGGER take_name BEFORE INSERT ON {link} FOR EACH ROW EXECUTE FUNCTION take_name_of_{owner}()"
HAND_ON_NAME = """
CREATE FUNCTION rename_in_links() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    FOR link IN 0 .. TG_NARGS - 1 BY 2 LOOP
        EXECUTE format('UPDATE %I SET sort_name = $1 WHERE %I = $2', TG_ARGV[link], TG_ARGV[link + 1]) USING NEW.sort_name, NEW.id;
    END LOOP;
    RETURN NULL;
END $$
"""
RENAME = """
CREATE TRIGGER rename_in_links AFTER UPDATE ON {table} FOR EACH ROW
    WHEN (OLD.sort_name <> NEW.sort_name) EXECUTE FUNCTION rename_in_links({links})
"""

ORDERS = {
    "ix_aircraft_max_speed_kmh_descending": ("aircraft", [sa.text("max_speed_kmh DESC NULLS LAST"), "id"]),
    "ix_aircraft_updated_at": ("aircraft", [sa.text("updated_at DESC NULLS LAST"), "id"]),
    "ix_aircraft_category_id": ("aircraft", ["category", "id"]),
    "ix_aircraft_design_bureau_id_sort_name_id": ("aircraft", ["design_bureau_id", "sort_name", "id"]),
    "ix_article_status_category_id": ("article", ["status", "category", "id"]),
    "ix_article_translation_of_id_sort_name_id": ("article", ["translation_of_id", "sort_name", "id"]),
    **{f"ix_{link}_{target}_id_sort_name": (link, [f"{target}_id", "sort_name", f"{owner}_id"]) for link, (owner, target) in LINKS.items()},
}
# What the new ones do as well.
FORMER = {
    "ix_aircraft_design_bureau_id": ("aircraft", "design_bureau_id"),
    "ix_article_status": ("article", "status"),
    "ix_article_translation_of_id": ("article", "translation_of_id"),
    **{f"ix_{link}_{target}_id": (link, f"{target}_id") for link, (_, target) in LINKS.items()},
}


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def upgrade() -> None:
    """Apply."""
    _keep_names_in_links()
    _keep_counts()
    with op.get_context().autocommit_block():
        for name, (table, terms) in ORDERS.items():
            op.create_index(name, table, terms, postgresql_concurrently=True)
        for name, (table, _) in FORMER.items():
            op.drop_index(name, table_name=table, postgresql_concurrently=True)


def _keep_counts() -> None:
    op.create_table(
        "group_count",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("public", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_group_count")),
    )
    op.create_index("ix_group_count_source_value", "group_count", ["source", "value"], postgresql_include=["total", "public"])
    for function in (COUNTS, COUNT_CHANGES, MAINTAIN, COUNT_PUBLICATION, COMPACT.format(groups=COMPACT_GROUPS)):
        op.execute(function)
    counted = {table: (groups, "true") for table, groups in COUNTED.items()}
    counted |= {f"article_{target}": ({f"{target}_id": f"r.{target}_id"}, IS_PUBLISHED) for target in OF_ARTICLES}
    for table, (groups, public) in counted.items():
        values = ", ".join(f"('{table}.{name}', ({expression})::text)" for name, expression in groups.items())
        op.execute(f"SELECT maintain_group_count('{table}', {_literal(values)}, {_literal(public)})")
    for trigger in PUBLICATION:
        op.execute(trigger.format(targets=", ".join(map(_literal, OF_ARTICLES))))


def _keep_names_in_links() -> None:
    for owner in {owner: None for owner, _ in LINKS.values()}:
        table = OWNERS.get(owner, owner)
        op.execute(OWNER_NAME.format(owner=owner, table=table))
    op.execute(HAND_ON_NAME)
    for link, (owner, _) in LINKS.items():
        table = OWNERS.get(owner, owner)
        op.add_column(link, sa.Column("sort_name", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False))
        op.execute(TAKE_NAME.format(link=link, owner=owner))
        # What is found by an aircraft's countries does not change with this.
        op.execute(f"ALTER TABLE {link} DISABLE TRIGGER USER")
        op.execute(f"UPDATE {link} SET sort_name = o.sort_name FROM {table} AS o WHERE o.id = {owner}_id")  # noqa: S608 - names from above
        op.execute(f"ALTER TABLE {link} ENABLE TRIGGER USER")
    for table, links in _links_by_owner().items():
        op.execute(RENAME.format(table=table, links=links))


def _links_by_owner() -> dict[str, str]:
    links: dict[str, list[str]] = {}
    for link, (owner, _) in LINKS.items():
        links.setdefault(OWNERS.get(owner, owner), []).append(f"'{link}', '{owner}_id'")
    return {table: ", ".join(arguments) for table, arguments in links.items()}


def downgrade() -> None:
    """Take back."""
    with op.get_context().autocommit_block():
        for name, (table, column) in FORMER.items():
            op.create_index(name, table, [column], postgresql_concurrently=True)
        for name, (table, _) in ORDERS.items():
            op.drop_index(name, table_name=table, postgresql_concurrently=True)
    for table in _links_by_owner():
        op.execute(f"DROP TRIGGER rename_in_links ON {table}")
    for link in LINKS:
        op.execute(f"DROP TRIGGER take_name ON {link}")
        op.drop_column(link, "sort_name")
    op.execute("DROP FUNCTION rename_in_links, " + ", ".join(sorted({f"take_name_of_{owner}" for owner, _ in LINKS.values()})))
    op.execute("DROP TRIGGER count_publication ON article")
    op.execute("DROP TRIGGER count_removal ON article")
    for table in (*COUNTED, *(f"article_{target}" for target in OF_ARTICLES)):
        for event in ("insert", "delete", "update", "truncate"):
            op.execute(f"DROP TRIGGER count_groups_{event} ON {table}")
    op.execute(COMPACT.format(groups=""))
    op.execute("DROP FUNCTION count_publication, maintain_group_count, count_group_changes, group_counts")
    op.drop_index("ix_group_count_source_value", table_name="group_count")
    op.drop_table("group_count")
