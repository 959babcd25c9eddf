# SPDX-License-Identifier: GPL-3.0-or-later
"""Two users cannot take a name and one below it at the same moment.

On PostgreSQL, two transactions that run at once do not see the hosts of each other. `ChangeValidator` refuses a name
above or below those of others, but only those that it sees. So the writer of the lower name also inserts the names
above it, and deletes these rows at once: who inserts one of them waits in the unique index until the transaction has
ended. The writer of the upper name looks below it after it has inserted its row.

On SQLite, one transaction writes at a time.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from sqlalchemy import Connection

from ddnsd.db import bulk_hosts
from ddnsd.db.rows import Host, endings


class NamesChanged(Exception):
    """a host above or below a new name has appeared, or has got another owner, since the names were read"""


def names_above(host: Host) -> list[str]:
    """The names between the host's and its domain's."""
    return endings(host.fqdn)[1 : host.name.count(".") + 1]


def free_above(connection: Connection, new: Iterable[Host], known: Collection[str]) -> Iterator[Host]:
    """Yield a host for each name above the new ones that is none of the `known` names, to insert and delete."""
    if connection.dialect.name != "postgresql":
        return
    found = set(known)
    for host in new:
        for name in names_above(host):
            if name not in found:
                found.add(name)
                yield host._replace(fqdn=name, name=name[: len(host.name) - len(host.fqdn)], secret_hash=b"")


def hold_above(connection: Connection, new: Iterable[Host], known: Mapping[str, Host]) -> None:
    """Keep the `known` hosts above the new ones until the end of the transaction. Raises NamesChanged."""
    if connection.dialect.name != "postgresql":
        return
    above = {known[name].id: known[name].owner_id for host in new for name in names_above(host) if name in known}
    if above and bulk_hosts.hold_hosts(connection, above) != above:
        raise NamesChanged


def check_below(connection: Connection, taken: Collection[tuple[str, int]], besides: Collection[str]) -> None:
    """Check that others have no host below the (full name, owner's id) that were just written. Raises NamesChanged.

    Hosts `besides` do not count, because the validator has seen them.
    """
    if not taken or connection.dialect.name != "postgresql":
        return
    if bulk_hosts.names_above_others_in_zone(connection, taken, besides):
        raise NamesChanged
