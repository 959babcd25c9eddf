# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of abuse, and quarantined hosts."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "abuse_reports",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("fqdn", sa.String(253), nullable=False),
        sa.Column("host_id", Id, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("contact", sa.String(255), nullable=True),
        sa.Column("source", sa.String(45), nullable=True),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.String(255), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.String(150), nullable=True),
        sa.Column("decided", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_abuse_reports"),
    )
    op.create_index("ix_abuse_reports_state", "abuse_reports", ["state"])
    op.add_column("hosts", sa.Column("quarantine_ipv4", sa.String(15), nullable=True))
    op.add_column("hosts", sa.Column("quarantine_ipv6", sa.String(39), nullable=True))
