# SPDX-License-Identifier: GPL-3.0-or-later
"""Protected hosts, hosts that a stack gives to another one, tokens for stacks, and calls of a lease."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("protect", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("stacks", sa.Column("gives", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("tokens", sa.Column("stacks", sa.Text(), nullable=False, server_default=""))
    op.add_column("answers", sa.Column("stack", sa.String(63), nullable=True))
    op.add_column("answers", sa.Column("key", sa.String(255), nullable=True))
