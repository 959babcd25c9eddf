# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether DNS holds a host as the database has it."""

from ddnsd.db.rows import Host
from ddnsd.dns.writer import Writer


class DnsState:
    """What DNS is known to hold of the rows that are read after this was made."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._before = writer, writer.confirmed_versions()

    def of(self, host: Host) -> str:
        """`current`: DNS holds this row; `pending`: it follows; `conflict`: a foreign record has the name."""
        if host.conflict is not None:
            return "conflict"
        published = self._before.get(host.id) == host.version or self._writer.is_published(host)
        return "current" if published else "pending"
