"""Images, and the entries that show them."""

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "image",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "sort_name",
            sa.Text(collation="C"),
            sa.Computed("regexp_replace(normalize(lower(name), NFKD), '[\\u0300-\\u036f]', '', 'g')", persisted=True),
            nullable=False,
        ),
        sa.Column("alt", sa.Text(), nullable=True),
        sa.Column("caption", sa.Text(), nullable=True),
        sa.Column("licence", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("author_url", sa.Text(), nullable=True),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("credit", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("upload_sha256", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("renditions", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name=op.f("fk_image_created_by")),
        sa.ForeignKeyConstraint(["updated_by"], ["user.id"], name=op.f("fk_image_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image")),
        sa.UniqueConstraint("sha256", name=op.f("uq_image_sha256")),
        sa.UniqueConstraint("slug", name=op.f("uq_image_slug")),
        sa.UniqueConstraint("upload_sha256", name=op.f("uq_image_upload_sha256")),
    )
    op.create_index(op.f("ix_image_sort_name"), "image", ["sort_name"], unique=False)
    op.create_table(
        "article_image",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("caption", sa.Text(), nullable=True),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_article_image_article_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_article_image_image_id")),
        sa.PrimaryKeyConstraint("article_id", "image_id", name=op.f("pk_article_image")),
    )
    op.create_index(op.f("ix_article_image_image_id"), "article_image", ["image_id"], unique=False)
    op.create_table(
        "aircraft_image",
        sa.Column("aircraft_id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("caption", sa.Text(), nullable=True),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["aircraft_id"], ["aircraft.id"], name=op.f("fk_aircraft_image_aircraft_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_aircraft_image_image_id")),
        sa.PrimaryKeyConstraint("aircraft_id", "image_id", name=op.f("pk_aircraft_image")),
    )
    op.create_index(op.f("ix_aircraft_image_image_id"), "aircraft_image", ["image_id"], unique=False)
    op.execute("SELECT maintain_entity_count('image', 'images', 'true')")


def downgrade() -> None:
    """Take back."""
    op.execute("SELECT forget_entity_count('image', 'images')")
    op.drop_index(op.f("ix_aircraft_image_image_id"), table_name="aircraft_image")
    op.drop_table("aircraft_image")
    op.drop_index(op.f("ix_article_image_image_id"), table_name="article_image")
    op.drop_table("article_image")
    op.drop_index(op.f("ix_image_sort_name"), table_name="image")
    op.drop_table("image")
    # All kinds share the table of slugs.
    op.execute("DELETE FROM entity_slug WHERE kind = 'images'")
