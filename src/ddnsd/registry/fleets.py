# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets of devices: create them, replace their keys, revoke devices."""

import re
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.auth import device_keys
from ddnsd.auth.caller import Caller
from ddnsd.auth.device_keys import DeviceLogin
from ddnsd.auth.permissions import is_limited
from ddnsd.auth.sealing import SealingKeys
from ddnsd.db import fleets as stored
from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.fleets import Fleet, ListedDevice
from ddnsd.db.rows import Domain
from ddnsd.registry import names
from ddnsd.registry.domains import may_register, takes_hosts
from ddnsd.registry.errors import Code, Invalid, NoCredential, NoDomain, NotPermitted, Reason, Taken
from ddnsd.registry.rows import Page, page_of

MOST = 100
"""Maximum number of fleets of a user."""

DEVICES = 1000
"""Devices that a fleet may have, if its owner says nothing else."""

MOST_DEVICES = 1_000_000

KEEP_DAYS = 365
"""Maximum number of days for which a former key is accepted."""

PLACE = "{mac}"
"""Stands for the MAC address in a pattern."""

DAY = 86_400 * 1_000_000

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class NewFleet(NamedTuple):
    """A fleet to create. `pattern` is the name of a host within the domain, with `{mac}`."""

    name: str
    domain: str
    pattern: str
    quota: int = DEVICES


def host_name(fleet: Fleet, mac: str) -> str:
    """The full name of the host of a new device."""
    return f"{fleet.pattern.replace(PLACE, mac)}.{fleet.domain}"


class Fleets:
    """The fleets of a user; an administrator has those of all. Tokens with limits have none."""

    def __init__(self, store: Store, keys: SealingKeys | None) -> None:
        self._store, self._keys = store, keys

    @property
    def are_possible(self) -> bool:
        """Whether there can be fleets: their keys can be encrypted."""
        return self._keys is not None

    async def page(self, caller: Caller, after: int, limit: int) -> Page[Fleet]:
        """The fleets with an id above `after`. Raises StoreDown."""
        if is_limited(caller):
            return page_of([], limit)
        owner_id = None if caller.admin else caller.user_id
        return page_of(await self._store.read(lambda c: stored.page(c, owner_id, after, limit + 1)), limit)

    async def get(self, caller: Caller, name: str) -> Fleet:
        """One of the fleets. Raises NoCredential, StoreDown."""
        return await self._store.read(lambda c: _own(c, caller, name))

    async def devices(self, fleet: Fleet, after: str, limit: int) -> tuple[list[ListedDevice], str | None]:
        """The devices with a login above `after`, and the cursor of the next page or None. Raises StoreDown."""
        found = await self._store.read(lambda c: stored.devices(c, fleet.id, after, limit + 1))
        return found[:limit], found[limit - 1].login if len(found) > limit else None

    async def create(self, caller: Caller, new: NewFleet, key: str, *, client_ip: str | None) -> Fleet:
        """Create a fleet of the caller. Raises Invalid, Taken, NoDomain, NotPermitted, StoreDown."""
        if is_limited(caller):
            raise NotPermitted(Code.CREDENTIAL_IS_LIMITED)
        if self._keys is None:
            raise Invalid(name=Reason(Code.FLEETS_OFF))
        keys = self._keys

        def work(connection: Connection) -> Fleet:
            domain = queries.domain(connection, names.fold(new.domain))
            if domain is None or not may_register(caller, domain, domain.name, None):
                raise NoDomain(Code.DOMAIN_MISSING, domain=new.domain)
            return add(connection, keys, new, domain, caller.user_id, key, caller.user, client_ip)

        return await self._store.transact(work)

    async def rotate(self, caller: Caller, name: str, key: str, *, keep_days: int = 0, client_ip: str | None) -> Fleet:
        """Replace the key of a fleet. Raises Invalid, NoCredential, StoreDown."""
        if self._keys is None:
            raise Invalid(name=Reason(Code.FLEETS_OFF))
        keys = self._keys

        def work(connection: Connection) -> Fleet:
            fleet = _own(connection, caller, name)
            rotate(connection, keys, fleet, key, keep_days, caller.user, client_ip)
            return fleet

        return await self._store.transact(work)

    async def delete(self, caller: Caller, name: str, *, client_ip: str | None) -> None:
        """Delete a fleet. The hosts of its devices stay. Raises NoCredential, StoreDown."""
        await self._store.transact(lambda c: remove(c, _own(c, caller, name), caller.user, client_ip))

    async def revoke(self, caller: Caller, name: str, mac: str, *, client_ip: str | None) -> None:
        """Refuse a device from now on. Raises Invalid, NoCredential, StoreDown."""
        await self._store.transact(lambda c: revoke(c, _own(c, caller, name), mac, caller.user, client_ip))

    async def restore(self, caller: Caller, name: str, mac: str, *, client_ip: str | None) -> None:
        """Accept a revoked device again. Raises Invalid, NoCredential, StoreDown."""
        await self._store.transact(lambda c: restore(c, _own(c, caller, name), mac, caller.user, client_ip))


