# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a domain's primary or key has changed, and what readiness checks write."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("domains", sa.Column("generation", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.create_table(
        "write_checks",
        sa.Column("node", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("filler", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_write_checks")),
    )
