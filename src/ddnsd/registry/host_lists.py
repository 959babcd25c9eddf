# SPDX-License-Identifier: GPL-3.0-or-later
"""Read hosts for display: one by name, or pages of many, searched, filtered and sorted."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.db import admin_stats, empty_non_terminals, flapping, host_search, last_seen, paging, queries
from ddnsd.db.base import Store
from ddnsd.db.host_search import Facets, View
from ddnsd.db.last_seen import Contact
from ddnsd.db.paging import HostFilter, HostPosition, OwnedHost
from ddnsd.db.rows import Domain, Host, ListedHost
from ddnsd.dns.writer import Writer
from ddnsd.registry import names, pointer_states
from ddnsd.registry.errors import Reason
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.pointer_states import Pointer
from ddnsd.registry.rows import Page
from ddnsd.registry.status import DnsState
from ddnsd.registry.validation import warnings_by_name

SLICE = 1000
"""Maximum number of hosts per read."""

SPAN = 2000
"""Number of hosts per read among which silent ones are searched: of the others only two numbers are read."""

OWN_SLICE = 500
"""Maximum number of a user's hosts per read: PostgreSQL's rows are decoded in the event loop, in a few milliseconds."""

NO_USER = -1
"""An id that no user has."""


class HostRow(NamedTuple):
    """A host in a list. `dns` is the result of `DnsState.of`. `last_request` is None before the first request."""

    host: Host
    owner: str
    dns: str
    last_request: Contact | None


class HostPage(NamedTuple):
    """A numbered page of the hosts that match `view`, and the number of all that match."""

    view: View
    rows: list[HostRow]
    total: int


class Notices(NamedTuple):
    """What the owner of a host should know.

    Names above or below it for which a wildcard does not answer, since when its addresses alternate, and its reverse
    names.
    """

    warnings: list[Reason]
    flapping_since: int | None
    pointers: list[Pointer]


class HostLists:
    """Reads hosts for lists and pages. The caller checks permissions."""

    def __init__(self, store: Store, writer: Writer, last_seen: LastSeen) -> None:
        self._store, self._writer, self._last_seen = store, writer, last_seen

    async def named(self, fqdn: str) -> OwnedHost | None:
        """The host of that name, in any spelling. Raises StoreDown."""
        name = names.fold(fqdn)
        return await self._store.read(lambda c: paging.host(c, name)) if names.is_full(name) else None

    async def all_named(self, fqdns: Sequence[str]) -> list[Host]:
        """The hosts of these folded names, as far as there are any. Raises StoreDown."""
        return await self._store.read(lambda c: queries.hosts_named(c, fqdns))

    async def notices(self, host: Host) -> Notices:
        """What the owner of the host should know, in addition to its row. Raises StoreDown."""

        def work(connection: Connection) -> Notices:
            empty = empty_non_terminals.of_hosts(connection, [host])
            return Notices(
                warnings_by_name(empty).get(host.fqdn, []),
                flapping.since(connection, host.id),
                pointer_states.of_host(connection, host),
            )

        return await self._store.read(work)

    async def is_taken(self, fqdn: str) -> bool:
        """Whether a host or a related name has that folded name. Raises StoreDown."""
        return await self._store.read(lambda c: queries.taken(c, fqdn))

    async def first_names(self, owner_id: int, limit: int) -> list[str]:
        """The names of at most `limit` hosts of a user, sorted. Raises StoreDown."""
        own = HostFilter(owner_id=owner_id)
        found = await self._store.read(lambda c: paging.page_of_hosts(c, own, 0, limit))
        return sorted(owned.host.fqdn for owned in found)

    async def of_owner(self, view: View, number: int, size: int) -> tuple[HostPage, Facets]:
        """A page of a user's hosts, and the values to filter them by. Raises StoreDown."""
        owner_id = view.owner_id
        assert owner_id is not None
        state = self.dns_state()

        def work(connection: Connection) -> tuple[HostPage, Facets]:
            return self._page(connection, view, number, size, state), host_search.facets(connection, owner_id)

        return await self._store.read(work)

    async def of_everybody(self, view: View, owner: str, number: int, size: int) -> HostPage:
        """A page of the hosts of all users, or of the user named `owner`. Raises StoreDown."""
        state = self.dns_state()

        def work(connection: Connection) -> HostPage:
            user = queries.user(connection, owner) if owner else None
            owner_id = (user.id if user else NO_USER) if owner else None
            return self._page(connection, view._replace(owner_id=owner_id), number, size, state)

        return await self._store.read(work)

    def _page(self, connection: Connection, view: View, number: int, size: int, state: DnsState) -> HostPage:
        part = host_search.page(connection, view, size, (number - 1) * size)
        owners = admin_stats.user_names(connection, {host.owner_id for host in part.hosts})
        written = last_seen.of(connection, [host.id for host in part.hosts])
        rows = [
            HostRow(
                host,
                owners.get(host.owner_id, ""),
                state.of(host),
                self._last_seen.last(host.id, written.get(host.id)),
            )
            for host in part.hosts
        ]
        return HostPage(view, rows, part.total)

    async def slices(
        self, wanted: HostFilter, after: int, limit: int
    ) -> AsyncIterator[tuple[Page[OwnedHost], DnsState]]:
        """Yield at most `limit` hosts with an id above `after`, by id, in slices from short reads.

        `next` of the last slice is the cursor of the next page. Raises StoreDown.
        """
        while True:
            size, state = min(limit, SLICE), self.dns_state()
            found = await self._page_of(wanted, after, size + 1)
            cursor = found[size - 1].host.id if len(found) > size else None
            yield Page(found[:size], cursor), state
            limit -= size
            if cursor is None or limit <= 0:
                return
            after = cursor

    async def _page_of(self, wanted: HostFilter, after: int, limit: int) -> list[OwnedHost]:
        if wanted.silent_days is None:
            return await self._store.read(lambda c: paging.page_of_hosts(c, wanted, after, limit))
        found: list[OwnedHost] = []
        position: int | None = after
        while position is not None and len(found) < limit:
            missing = limit - len(found)
            part, position = await self._store.read(
                lambda c, a=position, m=missing: paging.page_of_silent_hosts(c, wanted, a, m, SPAN)  # type: ignore[misc]
            )
            found += part
        return found

    async def own(self, owner_id: int, domain: Domain | None) -> AsyncIterator[list[ListedHost]]:
        """Yield a user's hosts, sorted by domain and name, in slices from short reads.

        A host that exists all the time and keeps its name is in one slice. Raises StoreDown.
        """
        domain_id = domain.id if domain else None
        position: HostPosition | None = HostPosition()
        while position is not None:
            after = position
            found, position = await self._store.read(
                lambda c, a=after: paging.slice_of_hosts(c, owner_id, domain_id, a, OWN_SLICE)  # type: ignore[misc]
            )
            yield found

    def dns_state(self) -> DnsState:
        """The DNS state of hosts that are read after this call."""
        return DnsState(self._writer)


def host_view(
    *, owner_id: int | None = None, text: str = "", domain: str = "", stack: str = "", state: str = "", sort: str = ""
) -> View:
    """The filter and order of a list of hosts; `-` before `sort` reverses the order. Unknown values are ignored."""
    order = sort.removeprefix("-")
    return View(
        owner_id,
        text,
        domain,
        stack,
        state if state in host_search.STATES else "",
        order if order in host_search.ORDERS else "name",
        sort.startswith("-"),
    )