def _own(connection: Connection, caller: Caller, name: str) -> Fleet:
    fleet = stored.named(connection, names.fold(name))
    if fleet is None or is_limited(caller) or not (caller.admin or fleet.owner_id == caller.user_id):
        raise NoCredential
    return fleet


# ---- within the caller's transaction, also for commands


def named(connection: Connection, name: str) -> Fleet:
    """The fleet of this name. Raises NoCredential."""
    if (fleet := stored.named(connection, names.fold(name))) is None:
        raise NoCredential
    return fleet


def add(
    connection: Connection,
    keys: SealingKeys,
    new: NewFleet,
    domain: Domain,
    owner_id: int,
    key: str,
    actor: str,
    client_ip: str | None = None,
) -> Fleet:
    """Create a fleet. Raises Invalid, Taken."""
    name, pattern = names.fold(new.name), names.fold(new.pattern)
    if not _NAME.fullmatch(name):
        raise Invalid(name=Reason(Code.FLEET_NAME))
    example = f"{pattern.replace(PLACE, '0' * 12)}.{domain.name}"
    if pattern.count(PLACE) != 1 or names.problem(example) is not None:
        raise Invalid(pattern=Reason(Code.FLEET_PATTERN))
    if not takes_hosts(domain):
        raise Invalid(domain=Reason(Code.FLEET_DOMAIN, domain=domain.name))
    if not 1 <= new.quota <= MOST_DEVICES:
        raise Invalid(quota=Reason(Code.FLEET_QUOTA, limit=MOST_DEVICES))
    if stored.count(connection, owner_id) >= MOST:
        raise Invalid(name=Reason(Code.FLEETS_TOO_MANY, limit=MOST))
    if stored.named(connection, name) is not None:
        raise Taken(name=Reason(Code.FLEET_EXISTS, name=name))
    values = {"name": name, "owner_id": owner_id, "domain_id": domain.id, "pattern": pattern, "quota": new.quota}
    try:
        fleet_id = stored.add(connection, **values)
    except IntegrityError:
        raise Taken(name=Reason(Code.FLEET_EXISTS, name=name)) from None
    stored.add_key(connection, fleet_id, device_keys.seal(keys, name, key))
    fleet = named(connection, name)
    _tell(connection, "fleet.add", fleet, f"{pattern}.{domain.name}", actor, client_ip)
    return fleet


def rotate(
    connection: Connection,
    keys: SealingKeys,
    fleet: Fleet,
    key: str,
    keep_days: int,
    actor: str,
    client_ip: str | None = None,
) -> None:
    """Replace the key. Devices with the former one are refused after `keep_days`; 0: at once. Raises Invalid."""
    if not 0 <= keep_days <= KEEP_DAYS:
        raise Invalid(keep_days=Reason(Code.FLEET_KEEP, limit=KEEP_DAYS))
    stored.end_keys(connection, fleet.id, queries.now() + keep_days * DAY if keep_days else None)
    stored.add_key(connection, fleet.id, device_keys.seal(keys, fleet.name, key))
    detail = f"former key for {keep_days} days" if keep_days else None
    _tell(connection, "fleet.rotate", fleet, detail, actor, client_ip)


def remove(connection: Connection, fleet: Fleet, actor: str, client_ip: str | None = None) -> None:
    """Delete a fleet. Its devices are refused; their hosts stay."""
    stored.remove(connection, fleet.id)
    _tell(connection, "fleet.delete", fleet, None, actor, client_ip)


def revoke(connection: Connection, fleet: Fleet, mac: str, actor: str, client_ip: str | None = None) -> None:
    """Refuse a device from now on, also one that was never seen. Its host stays. Raises Invalid."""
    if stored.revoke(connection, fleet.id, login := _login(fleet, mac)):
        _tell(connection, "fleet.revoke", fleet, login, actor, client_ip)


def restore(connection: Connection, fleet: Fleet, mac: str, actor: str, client_ip: str | None = None) -> None:
    """Accept a revoked device again. Raises Invalid."""
    if stored.restore(connection, login := _login(fleet, mac)):
        _tell(connection, "fleet.restore", fleet, login, actor, client_ip)


def _login(fleet: Fleet, mac: str) -> str:
    if (digits := device_keys.mac_digits(mac)) is None:
        raise Invalid(mac=Reason(Code.MAC_INVALID, mac=mac))
    return str(DeviceLogin(fleet.id, digits))


def _tell(
    connection: Connection, action: str, fleet: Fleet, detail: str | None, actor: str, client_ip: str | None
) -> None:
    queries.add_event(connection, actor, action, fleet.name, client_ip, detail, owner_id=fleet.owner_id)
