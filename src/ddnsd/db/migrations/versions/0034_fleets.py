# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets of devices, their encrypted keys, and the devices that have signed in."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "fleets",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("domain_id", ID, nullable=False),
        sa.Column("pattern", sa.String(100), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fleets"),
        sa.UniqueConstraint("name", name="uq_fleets_name"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_fleets_owner_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_fleets_domain_id", ondelete="CASCADE"),
    )
    op.create_index("ix_fleets_owner_id", "fleets", ["owner_id"])
    op.create_index("ix_fleets_domain_id", "fleets", ["domain_id"])
    op.create_table(
        "fleet_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("fleet_id", ID, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_fleet_keys"),
        sa.ForeignKeyConstraint(["fleet_id"], ["fleets.id"], name="fk_fleet_keys_fleet_id", ondelete="CASCADE"),
    )
    op.create_index("ix_fleet_keys_fleet_id", "fleet_keys", ["fleet_id"])
    op.create_table(
        "fleet_devices",
        sa.Column("login", sa.String(40), nullable=False),
        sa.Column("fleet_id", ID, nullable=False),
        sa.Column("host_id", ID, nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.Column("last_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("login", name="pk_fleet_devices"),
        sa.ForeignKeyConstraint(["fleet_id"], ["fleets.id"], name="fk_fleet_devices_fleet_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_fleet_devices_host_id", ondelete="SET NULL"),
    )
    op.create_index("ix_fleet_devices_host_id", "fleet_devices", ["host_id"])
    op.create_index("ix_fleet_devices_fleet_id", "fleet_devices", ["fleet_id", "login"])
