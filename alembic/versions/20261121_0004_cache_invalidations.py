"""What the read cache must hear of, and how many rows there are."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Kind, table, and what the public sees of it.
KINDS = {
    "aircraft": ("aircraft", "true"),
    "articles": ("article", "status = 'published'"),
    "countries": ("country", "true"),
    "design-bureaus": ("design_bureau", "true"),
    "designers": ("designer", "true"),
    "engines": ("engine", "true"),
    "facts": ("fact", "true"),
    "icao-types": ("icao_type", "true"),
    "manufacturers": ("manufacturer", "true"),
    "tag-categories": ("tag_category", "true"),
    "tags": ("tag", "true"),
}

# Writers only add rows, so they never wait for each other; readers add them up; now and then a worker sums them.
COUNT_CHANGES = """
CREATE FUNCTION count_entity_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    come bigint := 0; come_public bigint := 0; gone bigint := 0; gone_public bigint := 0;
    counted text := format('SELECT count(*), count(*) FILTER (WHERE %s) FROM ', TG_ARGV[1]);
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM entity_count WHERE kind = TG_ARGV[0];
        INSERT INTO entity_count (kind, total, public) VALUES (TG_ARGV[0], 0, 0);
        RETURN NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN EXECUTE counted || 'new_rows' INTO come, come_public; END IF;
    IF TG_OP <> 'INSERT' THEN EXECUTE counted || 'old_rows' INTO gone, gone_public; END IF;
    IF come <> gone OR come_public <> gone_public THEN
        INSERT INTO entity_count (kind, total, public) VALUES (TG_ARGV[0], come - gone, come_public - gone_public);
    END IF;
    RETURN NULL;
END $$
"""
MAINTAIN = """
CREATE FUNCTION maintain_entity_count(counted regclass, kind text, public_condition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', counted);
    EXECUTE format('CREATE TRIGGER count_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows '
                   'FOR EACH STATEMENT EXECUTE FUNCTION count_entity_changes(%L, %L)', counted, kind, public_condition);
    EXECUTE format('CREATE TRIGGER count_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows '
                   'FOR EACH STATEMENT EXECUTE FUNCTION count_entity_changes(%L, %L)', counted, kind, public_condition);
    IF public_condition <> 'true' THEN
        EXECUTE format('CREATE TRIGGER count_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
                       'FOR EACH STATEMENT EXECUTE FUNCTION count_entity_changes(%L, %L)', counted, kind, public_condition);
    END IF;
    EXECUTE format('CREATE TRIGGER count_truncate AFTER TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION count_entity_changes(%L, %L)', counted, kind, public_condition);
    EXECUTE format('INSERT INTO entity_count (kind, total, public) SELECT %L, count(*), count(*) FILTER (WHERE %s) FROM %s',
                   kind, public_condition, counted);
END $$
"""
FORGET = """
CREATE FUNCTION forget_entity_count(counted regclass, kind_gone text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['count_insert', 'count_delete', 'count_update', 'count_truncate'] LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', name, counted);
    END LOOP;
    DELETE FROM entity_count WHERE kind = kind_gone;
END $$
"""
COMPACT = """
CREATE FUNCTION compact_entity_counts() RETURNS void LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM entity_count WHERE kind IN (SELECT kind FROM entity_count GROUP BY kind HAVING count(*) > 1)
        RETURNING kind, total, public
    )
    INSERT INTO entity_count (kind, total, public) SELECT kind, sum(total), sum(public) FROM gone GROUP BY kind
$$
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "cache_invalidation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cache_invalidation")),
    )
    op.create_table(
        "entity_count",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("public", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entity_count")),
    )
    op.create_index("ix_entity_count_kind", "entity_count", ["kind"], unique=False)
    for function in (COUNT_CHANGES, MAINTAIN, FORGET, COMPACT):
        op.execute(function)
    for kind, (table, public) in KINDS.items():
        op.execute(f"SELECT maintain_entity_count('{table}', '{kind}', '{public.replace(chr(39), chr(39) * 2)}')")


def downgrade() -> None:
    """Take back."""
    for kind, (table, _) in KINDS.items():
        op.execute(f"SELECT forget_entity_count('{table}', '{kind}')")
    op.execute("DROP FUNCTION forget_entity_count, maintain_entity_count, compact_entity_counts, count_entity_changes")
    op.drop_index("ix_entity_count_kind", table_name="entity_count")
    op.drop_table("entity_count")
    op.drop_table("cache_invalidation")
