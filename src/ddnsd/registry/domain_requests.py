# SPDX-License-Identifier: GPL-3.0-or-later
"""Users ask for domains, administrators approve or decline; an approved domain is made at once, with its zone.

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
from ddnsd.registry.inputs import LONG_TEXT_LENGTH
from ddnsd.registry.paging import Page, page_of

OPEN_REQUESTS = 5
"""Requests of a user that may wait at the same time."""

ACTIONS = {"approved": "approve", "declined": "decline", "withdrawn": "withdraw"}


class Requests:
    """The requests for domains; whether the caller may is decided before."""

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
        """At most `limit` requests of a user, newest first, with all open ones. Raises StoreDown."""
        return await self._store.read(lambda c: domain_requests.latest(c, limit, user_id=user_id))

    async def open_count(self) -> int:
        """How many requests are open. Raises StoreDown."""
        return await self._store.read(domain_requests.open_count)

    async def ask(
        self, name: str, user_id: int, reason: str, *, public: bool = False, actor: str, client_ip: str | None
    ) -> DomainRequest:
        """Keep a request for the domain of that folded name. Raises Invalid, Taken, StoreDown."""
        text = _text("reason", reason)

        def work(connection: Connection) -> DomainRequest:
            host_edits.locked_user(connection, actor)  # their requests are counted one after the other
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
        """Make the domain for whoever asked, as `Zones.add` does, and close the request.

        `columns` are those of the domain; `public` is as it was asked for unless it is one of them. Where the domain
        was made already, for the same user, the request is closed. To make one takes seconds: whoever withdraws or
        declines meanwhile is too late, since the domain exists. Raises NoRequest, Stale where it is not open any more,
        and as `Zones.add` does, with the request still open.
        """
        text = _text("answer", answer) if answer else None
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
        """Close the request with a reason. Raises NoRequest, Invalid, Stale, StoreDown."""
        return await self._close(request_id, "declined", _text("answer", answer), actor, client_ip)

    async def withdraw(
        self, request_id: int, *, actor: str, client_ip: str | None, expect: Callable[[DomainRequest], None]
    ) -> DomainRequest:
        """Close the request because its user does not want it any more; `expect` may raise.

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
                return found  # another administrator found the domain that we have made, and was quicker
            values = {"state": state, "answer": answer, "decided_by": actor, "decided": queries.now()}
            domain_requests.set_state(connection, request_id, **values)
            action = f"domain.{ACTIONS[state]}"
            queries.add_event(connection, actor, action, found.name, client_ip, answer, owner_id=found.user_id)
            closed = domain_requests.find(connection, request_id)
            assert closed is not None
            return closed

        return await self._store.transact(work)


def _check_free(connection: Connection, name: str) -> None:
    """As `domains.check_new`, without a word about what belongs to others."""
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


def _text(field: str, text: str) -> str:
    stripped = text.strip()
    if not stripped or len(stripped) > LONG_TEXT_LENGTH:
        raise Invalid(**{field: Reason(Code.TEXT_LENGTH, limit=LONG_TEXT_LENGTH)})
    if any(not (c.isprintable() or c == "\n") for c in stripped):
        raise Invalid(**{field: Reason(Code.NOT_PRINTABLE)})
    return stripped
