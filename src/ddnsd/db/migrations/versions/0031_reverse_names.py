# SPDX-License-Identifier: GPL-3.0-or-later
"""Reverse names of hosts, and the reverse zones that have them."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IPV4, IPV6 = (sa.String(length).with_variant(sa.String(640), "postgresql") for length in (15, 39))
REVERSE_NAMES = sa.text("reverse_of IS NOT NULL")


def upgrade() -> None:
    op.add_column("domains", sa.Column("network", sa.String(43), nullable=True))
    op.add_column("domains", sa.Column("reverse", sa.String(8), server_default=sa.text("'off'"), nullable=False))
    op.add_column("hosts", sa.Column("ptr", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("hosts", sa.Column("proved_ipv4", IPV4, nullable=True))
    op.add_column("hosts", sa.Column("proved_ipv6", IPV6, nullable=True))
    op.add_column("hosts", sa.Column("reverse_of", sa.String(39), nullable=True))
    op.create_index(
        "ix_hosts_reverse_of", "hosts", ["reverse_of"], sqlite_where=REVERSE_NAMES, postgresql_where=REVERSE_NAMES
    )
    op.create_table(
        "pointers",
        sa.Column("id", ID, nullable=False),
        sa.Column("host_id", ID, nullable=False),
        sa.Column("address", sa.String(39), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pointers"),
        sa.UniqueConstraint("host_id", "address", name="uq_pointers_host_id"),
    )
    op.create_index("ix_pointers_address", "pointers", ["address"])
    op.create_table(
        "pointer_marks",
        sa.Column("id", ID, nullable=False),
        sa.Column("host_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pointer_marks"),
    )
    op.create_table(
        "pointer_pass",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("after_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pointer_pass"),
    )
