# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of ACME challenges, which end by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "acme_challenges",
        sa.Column("host_id", ID, autoincrement=False, nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host_id", "value", name="pk_acme_challenges"),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_acme_challenges_host_id", ondelete="CASCADE"),
    )
    op.create_index("ix_acme_challenges_expires", "acme_challenges", ["expires"])
