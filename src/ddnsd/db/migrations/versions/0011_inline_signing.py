# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains whose primary answers from a signed copy of the zone."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("domains", sa.Column("inline_signing", sa.Boolean(), server_default=sa.false(), nullable=False))
