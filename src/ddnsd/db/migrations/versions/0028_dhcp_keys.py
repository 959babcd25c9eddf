# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG keys of DHCP servers, and the domains that they may change."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "dhcp_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_by", sa.String(150), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dhcp_keys"),
        sa.UniqueConstraint("name", name="uq_dhcp_keys_name"),
    )
    op.create_table(
        "dhcp_key_domains",
        sa.Column("key_id", ID, nullable=False),
        sa.Column("domain_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("key_id", "domain_id", name="pk_dhcp_key_domains"),
        sa.ForeignKeyConstraint(["key_id"], ["dhcp_keys.id"], name="fk_dhcp_key_domains_key_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["domain_id"], ["domains.id"], name="fk_dhcp_key_domains_domain_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_dhcp_key_domains_domain_id", "dhcp_key_domains", ["domain_id"])
