# SPDX-License-Identifier: GPL-3.0-or-later
"""Second primaries of domains that move, and what is ours there."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "mirrors",
        sa.Column("domain_id", Id, nullable=False, autoincrement=False),
        sa.Column("primary", sa.String(260), nullable=False),
        sa.Column("key_name", sa.String(253), nullable=False),
        sa.Column("key_algorithm", sa.String(30), nullable=False),
        sa.Column("key_secret", sa.Text(), nullable=False),
        sa.Column("role", sa.String(3), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=True),
        sa.Column("waiting", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_mirrors_domain_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("domain_id", name="pk_mirrors"),
    )
    op.create_table(
        "mirror_places",
        sa.Column("domain_id", Id, nullable=False),
        sa.Column("fqdn", sa.String(253), nullable=False),
        sa.Column("rtype", sa.String(10), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"], ["mirrors.domain_id"], name="fk_mirror_places_domain_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("domain_id", "fqdn", "rtype", name="pk_mirror_places"),
    )
