# SPDX-License-Identifier: GPL-3.0-or-later
"""Users whose hosts' records are out of DNS while they are switched off."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("withdrawn", sa.Boolean(), server_default=sa.false(), nullable=False))
