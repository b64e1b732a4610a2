"""The encyclopedia and its accounts."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "entity_slug",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "slug", name=op.f("pk_entity_slug")),
    )
    op.create_index("ix_entity_slug_entity_id", "entity_slug", ["entity_id"], unique=False)
    op.create_table(
        "user",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("hashed_password", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("role", sa.Text(), server_default="reader", nullable=False),
        sa.Column("is_superuser", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("is_verified", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('reader', 'editor', 'moderator')", name=op.f("ck_user_role_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("email", name=op.f("uq_user_email")),
    )
    op.create_table(
        "access_token",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_access_token_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_access_token")),
    )
    op.create_index("ix_access_token_expires_at", "access_token", ["expires_at"], unique=False)
    op.create_index("ix_access_token_user_id", "access_token", ["user_id"], unique=False)
    op.create_table(
        "article",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(title), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("meta_title", sa.Text(), nullable=True),
        sa.Column("meta_description", sa.Text(), nullable=True),
        sa.Column("keywords", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("translation_of_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("translation_of_id <> id", name=op.f("ck_article_translation_of")),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_article_created_by")),
        sa.ForeignKeyConstraint(["translation_of_id"], ["article.id"], name=op.f("fk_article_translation_of_id")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_article_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article")),
        sa.UniqueConstraint("slug", name=op.f("uq_article_slug")),
    )
    op.create_index(op.f("ix_article_sort_name"), "article", ["sort_name"], unique=False)
    op.create_index(op.f("ix_article_status"), "article", ["status"], unique=False)
    op.create_index(op.f("ix_article_translation_of_id"), "article", ["translation_of_id"], unique=False)
    op.create_table(
        "country",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(name), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("alpha3", sa.Text(), nullable=True),
        sa.Column("iso_3166_3", sa.Text(), nullable=True),
        sa.Column("existed_from_edtf", sa.Text(), nullable=True),
        sa.Column("existed_from_earliest", sa.Integer(), nullable=True),
        sa.Column("existed_from_latest", sa.Integer(), nullable=True),
        sa.Column("existed_to_edtf", sa.Text(), nullable=True),
        sa.Column("existed_to_earliest", sa.Integer(), nullable=True),
        sa.Column("existed_to_latest", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_country_created_by")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_country_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_country")),
        sa.UniqueConstraint("code", name=op.f("uq_country_code")),
        sa.UniqueConstraint("slug", name=op.f("uq_country_slug")),
    )
    op.create_index(op.f("ix_country_sort_name"), "country", ["sort_name"], unique=False)
    op.create_table(
        "icao_type",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("designator", sa.Text(), nullable=False),
        sa.Column("manufacturer", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("aircraft_class", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("engine_type", sa.Text(), nullable=False),
        sa.Column("engine_count", sa.Integer(), nullable=True),
        sa.Column("wake_category", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_icao_type_created_by")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_icao_type_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_icao_type")),
        sa.UniqueConstraint("slug", name=op.f("uq_icao_type_slug")),
    )
    op.create_index(op.f("ix_icao_type_designator"), "icao_type", ["designator"], unique=False)
    op.create_index(op.f("ix_icao_type_manufacturer"), "icao_type", ["manufacturer"], unique=False)
    op.create_index(op.f("ix_icao_type_model"), "icao_type", ["model"], unique=False)
    op.create_table(
        "tag_category",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(title), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("sort_order", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_tag_category_created_by")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_tag_category_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_category")),
        sa.UniqueConstraint("slug", name=op.f("uq_tag_category_slug")),
    )
    op.create_index(op.f("ix_tag_category_sort_name"), "tag_category", ["sort_name"], unique=False)
    op.create_table(
        "country_successor",
        sa.Column("predecessor_id", sa.Uuid(), nullable=False),
        sa.Column("successor_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["predecessor_id"], ["country.id"], name=op.f("fk_country_successor_predecessor_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["successor_id"], ["country.id"], name=op.f("fk_country_successor_successor_id")),
        sa.PrimaryKeyConstraint("predecessor_id", "successor_id", name=op.f("pk_country_successor")),
    )
    op.create_index(op.f("ix_country_successor_successor_id"), "country_successor", ["successor_id"], unique=False)
    op.create_table(
        "design_bureau",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(name), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("original_name", sa.Text(), nullable=True),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("country_id", sa.Uuid(), nullable=True),
        sa.Column("founded_edtf", sa.Text(), nullable=True),
        sa.Column("founded_earliest", sa.Integer(), nullable=True),
        sa.Column("founded_latest", sa.Integer(), nullable=True),
        sa.Column("dissolved_edtf", sa.Text(), nullable=True),
        sa.Column("dissolved_earliest", sa.Integer(), nullable=True),
        sa.Column("dissolved_latest", sa.Integer(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["country_id"], ["country.id"], name=op.f("fk_design_bureau_country_id")),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_design_bureau_created_by")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_design_bureau_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_design_bureau")),
        sa.UniqueConstraint("slug", name=op.f("uq_design_bureau_slug")),
    )
    op.create_index(op.f("ix_design_bureau_country_id"), "design_bureau", ["country_id"], unique=False)
    op.create_index(op.f("ix_design_bureau_sort_name"), "design_bureau", ["sort_name"], unique=False)
    op.create_table(
        "designer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(name), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("original_name", sa.Text(), nullable=True),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("birth_date_edtf", sa.Text(), nullable=True),
        sa.Column("birth_date_earliest", sa.Integer(), nullable=True),
        sa.Column("birth_date_latest", sa.Integer(), nullable=True),
        sa.Column("death_date_edtf", sa.Text(), nullable=True),
        sa.Column("death_date_earliest", sa.Integer(), nullable=True),
        sa.Column("death_date_latest", sa.Integer(), nullable=True),
        sa.Column("country_id", sa.Uuid(), nullable=True),
        sa.Column("biography", sa.Text(), nullable=True),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["country_id"], ["country.id"], name=op.f("fk_designer_country_id")),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_designer_created_by")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_designer_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_designer")),
        sa.UniqueConstraint("slug", name=op.f("uq_designer_slug")),
    )
    op.create_index(op.f("ix_designer_country_id"), "designer", ["country_id"], unique=False)
    op.create_index(op.f("ix_designer_sort_name"), "designer", ["sort_name"], unique=False)
    op.create_table(
        "engine",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(name), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("original_name", sa.Text(), nullable=True),
        sa.Column("manufacturer_name", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("country_id", sa.Uuid(), nullable=True),
        sa.Column("first_run_edtf", sa.Text(), nullable=True),
        sa.Column("first_run_earliest", sa.Integer(), nullable=True),
        sa.Column("first_run_latest", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["country_id"], ["country.id"], name=op.f("fk_engine_country_id")),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_engine_created_by")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_engine_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engine")),
        sa.UniqueConstraint("slug", name=op.f("uq_engine_slug")),
    )
    op.create_index(op.f("ix_engine_country_id"), "engine", ["country_id"], unique=False)
    op.create_index(op.f("ix_engine_sort_name"), "engine", ["sort_name"], unique=False)
    op.create_table(
        "manufacturer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(name), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("original_name", sa.Text(), nullable=True),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("country_id", sa.Uuid(), nullable=True),
        sa.Column("founded_edtf", sa.Text(), nullable=True),
        sa.Column("founded_earliest", sa.Integer(), nullable=True),
        sa.Column("founded_latest", sa.Integer(), nullable=True),
        sa.Column("dissolved_edtf", sa.Text(), nullable=True),
        sa.Column("dissolved_earliest", sa.Integer(), nullable=True),
        sa.Column("dissolved_latest", sa.Integer(), nullable=True),
        sa.Column("successor_id", sa.Uuid(), nullable=True),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("successor_id <> id", name=op.f("ck_manufacturer_successor")),
        sa.ForeignKeyConstraint(["country_id"], ["country.id"], name=op.f("fk_manufacturer_country_id")),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_manufacturer_created_by")),
        sa.ForeignKeyConstraint(["successor_id"], ["manufacturer.id"], name=op.f("fk_manufacturer_successor_id")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_manufacturer_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manufacturer")),
        sa.UniqueConstraint("slug", name=op.f("uq_manufacturer_slug")),
    )
    op.create_index(op.f("ix_manufacturer_country_id"), "manufacturer", ["country_id"], unique=False)
    op.create_index(op.f("ix_manufacturer_sort_name"), "manufacturer", ["sort_name"], unique=False)
    op.create_index(op.f("ix_manufacturer_successor_id"), "manufacturer", ["successor_id"], unique=False)
    op.create_table(
        "tag",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(name), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("category_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["category_id"], ["tag_category.id"], name=op.f("fk_tag_category_id")),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_tag_created_by")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_tag_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("slug", name=op.f("uq_tag_slug")),
    )
    op.create_index(op.f("ix_tag_category_id"), "tag", ["category_id"], unique=False)
    op.create_index(op.f("ix_tag_sort_name"), "tag", ["sort_name"], unique=False)
    op.create_table(
        "aircraft",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(name), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("original_name", sa.Text(), nullable=True),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("purposes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("engine_type", sa.Text(), nullable=True),
        sa.Column("engine_count", sa.Integer(), nullable=True),
        sa.Column("first_flight_edtf", sa.Text(), nullable=True),
        sa.Column("first_flight_earliest", sa.Integer(), nullable=True),
        sa.Column("first_flight_latest", sa.Integer(), nullable=True),
        sa.Column("introduced_edtf", sa.Text(), nullable=True),
        sa.Column("introduced_earliest", sa.Integer(), nullable=True),
        sa.Column("introduced_latest", sa.Integer(), nullable=True),
        sa.Column("retired_edtf", sa.Text(), nullable=True),
        sa.Column("retired_earliest", sa.Integer(), nullable=True),
        sa.Column("retired_latest", sa.Integer(), nullable=True),
        sa.Column("produced_from_edtf", sa.Text(), nullable=True),
        sa.Column("produced_from_earliest", sa.Integer(), nullable=True),
        sa.Column("produced_from_latest", sa.Integer(), nullable=True),
        sa.Column("produced_to_edtf", sa.Text(), nullable=True),
        sa.Column("produced_to_earliest", sa.Integer(), nullable=True),
        sa.Column("produced_to_latest", sa.Integer(), nullable=True),
        sa.Column("number_built", sa.Integer(), nullable=True),
        sa.Column("crew", sa.Integer(), nullable=True),
        sa.Column("passengers", sa.Integer(), nullable=True),
        sa.Column("length_m", sa.Float(), nullable=True),
        sa.Column("wingspan_m", sa.Float(), nullable=True),
        sa.Column("rotor_diameter_m", sa.Float(), nullable=True),
        sa.Column("height_m", sa.Float(), nullable=True),
        sa.Column("wing_area_m2", sa.Float(), nullable=True),
        sa.Column("empty_weight_kg", sa.Float(), nullable=True),
        sa.Column("max_takeoff_weight_kg", sa.Float(), nullable=True),
        sa.Column("max_speed_kmh", sa.Float(), nullable=True),
        sa.Column("cruise_speed_kmh", sa.Float(), nullable=True),
        sa.Column("range_km", sa.Float(), nullable=True),
        sa.Column("service_ceiling_m", sa.Float(), nullable=True),
        sa.Column("rate_of_climb_ms", sa.Float(), nullable=True),
        sa.Column("icao_designator", sa.Text(), nullable=True),
        sa.Column("iata_designator", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("disputed", sa.JSON(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("design_bureau_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_aircraft_created_by")),
        sa.ForeignKeyConstraint(["design_bureau_id"], ["design_bureau.id"], name=op.f("fk_aircraft_design_bureau_id")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_aircraft_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aircraft")),
        sa.UniqueConstraint("slug", name=op.f("uq_aircraft_slug")),
    )
    op.create_index(op.f("ix_aircraft_design_bureau_id"), "aircraft", ["design_bureau_id"], unique=False)
    op.create_index(op.f("ix_aircraft_icao_designator"), "aircraft", ["icao_designator"], unique=False)
    op.create_index(op.f("ix_aircraft_sort_name"), "aircraft", ["sort_name"], unique=False)
    op.create_table(
        "article_design_bureau",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("design_bureau_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_article_design_bureau_article_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["design_bureau_id"], ["design_bureau.id"], name=op.f("fk_article_design_bureau_design_bureau_id")),
        sa.PrimaryKeyConstraint("article_id", "design_bureau_id", name=op.f("pk_article_design_bureau")),
    )
    op.create_index(op.f("ix_article_design_bureau_design_bureau_id"), "article_design_bureau", ["design_bureau_id"], unique=False)
    op.create_table(
        "article_designer",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("designer_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_article_designer_article_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["designer_id"], ["designer.id"], name=op.f("fk_article_designer_designer_id")),
        sa.PrimaryKeyConstraint("article_id", "designer_id", name=op.f("pk_article_designer")),
    )
    op.create_index(op.f("ix_article_designer_designer_id"), "article_designer", ["designer_id"], unique=False)
    op.create_table(
        "article_manufacturer",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("manufacturer_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_article_manufacturer_article_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["manufacturer_id"], ["manufacturer.id"], name=op.f("fk_article_manufacturer_manufacturer_id")),
        sa.PrimaryKeyConstraint("article_id", "manufacturer_id", name=op.f("pk_article_manufacturer")),
    )
    op.create_index(op.f("ix_article_manufacturer_manufacturer_id"), "article_manufacturer", ["manufacturer_id"], unique=False)
    op.create_table(
        "article_tag",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("tag_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_article_tag_article_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tag_id"], ["tag.id"], name=op.f("fk_article_tag_tag_id")),
        sa.PrimaryKeyConstraint("article_id", "tag_id", name=op.f("pk_article_tag")),
    )
    op.create_index(op.f("ix_article_tag_tag_id"), "article_tag", ["tag_id"], unique=False)
    op.create_table(
        "designer_design_bureau",
        sa.Column("designer_id", sa.Uuid(), nullable=False),
        sa.Column("design_bureau_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("from_edtf", sa.Text(), nullable=True),
        sa.Column("from_earliest", sa.Integer(), nullable=True),
        sa.Column("from_latest", sa.Integer(), nullable=True),
        sa.Column("to_edtf", sa.Text(), nullable=True),
        sa.Column("to_earliest", sa.Integer(), nullable=True),
        sa.Column("to_latest", sa.Integer(), nullable=True),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["design_bureau_id"], ["design_bureau.id"], name=op.f("fk_designer_design_bureau_design_bureau_id")),
        sa.ForeignKeyConstraint(["designer_id"], ["designer.id"], name=op.f("fk_designer_design_bureau_designer_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("designer_id", "design_bureau_id", name=op.f("pk_designer_design_bureau")),
    )
    op.create_index(op.f("ix_designer_design_bureau_design_bureau_id"), "designer_design_bureau", ["design_bureau_id"], unique=False)
    op.create_table(
        "aircraft_country",
        sa.Column("aircraft_id", sa.Uuid(), nullable=False),
        sa.Column("country_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_aircraft_country_aircraft_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["country_id"], ["country.id"], name=op.f("fk_aircraft_country_country_id")),
        sa.PrimaryKeyConstraint("aircraft_id", "country_id", name=op.f("pk_aircraft_country")),
    )
    op.create_index(op.f("ix_aircraft_country_country_id"), "aircraft_country", ["country_id"], unique=False)
    op.create_table(
        "aircraft_designer",
        sa.Column("aircraft_id", sa.Uuid(), nullable=False),
        sa.Column("designer_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_aircraft_designer_aircraft_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["designer_id"], ["designer.id"], name=op.f("fk_aircraft_designer_designer_id")),
        sa.PrimaryKeyConstraint("aircraft_id", "designer_id", name=op.f("pk_aircraft_designer")),
    )
    op.create_index(op.f("ix_aircraft_designer_designer_id"), "aircraft_designer", ["designer_id"], unique=False)
    op.create_table(
        "aircraft_engine",
        sa.Column("aircraft_id", sa.Uuid(), nullable=False),
        sa.Column("engine_id", sa.Uuid(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=True),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_aircraft_engine_aircraft_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["engine_id"], ["engine.id"], name=op.f("fk_aircraft_engine_engine_id")),
        sa.PrimaryKeyConstraint("aircraft_id", "engine_id", name=op.f("pk_aircraft_engine")),
    )
    op.create_index(op.f("ix_aircraft_engine_engine_id"), "aircraft_engine", ["engine_id"], unique=False)
    op.create_table(
        "aircraft_lineage",
        sa.Column("descendant_id", sa.Uuid(), nullable=False),
        sa.Column("aircraft_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_aircraft_lineage_aircraft_id")),
        sa.ForeignKeyConstraint(["descendant_id"], ["aircraft.id"], name=op.f("fk_aircraft_lineage_descendant_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("descendant_id", "aircraft_id", "type", name=op.f("pk_aircraft_lineage")),
    )
    op.create_index(op.f("ix_aircraft_lineage_aircraft_id"), "aircraft_lineage", ["aircraft_id"], unique=False)
    op.create_table(
        "aircraft_manufacturer",
        sa.Column("aircraft_id", sa.Uuid(), nullable=False),
        sa.Column("manufacturer_id", sa.Uuid(), nullable=False),
        sa.Column("from_edtf", sa.Text(), nullable=True),
        sa.Column("from_earliest", sa.Integer(), nullable=True),
        sa.Column("from_latest", sa.Integer(), nullable=True),
        sa.Column("to_edtf", sa.Text(), nullable=True),
        sa.Column("to_earliest", sa.Integer(), nullable=True),
        sa.Column("to_latest", sa.Integer(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=True),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_aircraft_manufacturer_aircraft_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["manufacturer_id"], ["manufacturer.id"], name=op.f("fk_aircraft_manufacturer_manufacturer_id")),
        sa.PrimaryKeyConstraint("aircraft_id", "manufacturer_id", name=op.f("pk_aircraft_manufacturer")),
    )
    op.create_index(op.f("ix_aircraft_manufacturer_manufacturer_id"), "aircraft_manufacturer", ["manufacturer_id"], unique=False)
    op.create_table(
        "article_aircraft",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("aircraft_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_article_aircraft_aircraft_id")),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_article_aircraft_article_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("article_id", "aircraft_id", name=op.f("pk_article_aircraft")),
    )
    op.create_index(op.f("ix_article_aircraft_aircraft_id"), "article_aircraft", ["aircraft_id"], unique=False)
    op.create_table(
        "fact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("aircraft_id", sa.Uuid(), nullable=True),
        sa.Column("designer_id", sa.Uuid(), nullable=True),
        sa.Column("source", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_fact_aircraft_id")),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_fact_created_by")),
        sa.ForeignKeyConstraint(["designer_id"], ["designer.id"], name=op.f("fk_fact_designer_id")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_fact_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fact")),
        sa.UniqueConstraint("slug", name=op.f("uq_fact_slug")),
    )
    op.create_index(op.f("ix_fact_aircraft_id"), "fact", ["aircraft_id"], unique=False)
    op.create_index(op.f("ix_fact_designer_id"), "fact", ["designer_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_fact_designer_id"), table_name="fact")
    op.drop_index(op.f("ix_fact_aircraft_id"), table_name="fact")
    op.drop_table("fact")
    op.drop_index(op.f("ix_article_aircraft_aircraft_id"), table_name="article_aircraft")
    op.drop_table("article_aircraft")
    op.drop_index(op.f("ix_aircraft_manufacturer_manufacturer_id"), table_name="aircraft_manufacturer")
    op.drop_table("aircraft_manufacturer")
    op.drop_index(op.f("ix_aircraft_lineage_aircraft_id"), table_name="aircraft_lineage")
    op.drop_table("aircraft_lineage")
    op.drop_index(op.f("ix_aircraft_engine_engine_id"), table_name="aircraft_engine")
    op.drop_table("aircraft_engine")
    op.drop_index(op.f("ix_aircraft_designer_designer_id"), table_name="aircraft_designer")
    op.drop_table("aircraft_designer")
    op.drop_index(op.f("ix_aircraft_country_country_id"), table_name="aircraft_country")
    op.drop_table("aircraft_country")
    op.drop_index(op.f("ix_designer_design_bureau_design_bureau_id"), table_name="designer_design_bureau")
    op.drop_table("designer_design_bureau")
    op.drop_index(op.f("ix_article_tag_tag_id"), table_name="article_tag")
    op.drop_table("article_tag")
    op.drop_index(op.f("ix_article_manufacturer_manufacturer_id"), table_name="article_manufacturer")
    op.drop_table("article_manufacturer")
    op.drop_index(op.f("ix_article_designer_designer_id"), table_name="article_designer")
    op.drop_table("article_designer")
    op.drop_index(op.f("ix_article_design_bureau_design_bureau_id"), table_name="article_design_bureau")
    op.drop_table("article_design_bureau")
    op.drop_index(op.f("ix_aircraft_sort_name"), table_name="aircraft")
    op.drop_index(op.f("ix_aircraft_icao_designator"), table_name="aircraft")
    op.drop_index(op.f("ix_aircraft_design_bureau_id"), table_name="aircraft")
    op.drop_table("aircraft")
    op.drop_index(op.f("ix_tag_sort_name"), table_name="tag")
    op.drop_index(op.f("ix_tag_category_id"), table_name="tag")
    op.drop_table("tag")
    op.drop_index(op.f("ix_manufacturer_successor_id"), table_name="manufacturer")
    op.drop_index(op.f("ix_manufacturer_sort_name"), table_name="manufacturer")
    op.drop_index(op.f("ix_manufacturer_country_id"), table_name="manufacturer")
    op.drop_table("manufacturer")
    op.drop_index(op.f("ix_engine_sort_name"), table_name="engine")
    op.drop_index(op.f("ix_engine_country_id"), table_name="engine")
    op.drop_table("engine")
    op.drop_index(op.f("ix_designer_sort_name"), table_name="designer")
    op.drop_index(op.f("ix_designer_country_id"), table_name="designer")
    op.drop_table("designer")
    op.drop_index(op.f("ix_design_bureau_sort_name"), table_name="design_bureau")
    op.drop_index(op.f("ix_design_bureau_country_id"), table_name="design_bureau")
    op.drop_table("design_bureau")
    op.drop_index(op.f("ix_country_successor_successor_id"), table_name="country_successor")
    op.drop_table("country_successor")
    op.drop_index(op.f("ix_tag_category_sort_name"), table_name="tag_category")
    op.drop_table("tag_category")
    op.drop_index(op.f("ix_icao_type_model"), table_name="icao_type")
    op.drop_index(op.f("ix_icao_type_manufacturer"), table_name="icao_type")
    op.drop_index(op.f("ix_icao_type_designator"), table_name="icao_type")
    op.drop_table("icao_type")
    op.drop_index(op.f("ix_country_sort_name"), table_name="country")
    op.drop_table("country")
    op.drop_index(op.f("ix_article_translation_of_id"), table_name="article")
    op.drop_index(op.f("ix_article_status"), table_name="article")
    op.drop_index(op.f("ix_article_sort_name"), table_name="article")
    op.drop_table("article")
    op.drop_index("ix_access_token_user_id", table_name="access_token")
    op.drop_index("ix_access_token_expires_at", table_name="access_token")
    op.drop_table("access_token")
    op.drop_table("user")
    op.drop_index("ix_entity_slug_entity_id", table_name="entity_slug")
    op.drop_table("entity_slug")
