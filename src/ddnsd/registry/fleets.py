# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets of devices: create them, replace their keys, revoke devices. All within the caller's transaction."""

import re

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.auth import device_keys
from ddnsd.auth.device_keys import DeviceLogin
from ddnsd.auth.sealing import SealingKeys
from ddnsd.db import fleets as stored
from ddnsd.db import queries
from ddnsd.db.fleets import Fleet
from ddnsd.db.rows import Domain
from ddnsd.registry import names
from ddnsd.registry.domains import takes_hosts
from ddnsd.registry.errors import Code, Invalid, NoCredential, Reason, Taken

DEVICES = 1000
"""Devices that a fleet may have, if nothing else is said."""

MOST_DEVICES = 1_000_000

KEEP_DAYS = 365
"""Maximum number of days for which a former key is accepted."""

PLACE = "{mac}"
"""Stands for the MAC address in a pattern."""

DAY = 86_400 * 1_000_000

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def host_name(fleet: Fleet, mac: str) -> str:
    """The full name of the host of a new device."""
    return f"{fleet.pattern.replace(PLACE, mac)}.{fleet.domain}"


def named(connection: Connection, name: str) -> Fleet:
    """The fleet of this name. Raises NoCredential."""
    if (fleet := stored.named(connection, names.fold(name))) is None:
        raise NoCredential
    return fleet


def add(
    connection: Connection,
    keys: SealingKeys,
    name: str,
    domain: Domain,
    pattern: str,
    quota: int,
    owner_id: int,
    key: str,
    actor: str,
) -> Fleet:
    """Create a fleet for at most `quota` devices. `pattern` is the name of a host within the domain, with `{mac}`.

    Raises Invalid, Taken.
    """
    name, pattern = names.fold(name), names.fold(pattern)
    if not _NAME.fullmatch(name):
        raise Invalid(name=Reason(Code.FLEET_NAME))
    example = f"{pattern.replace(PLACE, '0' * 12)}.{domain.name}"
    if pattern.count(PLACE) != 1 or names.problem(example) is not None:
        raise Invalid(pattern=Reason(Code.FLEET_PATTERN))
    if not takes_hosts(domain):
        raise Invalid(domain=Reason(Code.FLEET_DOMAIN, domain=domain.name))
    if stored.named(connection, name) is not None:
        raise Taken(name=Reason(Code.FLEET_EXISTS, name=name))
    values = {"name": name, "owner_id": owner_id, "domain_id": domain.id, "pattern": pattern, "quota": quota}
    try:
        fleet_id = stored.add(connection, **values)
    except IntegrityError:
        raise Taken(name=Reason(Code.FLEET_EXISTS, name=name)) from None
    stored.add_key(connection, fleet_id, device_keys.seal(keys, name, key))
    fleet = named(connection, name)
    _tell(connection, "fleet.add", fleet, f"{pattern}.{domain.name}", actor)
    return fleet


def rotate(
    connection: Connection,
    keys: SealingKeys,
    fleet: Fleet,
    key: str,
    keep_days: int,
    actor: str,
) -> None:
    """Replace the key. Devices with the former one are refused after `keep_days`; 0: at once."""
    stored.end_keys(connection, fleet.id, queries.now() + keep_days * DAY if keep_days else None)
    stored.add_key(connection, fleet.id, device_keys.seal(keys, fleet.name, key))
    detail = f"former key for {keep_days} days" if keep_days else None
    _tell(connection, "fleet.rotate", fleet, detail, actor)


def remove(connection: Connection, fleet: Fleet, actor: str) -> None:
    """Delete a fleet. Its devices are refused; their hosts stay."""
    stored.remove(connection, fleet.id)
    _tell(connection, "fleet.delete", fleet, None, actor)


def revoke(connection: Connection, fleet: Fleet, mac: str, actor: str) -> None:
    """Refuse a device from now on, also one that was never seen. Its host stays. Raises Invalid."""
    if stored.revoke(connection, fleet.id, login := _login(fleet, mac)):
        _tell(connection, "fleet.revoke", fleet, login, actor)


def restore(connection: Connection, fleet: Fleet, mac: str, actor: str) -> None:
    """Accept a revoked device again. Raises Invalid."""
    if stored.restore(connection, login := _login(fleet, mac)):
        _tell(connection, "fleet.restore", fleet, login, actor)


def _login(fleet: Fleet, mac: str) -> str:
    if (digits := device_keys.mac_digits(mac)) is None:
        raise Invalid(mac=Reason(Code.MAC_INVALID, mac=mac))
    return str(DeviceLogin(fleet.id, digits))


def _tell(connection: Connection, action: str, fleet: Fleet, detail: str | None, actor: str) -> None:
    queries.add_event(connection, actor, action, fleet.name, None, detail, owner_id=fleet.owner_id)
