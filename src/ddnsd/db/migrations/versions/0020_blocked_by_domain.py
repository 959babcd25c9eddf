# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that the owner of their domain has blocked."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("blocked_by_domain", sa.Boolean(), nullable=False, server_default=sa.false()))
