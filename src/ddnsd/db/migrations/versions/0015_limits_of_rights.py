# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasons of blocks and suspensions, how people signed in, when providers stated rights, and which token made which."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("hosts", sa.Column("block_reason", sa.String(255), nullable=True))
    op.add_column("users", sa.Column("suspension_reason", sa.String(255), nullable=True))
    op.add_column("sessions", sa.Column("authenticated", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE sessions SET authenticated = created")
    op.add_column("sessions", sa.Column("subject", sa.String(255), nullable=True))
    op.create_index(op.f("ix_sessions_subject"), "sessions", ["subject"])
    op.add_column("sessions", sa.Column("sid", sa.String(255), nullable=True))
    op.create_table(
        "logout_tokens",
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_logout_tokens")),
    )
    op.add_column("identities", sa.Column("claims_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE identities SET claims_at = last_used")
    with op.batch_alter_table("tokens") as tokens:
        tokens.add_column(sa.Column("parent_id", Id, nullable=True))
        tokens.create_foreign_key(op.f("fk_tokens_parent_id"), "tokens", ["parent_id"], ["id"], ondelete="CASCADE")
    op.create_index(op.f("ix_tokens_parent_id"), "tokens", ["parent_id"])
