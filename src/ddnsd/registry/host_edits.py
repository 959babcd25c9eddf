# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a host in place: its fields, and its name.

A new name is claimed in the zone as at registration; the old one leaves. Secret, id and counters stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ddnsd.db.base import Store
from ddnsd.db.history import Author
from ddnsd.db.rows import Domain, Host
from ddnsd.dns.writer import Writer
from ddnsd.registry import transfers
from ddnsd.registry.changes import Changes, Decided
from ddnsd.registry.hosts import still
from ddnsd.registry.policy import Policy
from ddnsd.registry.validation import Change, Expect, Verb


@dataclass(frozen=True)
class Edit:
    """What is to change.

    `values` are those that `host_columns.columns` takes, and `owner` by name; `rename` is the new folded full name and
    the domain it lies in. `expect` is called with the host as it is just before the change, and may raise. `oversight`:
    an administrator, who also changes blocked hosts. `author` is named in the host's history, `actor` unless given.
    `keep_secrets`: where `values` name a new owner, everything that updates the host goes on to do so.
    """

    values: Mapping[str, Any]
    actor: str
    client_ip: str | None
    expect: Expect
    rename: tuple[str, Domain] | None = None
    tls: bool = False
    oversight: bool = False
    author: Author | None = None
    keep_secrets: bool = False


class Edits:
    """Changes hosts; whether the caller may is decided before."""

    def __init__(self, store: Store, writer: Writer, policy: Policy) -> None:
        self._changes = Changes(store, writer, policy)

    async def apply(self, host: Host, edit: Edit) -> Host:
        """Change the host; durable, and acknowledged by the name server, when this returns it.

        Raises Invalid, Taken, Blocked, NoHost, NotPublished, StoreDown (nothing is changed), Unconfirmed (the change is
        kept, DNS follows), and what `edit.expect` raises.
        """
        fqdn, domain = edit.rename or (None, None)
        kept = {"secrets": transfers.KEEP} if edit.keep_secrets else {}
        change = Change(Verb.UPDATE, host.fqdn, {**edit.values, **kept}, fqdn, expect=still(host, edit.expect))
        row = await self._changes.make(
            change,
            edit.author or Author(edit.actor, edit.client_ip),
            rights=Decided(oversight=edit.oversight, domain=domain),
            tls=edit.tls,
        )
        assert row.now is not None
        return row.now
