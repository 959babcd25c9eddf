# SPDX-License-Identifier: GPL-3.0-or-later
"""Refused objects that an operator skips, and domains that are frozen for maintenance."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("set_aside", sa.Column("skipped", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("domains", sa.Column("frozen_since", sa.BigInteger(), nullable=True))
    op.add_column("domains", sa.Column("frozen_reason", sa.String(length=255), nullable=True))
