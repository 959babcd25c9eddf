# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks. On PostgreSQL, histories and events have the id of their transaction: their ids commit out of order."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    filled = sa.text("xid IS NOT NULL")
    for table in ("history", "events"):
        op.add_column(table, sa.Column("xid", sa.BigInteger(), nullable=True))
        if op.get_bind().dialect.name == "postgresql":  # as a default of the new column, it would rewrite the table
            op.execute(f"ALTER TABLE {table} ALTER COLUMN xid SET DEFAULT pg_current_xact_id()::text::bigint")
        op.create_index(f"ix_{table}_xid", table, ["xid"], sqlite_where=filled, postgresql_where=filled)
    op.create_table(
        "webhooks",
        sa.Column("id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("domains", sa.Text(), server_default="", nullable=False),
        sa.Column("hosts", sa.Text(), server_default="", nullable=False),
        sa.Column("all_owners", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("silent_days", sa.Integer(), nullable=False),
        sa.Column("silent_until", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("former_sealed", sa.Text(), nullable=True),
        sa.Column("former_until", sa.BigInteger(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("stopped", sa.String(255), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("last_success", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_webhooks_user_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhooks_user_id", "webhooks", ["user_id"])
    op.create_table(
        "webhook_cursors",
        sa.Column("webhook_id", ID, nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("after_id", sa.BigInteger(), nullable=False),
        sa.Column("from_xid", sa.BigInteger(), nullable=True),
        sa.Column("to_xid", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("webhook_id", "source", name="pk_webhook_cursors"),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name="fk_webhook_cursors_webhook_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("webhook_id", ID, nullable=False),
        sa.Column("message_id", sa.String(40), nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("fqdn", sa.String(253), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("next_attempt", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("delivered", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name="fk_webhook_deliveries_webhook_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_deliveries_webhook_id", "webhook_deliveries", ["webhook_id", "id"])
    still_open = sa.text("ended IS NULL")
    op.create_index(
        "ix_webhook_deliveries_open",
        "webhook_deliveries",
        ["webhook_id", "subject", "id"],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    waits = sa.text("ended IS NULL AND due IS NULL")
    op.create_index(
        "ix_webhook_deliveries_waiting", "webhook_deliveries", ["id"], sqlite_where=waits, postgresql_where=waits
    )
    op.create_table(
        "webhook_sender",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("node", sa.String(100), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_sender"),
    )
