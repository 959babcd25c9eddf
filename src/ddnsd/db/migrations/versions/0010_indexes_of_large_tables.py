# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes for the hosts of a user by domain and name, and for removals among a million finished ones."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_hosts_owner_id_domain_id", "hosts", ["owner_id", "domain_id", "name"])
    op.drop_index("ix_removals_domain_id", "removals")
    op.create_index("ix_removals_domain_id", "removals", ["domain_id", "fqdn"])
    op.create_index(
        "ix_removals_pending",
        "removals",
        ["domain_id", "id"],
        sqlite_where=sa.text("dirty_since IS NOT NULL"),
        postgresql_where=sa.text("dirty_since IS NOT NULL"),
    )
