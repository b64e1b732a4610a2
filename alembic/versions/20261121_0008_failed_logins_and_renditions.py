"""Entries of failed logins end after a while, and an image says why it has no renditions."""

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_FUNCTION = """
CREATE OR REPLACE FUNCTION audit_entry_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN{exception}
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$"""
_OLD_FAILURES = """
    IF TG_OP = 'DELETE' THEN
        IF OLD.action IN ('login_failed', 'password_refused') AND OLD.at < now() - interval '90 days' THEN
            RETURN OLD;
        END IF;
    END IF;"""


def upgrade() -> None:
    """Apply."""
    op.execute(_FUNCTION.format(exception=_OLD_FAILURES))
    op.add_column("image", sa.Column("problem", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("image", "problem")
    op.execute(_FUNCTION.format(exception=""))
