# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains whose hosts are all sent again with a new TTL, a part at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "resends",
        sa.Column("domain_id", Id, nullable=False, autoincrement=False),
        sa.Column("after_id", Id, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_resends_domain_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("domain_id", name="pk_resends"),
    )
