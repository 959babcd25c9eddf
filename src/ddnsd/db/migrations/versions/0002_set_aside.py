# SPDX-License-Identifier: GPL-3.0-or-later
"""What name servers do not take is set aside and tried again; hosts and RRsets in conflict are tried again as well."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "set_aside",
        sa.Column("id", _ID, nullable=False),
        sa.Column("domain_id", _ID, nullable=False),
        sa.Column("host_id", _ID, nullable=True),
        sa.Column("rrset_id", _ID, nullable=True),
        sa.Column("removal_id", _ID, nullable=True),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("held", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name=op.f("fk_set_aside_domain_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_set_aside_host_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["rrset_id"], ["rrsets.id"], name=op.f("fk_set_aside_rrset_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["removal_id"], ["removals.id"], name=op.f("fk_set_aside_removal_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_set_aside")),
        sa.UniqueConstraint("host_id", name=op.f("uq_set_aside_host_id")),
        sa.UniqueConstraint("rrset_id", name=op.f("uq_set_aside_rrset_id")),
        sa.UniqueConstraint("removal_id", name=op.f("uq_set_aside_removal_id")),
    )
    op.create_index(op.f("ix_set_aside_domain_id"), "set_aside", ["domain_id"], unique=False)
    op.create_index(op.f("ix_set_aside_retry_at"), "set_aside", ["retry_at"], unique=False)
    # until now nobody tried these again
    op.execute(
        "INSERT INTO pending (host_id, version, since) SELECT id, version, 0 FROM hosts WHERE conflict IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.host_id = hosts.id)"
    )
    op.execute(
        "INSERT INTO set_aside (domain_id, rrset_id, name, reason, held, since, retry_at)"
        " SELECT hosts.domain_id, rrsets.id, hosts.fqdn, rrsets.conflict, true, 0, 0"
        " FROM rrsets JOIN hosts ON hosts.id = rrsets.host_id WHERE rrsets.conflict IS NOT NULL"
    )
