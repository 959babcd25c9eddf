# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for domains: users create them, administrators approve or decline. Approval creates domain and zone.

open ─► approved | declined | withdrawn
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from ddnsd.db import domain_requests, host_edits, queries
from ddnsd.db.base import Store
from ddnsd.db.domain_requests import OPEN, DomainRequest
from ddnsd.db.rows import Domain
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import domains
from ddnsd.registry.domain_zones import Zones
from ddnsd.registry.errors import Code, Invalid, NoRequest, Reason, Stale, Taken
from ddnsd.registry.inputs import LONG_TEXT_LENGTH, lines_of_text
from ddnsd.registry.rows import Page, page_of

OPEN_REQUESTS = 5
"""Maximum number of open requests per user."""

ACTIONS = {"approved": "approve", "declined": "decline", "withdrawn": "withdraw"}


class Requests:
    """Reads and changes requests for domains. The caller checks permissions."""

    def __init__(self, store: Store, zones: Zones) -> None:
        self._store, self._zones = store, zones

    async def find(self, request_id: int) -> DomainRequest | None:
        """The request of that id. Raises StoreDown."""
        return await self._store.read(lambda c: domain_requests.find(c, request_id))

    async def page(
        self, after: int, limit: int, *, user_id: int | None = None, state: str | None = None
    ) -> Page[DomainRequest]:
        """Requests with an id above `after`: of one user or of all, in one state or in any. Raises StoreDown."""
        return page_of(
            await self._store.read(lambda c: domain_requests.page(c, after, limit + 1, user_id=user_id, state=state)),
            limit,
        )

    async def latest(self, user_id: int, limit: int) -> list[DomainRequest]:
        """At most `limit` requests of a user, newest first, including all open ones. Raises StoreDown."""
        return await self._store.read(lambda c: domain_requests.latest(c, limit, user_id=user_id))

    async def open_count(self) -> int:
        """The number of open requests. Raises StoreDown."""
        return await self._store.read(domain_requests.open_count)

    async def ask(
        self, name: str, user_id: int, reason: str, *, public: bool = False, actor: str, client_ip: str | None
    ) -> DomainRequest:
        """Create a request for the domain of that folded name. Raises Invalid, Taken, StoreDown."""
        text = lines_of_text("reason", reason, LONG_TEXT_LENGTH)

        def work(connection: Connection) -> DomainRequest:
            host_edits.locked_user(connection, actor)  # no other request of the user is added during the count
            _check_free(connection, name)
            if domain_requests.open_of(connection, user_id, name):
                raise Taken(name=Reason(Code.REQUEST_EXISTS, domain=name))
            if domain_requests.open_count(connection, user_id) >= OPEN_REQUESTS:
                raise Invalid(name=Reason(Code.REQUESTS_TOO_MANY, limit=OPEN_REQUESTS))
            made = domain_requests.add(
                connection, user_id=user_id, name=name, public=public, reason=text, created=queries.now()
            )
            queries.add_event(connection, actor, "domain.ask", name, client_ip, text, owner_id=user_id)
            return made

        return await self._store.transact(work)

    async def approve(
        self,
        request_id: int,
        *,
        actor: str,
        client_ip: str | None,
        primary: str | None = None,
        key: TsigKey | None = None,
        answer: str | None = None,
        columns: dict[str, Any] | None = None,
    ) -> Domain:
        """Create the domain for the user who requested it, as `Zones.add` does, and close the request.

        `columns` are those of the domain; `public` is taken from the request unless it is in `columns`. If the user
        already owns the domain, this only closes the request. Creating a domain takes seconds. If the request is
        withdrawn or declined meanwhile, it is approved nevertheless, because the domain exists. Raises NoRequest, Stale
        if the request is not open, and as `Zones.add` does; the request then stays open.
        """
        text = lines_of_text("answer", answer, LONG_TEXT_LENGTH) if answer else None
        found = _opened(await self._store.read(lambda c: domain_requests.find(c, request_id)))
        domain = await self._store.read(lambda c: queries.domain(c, found.name))
        made = None
        if domain is None or domain.owner_id != found.user_id:
            given = {"public": bool(found.public)} | (columns or {})
            domain = made = await self._zones.add(
                found.name, found.user, primary=primary, key=key, columns=given, actor=actor, client_ip=client_ip
            )
        await self._close(request_id, "approved", text, actor, client_ip, also_closed=made is not None)
        return domain

    async def decline(self, request_id: int, answer: str, *, actor: str, client_ip: str | None) -> DomainRequest:
        """Decline the request with a reason. Raises NoRequest, Invalid, Stale, StoreDown."""
        return await self._close(
            request_id, "declined", lines_of_text("answer", answer, LONG_TEXT_LENGTH), actor, client_ip
        )

    async def withdraw(
        self, request_id: int, *, actor: str, client_ip: str | None, expect: Callable[[DomainRequest], None]
    ) -> DomainRequest:
        """Withdraw the request for its user. `expect` is called with the request just before, and may raise.

        Raises NoRequest, Stale, StoreDown.
        """
        return await self._close(request_id, "withdrawn", None, actor, client_ip, expect)

    async def _close(
        self,
        request_id: int,
        state: str,
        answer: str | None,
        actor: str,
        client_ip: str | None,
        expect: Callable[[DomainRequest], None] = lambda _: None,
        *,
        also_closed: bool = False,
    ) -> DomainRequest:
        def work(connection: Connection) -> DomainRequest:
            found = domain_requests.find(connection, request_id, lock=True)
            if found is not None:
                expect(found)
            if found is None or not also_closed:
                found = _opened(found)
            if found.state == state:
                return found  # another administrator has approved it meanwhile
            values = {"state": state, "answer": answer, "decided_by": actor, "decided": queries.now()}
            domain_requests.set_state(connection, request_id, **values)
            action = f"domain.{ACTIONS[state]}"
            queries.add_event(connection, actor, action, found.name, client_ip, answer, owner_id=found.user_id)
            closed = domain_requests.find(connection, request_id)
            assert closed is not None
            return closed

        return await self._store.transact(work)


def _check_free(connection: Connection, name: str) -> None:
    """Check as `domains.check_new` does, but show nothing that belongs to others. Raises Invalid, Taken."""
    try:
        domains.check_new(connection, name)
    except Taken:
        raise Taken(name=Reason(Code.DOMAIN_IN_USE, domain=name)) from None


def _opened(found: DomainRequest | None) -> DomainRequest:
    if found is None:
        raise NoRequest
    if found.state != OPEN:
        raise Stale
    return found
