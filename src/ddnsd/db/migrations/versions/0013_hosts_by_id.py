# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes for the hosts of a user, of a domain and of a stack by id, which are read in slices."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_hosts_owner_id_id", "hosts", ["owner_id", "id"])
    for column in ("domain_id", "stack"):
        op.drop_index(f"ix_hosts_{column}", "hosts")
        op.create_index(f"ix_hosts_{column}", "hosts", [column, "id"])
