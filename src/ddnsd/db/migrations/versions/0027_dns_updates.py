# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a domain takes updates at the port for DNS UPDATE."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("domains", sa.Column("dns_updates", sa.Boolean(), nullable=False, server_default=sa.true()))
