# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders of certificates for hosts."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "certificates",
        sa.Column("id", ID, nullable=False),
        sa.Column("host_id", ID, nullable=False),
        sa.Column("domain_id", ID, nullable=False),
        sa.Column("fqdn", sa.String(253), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("csr_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("requested_by", sa.String(255), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("chain", sa.Text(), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("not_after", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_certificates"),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_certificates_domain_id", ondelete="CASCADE"),
    )
    op.create_index("ix_certificates_fqdn", "certificates", ["fqdn", "started"])
    op.create_index("ix_certificates_domain_id", "certificates", ["domain_id", "started"])
    op.create_index("ix_certificates_started", "certificates", ["started"])
