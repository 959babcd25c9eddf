# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are aliases, and several addresses of a family."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("alias", sa.String(255), nullable=True))
    op.add_column("hosts", sa.Column("aliased", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("removals", sa.Column("alias", sa.String(255), nullable=True))
    if op.get_bind().dialect.name == "postgresql":  # SQLite does not check lengths
        for table in ("hosts", "removals"):
            for column in ("ipv4", "ipv6"):
                op.alter_column(table, column, type_=sa.String(640))
