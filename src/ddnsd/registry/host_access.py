# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a host by name, if the caller has the permission for an action."""

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.permissions import Action, can
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import Host
from ddnsd.registry import names
from ddnsd.registry.errors import NoHost


class HostAccess:
    """Looks hosts up with the fast queries of the update path."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    async def find(self, caller: Caller, fqdn: str, action: Action) -> Host | None:
        """The host of that folded name, or None if the caller may not perform the action on it. Raises StoreDown."""
        if caller.kind is not Kind.USER or not names.is_full(fqdn):
            return None
        host = await self._lookups.host.one(fqdn)
        return host if host is not None and can(caller, action, host) else None

    async def get(self, caller: Caller, fqdn: str, action: Action) -> Host:
        """The host, as `find` returns it. Raises NoHost instead of returning None, and StoreDown."""
        host = await self.find(caller, fqdn, action)
        if host is None:
            raise NoHost
        return host

    async def by_label(self, caller: Caller, name: str) -> Host:
        """The only host with this full name, or with this name within its domain, that the caller may update.

        Raises NoHost, also if several hosts match; StoreDown.
        """
        own = [host for host in caller.hosts if name in (host.fqdn, host.name)]
        if not own and caller.kind is Kind.USER and not names.problem(name):
            found = await (self._lookups.host if "." in name else self._lookups.host_by_name).all(name)
            own = [host for host in found if can(caller, Action.UPDATE, host)]
        if len(own) != 1:
            raise NoHost
        return own[0]
