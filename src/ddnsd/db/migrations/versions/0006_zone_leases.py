# SPDX-License-Identifier: GPL-3.0-or-later
"""Service processes on one PostgreSQL database, and the zones that each of them owns."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "nodes",
        sa.Column("node", sa.String(100), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_nodes"),
    )
    op.create_table(
        "zone_leases",
        sa.Column("domain_id", Id, nullable=False, autoincrement=False),
        sa.Column("node", sa.String(100), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_zone_leases_domain_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("domain_id", name="pk_zone_leases"),
    )
