# SPDX-License-Identifier: GPL-3.0-or-later
"""Register the host of a device at its first contact, and refuse repeated requests.

    room in the fleet ─► the name of the pattern ─► registered, or a host that the fleet's owner has already

A name that is not free is told to the owner, at most once an hour for a device.
"""

from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from ddnsd.auth import secrets
from ddnsd.auth.caller import BadCredentials, Caller, Kind
from ddnsd.auth.claims_age import ClaimsAge
from ddnsd.auth.device_keys import DeviceLogin
from ddnsd.db import fleets, queries
from ddnsd.db.base import Store
from ddnsd.db.fleets import Admission, Fleet
from ddnsd.db.history import Author
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import Domain, Host
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.domains import may_register
from ddnsd.registry.errors import Invalid, NotPublished, OverQuota, Taken
from ddnsd.registry.fleets import host_name
from ddnsd.registry.hosts import Hosts, NewHost
from ddnsd.registry.update_requests import Refusal, RequestRefused
from ddnsd.registry.window_counter import WindowCounter

TELL_SECONDS = 3600.0
"""How long the owner is not told the same again."""

LABEL = "fleet"
"""The label of a host that has the name of its fleet."""

log = structlog.get_logger()


class _Owned(NamedTuple):
    """A fleet with its domain, and its owner as a caller; None if the owner may not register hosts there now."""

    fleet: Fleet
    domain: Domain
    owner: Caller | None


class FleetDevices:
    """What devices need after their sign-in."""

    def __init__(self, store: Store, lookups: Lookups, hosts: Hosts, claims_age: ClaimsAge) -> None:
        self._store, self._lookups, self._hosts, self._claims_age = store, lookups, hosts, claims_age
        self._told: WindowCounter[str] = WindowCounter(TELL_SECONDS)

    async def use_time(self, caller: Caller, at: int) -> None:
        """Accept the time of a signed request, in seconds since the epoch, once, and no earlier one after it.

        Raises BadCredentials, StoreDown.
        """
        device = _login(caller)

        def work(connection: Connection) -> Admission | None:
            fleet = fleets.by_id(connection, device.fleet_id)
            return None if fleet is None else fleets.admit(connection, fleet.id, caller.name, fleet.quota, at)

        if await self._store.transact(work) in (None, Admission.REPEATED):
            log.warning("signed request refused", device=caller.name, reason="its time is not later than the last one")
            raise BadCredentials(known=True)

    async def with_host(self, caller: Caller, author: Author, *, tls: bool) -> Caller:
        """The caller with the device's host, which is registered if there is none. Raises RequestRefused, StoreDown."""
        found = await self._store.read(lambda c: self._owned(c, _login(caller).fleet_id))
        if found is None or found.owner is None:
            raise RequestRefused(Refusal.UNAVAILABLE)
        fleet = found.fleet
        if await self._store.transact(lambda c: fleets.admit(c, fleet.id, caller.name, fleet.quota)) is Admission.FULL:
            await self._tell(fleet, caller.name, f"the fleet has {fleet.quota} devices, which is its quota", author)
            raise RequestRefused(Refusal.FLEET_FULL)
        host = await self._host(found, found.owner, caller, author, tls=tls)
        await self._store.transact(lambda c: fleets.set_host(c, caller.name, host.id))
        return caller._replace(hosts=(host,))

    def _owned(self, connection: Connection, fleet_id: int) -> _Owned | None:
        fleet = fleets.by_id(connection, fleet_id)
        if fleet is None:
            return None
        domain, user = queries.domain(connection, fleet.domain), queries.user(connection, fleet.owner)
        assert domain is not None
        assert user is not None
        rights = self._claims_age.of_token(queries.rights(connection, user.id))
        owner = Caller(
            Kind.USER,
            user.name,
            user.id,
            user.name,
            scopes=frozenset({"write"}),
            groups=rights.groups,
            admin=rights.admin,
        )
        allowed = user.active and may_register(owner, domain, domain.name, None)
        return _Owned(fleet, domain, owner if allowed else None)

    async def _host(self, found: _Owned, owner: Caller, caller: Caller, author: Author, *, tls: bool) -> Host:
        """The host with the device's name. Raises RequestRefused, StoreDown."""
        fleet, fqdn = found.fleet, host_name(found.fleet, _login(caller).mac)
        host = await self._lookups.host.one(fqdn)
        if host is None:
            new = NewHost(
                fqdn,
                fleet.owner_id,
                fleet.owner,
                secrets.verifier(secrets.new_secret()),  # nobody knows it: the device has its own key
                AddressUpdate(),
                labels={LABEL: fleet.name},
                tls=tls,
                client_ip=author.source,
                author=author,
                caller=owner,
            )
            try:
                return await self._hosts.register(found.domain, new)
            except Taken as error:
                host = await self._lookups.host.one(fqdn)
                reason = str(error)
            except Invalid as error:
                reason = str(error)
            except OverQuota as error:
                if error.retry_after is not None:
                    raise RequestRefused(Refusal.TOO_MANY_CHANGES) from None
                await self._tell(fleet, caller.name, str(error), author)
                raise RequestRefused(Refusal.FLEET_FULL) from None
            except NotPublished as error:
                log.warning("device not registered", device=caller.name, host=fqdn, reason=str(error))
                raise RequestRefused(Refusal.UNCONFIRMED) from None
        else:
            reason = "another user has this name"
        if host is not None and host.owner_id == fleet.owner_id:
            return host
        await self._tell(fleet, caller.name, f"{fqdn}: {reason}", author)
        raise RequestRefused(Refusal.NAME_NOT_FREE)

    async def _tell(self, fleet: Fleet, login: str, reason: str, author: Author) -> None:
        """Tell the owner why a device got no host."""
        if self._told.add(fleet.owner_id, login) > 1:
            return
        log.info("device refused", device=login, fleet=fleet.name, reason=reason)
        await self._store.transact(
            lambda c: queries.add_event(
                c, login, "fleet.refuse", fleet.name, author.source, reason, owner_id=fleet.owner_id
            )
        )


def _login(caller: Caller) -> DeviceLogin:
    device = DeviceLogin.of_text(caller.name)
    assert device is not None
    return device
