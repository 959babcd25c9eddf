# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted TSIG secrets, and accepted DNS UPDATE messages; stored hashes are hashed once more."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

HASHES = (("hosts", "id", "secret_hash"), ("keys", "id", "secret_hash"), ("tokens", "id", "hash"))
PART = 5000


def upgrade() -> None:
    op.create_table(
        "tsig_secrets",
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_tsig_secrets"),
    )
    op.create_table(
        "accepted_updates",
        sa.Column("mac", sa.LargeBinary(64), nullable=False),
        sa.Column("rcode", sa.Integer(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mac", name="pk_accepted_updates"),
    )
    op.create_index("ix_accepted_updates_expires", "accepted_updates", ["expires"])
    for table, key, column in (*HASHES, ("enrolments", "host_id", "replaces")):
        _hash_again(table, key, column)


def _hash_again(table: str, key: str, column: str) -> None:
    connection, after = op.get_bind(), 0
    of_table = sa.table(table, sa.column(key), sa.column(column, sa.LargeBinary))
    identity, stored = of_table.c[key], of_table.c[column]
    query = sa.select(identity, stored).where(identity > sa.bindparam("after")).order_by(identity).limit(PART)
    change = sa.update(of_table).where(identity == sa.bindparam("row")).values({column: sa.bindparam("new")})
    while rows := connection.execute(query, {"after": after}).all():
        connection.execute(change, [{"row": row[0], "new": hashlib.sha256(row[1]).digest()} for row in rows])
        after = rows[-1][0]
