# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks with protection, their last apply, and leases."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "stacks",
        sa.Column("id", Id, nullable=False),
        sa.Column("owner_id", Id, nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("protect", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("applied", sa.BigInteger(), nullable=True),
        sa.Column("applied_by", sa.String(300), nullable=True),
        sa.Column("applied_commit", sa.String(255), nullable=True),
        sa.Column("lease", sa.String(43), nullable=True),
        sa.Column("lease_holder", sa.String(300), nullable=True),
        sa.Column("lease_commit", sa.String(255), nullable=True),
        sa.Column("lease_since", sa.BigInteger(), nullable=True),
        sa.Column("lease_expires", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_stacks_owner_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_stacks"),
        sa.UniqueConstraint("owner_id", "name", name="uq_stacks_owner_id"),
    )
