# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack that a key belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("keys", sa.Column("stack", sa.String(63), nullable=True))
