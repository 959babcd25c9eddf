# SPDX-License-Identifier: GPL-3.0-or-later
"""Names in reverse, to find what is below a name, and the shipped entries of the deny list."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

AT_ONCE = 10_000

RESERVED = {
    "found by programs of all who use the domain as their search domain": (
        "wpad isatap teredo localhost localdomain local broadcasthost ip6-localhost ip6-loopback kerberos loghost "
        "mailhost puppet salt unifi pnpserver cisco-capwap-controller cisco-lwapp-controller aruba-master"
    ),
    "tells mail programs and mail servers about the domain": "autodiscover autoconfig mta-sts openpgpkey",
    "tells clients of Microsoft about the domain": (
        "lyncdiscover lyncdiscoverinternal sipinternal enterpriseregistration enterpriseenrollment"
    ),
}
"""Names that software looks up below a domain without being told, by reason."""


def upgrade() -> None:
    text = sa.String(253)
    if op.get_bind().dialect.name == "postgresql":
        text = sa.String(253, collation="C")
    for table in ("hosts", "domains"):
        op.add_column(table, sa.Column("reversed_name", text, nullable=True))
    _fill("domains", "SELECT id, name FROM domains WHERE id > :after ORDER BY id LIMIT :most")
    _fill("hosts", "SELECT id, fqdn FROM hosts WHERE id > :after AND name LIKE '%.%' ORDER BY id LIMIT :most")
    for table in ("hosts", "domains"):
        filled = sa.text("reversed_name IS NOT NULL")
        op.create_index(
            f"ix_{table}_reversed_name",
            table,
            ["reversed_name", "owner_id"],
            sqlite_where=filled,
            postgresql_where=filled,
        )
    _reserve()


def _fill(table: str, query: str) -> None:
    connection, after = op.get_bind(), 0
    write = sa.text(f"UPDATE {table} SET reversed_name = :reversed WHERE id = :id")  # noqa: S608
    while rows := connection.execute(sa.text(query), {"after": after, "most": AT_ONCE}).all():
        connection.execute(write, [{"id": i, "reversed": ".".join(reversed(n.split(".")))} for i, n in rows])
        after = rows[-1][0]


def _reserve() -> None:
    """Add the names that are not denied yet."""
    connection, moment = op.get_bind(), int(time.time() * 1_000_000)
    present = set(connection.scalars(sa.text("SELECT value FROM denials WHERE kind = 'name'")))
    write = sa.text(
        "INSERT INTO denials (kind, value, comment, created_by, created) VALUES ('name', :name, :why, 'ddnsd', :moment)"
    )
    for why, names in RESERVED.items():
        for name in sorted(set(names.split()) - present):
            connection.execute(write, {"name": name, "why": why, "moment": moment})
