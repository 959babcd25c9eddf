# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains whose names members of a Kerberos realm write."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("domains", sa.Column("gss_realm", sa.String(length=255), nullable=True))
    op.add_column("domains", sa.Column("gss_hosts", sa.Boolean(), server_default=sa.false(), nullable=False))
