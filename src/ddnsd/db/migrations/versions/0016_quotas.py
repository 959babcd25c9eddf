# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas of users, groups and domains, and who has stored answers.

An installation that has users already keeps working as before: rows for everybody say that it has no limits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

NAMES = (
    "hosts_per_user",
    "tokens_per_user",
    "keys_per_user",
    "changes_per_hour",
    "record_changes_per_hour",
    "api_writes_per_minute",
    "answers_mb_per_user",
)


def upgrade() -> None:
    quotas = op.create_table(
        "quotas",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=True),
        sa.Column("group", sa.String(255), nullable=True),
        sa.Column("domain_id", Id, nullable=True),
        sa.Column("name", sa.String(30), nullable=False),
        sa.Column("limit", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_quotas_user_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_quotas_domain_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_quotas"),
        sa.UniqueConstraint("user_id", "name", name="uq_quotas_user_id"),
        sa.UniqueConstraint("group", "name", name="uq_quotas_group"),
        sa.UniqueConstraint("domain_id", "name", name="uq_quotas_domain_id"),
    )
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM users)")):
        op.bulk_insert(quotas, [{"name": name, "limit": 0} for name in NAMES])
    op.add_column("answers", sa.Column("user_id", Id, nullable=True))
    op.add_column("answers", sa.Column("size", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_index("ix_answers_user_id", "answers", ["user_id"])
