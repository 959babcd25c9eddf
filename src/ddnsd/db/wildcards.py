# SPDX-License-Identifier: GPL-3.0-or-later
"""Wildcard records of hosts: their names, and the hosts that have them.

A host with `wildcard` answers for all names below it, by records at `*.` and the host's name with the same addresses.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from ddnsd.db.rows import endings
from ddnsd.db.schema import hosts

PREFIX = "*."


def wildcard_name(fqdn: str) -> str:
    """The name of the host's wildcard record."""
    return PREFIX + fqdn


def wildcards_among(connection: Connection, names: Iterable[str]) -> set[str]:
    """Those of the names that are wildcards of hosts."""
    below = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    if not below:
        return set()
    found = connection.scalars(select(hosts.c.fqdn).where(hosts.c.fqdn.in_(below), hosts.c.wildcard))
    return {wildcard_name(fqdn) for fqdn in found}


def wildcard_above(connection: Connection, name: str) -> str | None:
    """The closest host whose wildcard answers for the name."""
    above = hosts.c.fqdn.in_(endings(name)[1:]), hosts.c.wildcard
    return connection.scalar(select(hosts.c.fqdn).where(*above).order_by(func.length(hosts.c.fqdn).desc()).limit(1))
