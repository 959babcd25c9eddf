# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd fleet …`."""

import json
from collections.abc import Iterator
from typing import Any

import click
from sqlalchemy import Connection

from ddnsd import settings
from ddnsd.auth import secrets
from ddnsd.auth.device_keys import DeviceLogin
from ddnsd.auth.sealing import BadKeyFile, SealingKeys
from ddnsd.cli.group import in_transaction, iso_time
from ddnsd.db import fleets as stored
from ddnsd.db import queries
from ddnsd.db.fleets import Fleet, ListedDevice
from ddnsd.registry import accounts, fleets
from ddnsd.registry.accounts import ACTOR
from ddnsd.registry.errors import Code, NoDomain, Reason
from ddnsd.registry.fleets import DEVICES, KEEP_DAYS, MOST_DEVICES
from ddnsd.registry.names import fold

MOST = 10_000
"""Maximum number of fleets that are printed."""

PART = 1000


@click.group(name="fleet")
def fleet() -> None:
    """Fleets of devices, whose passwords follow from one key and their MAC addresses."""


@fleet.command(name="add")
@click.argument("name")
@click.option("--domain", required=True, help="The domain of the devices' hosts.")
@click.option("--pattern", required=True, help="The name of a device's host in the domain, such as cam-{mac}.")
@click.option(
    "--quota",
    type=click.IntRange(1, MOST_DEVICES),
    default=DEVICES,
    show_default=True,
    help="Maximum number of devices.",
)
@click.option("--owner", help="Owner of the devices' hosts. Default: the owner of the domain.")
def add(name: str, domain: str, pattern: str, quota: int, owner: str | None) -> None:
    """Print f-ID:KEY of a new fleet. Shown only once.

    A device signs in as f-ID.MAC with a password that follows from KEY and MAC. Its first update registers its host.
    """
    keys, key = _sealing_keys(), secrets.new_fleet_key()

    def work(connection: Connection) -> Fleet:
        found = queries.domain(connection, fold(domain))
        if found is None:
            raise NoDomain(Code.DOMAIN_MISSING, domain=domain)
        owner_id = accounts.user_named(connection, owner).id if owner is not None else found.owner_id
        return fleets.add(connection, keys, name, found, pattern, quota, owner_id, key, ACTOR)

    _show_key(in_transaction(work), key)


@fleet.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
def show_all(as_json: bool) -> None:
    """Print the fleets, one per line.

    Each line has the name, f-ID, the owner, the pattern with the domain, and the number of devices with the quota.
    """

    def work(connection: Connection) -> list[dict[str, Any]]:
        return [_fields(connection, one) for one in stored.first(connection, MOST)]

    found = in_transaction(work)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        hosts = f"{one['pattern']}.{one['domain']}"
        click.echo(f"{one['name']}\t{one['id']}\t{one['owner']}\t{hosts}\t{one['devices']}/{one['quota']}")


@fleet.command(name="show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print an object.")
def show(name: str, as_json: bool) -> None:
    """Print the devices of a fleet, one per line.

    Each line has the MAC address, the host, the time of the last request, and `revoked`. `-` is printed for what is not
    known. A device is listed when it has signed in, or is revoked.
    """

    def work(connection: Connection) -> dict[str, Any]:
        found = fleets.named(connection, name)
        return _fields(connection, found) | {"devices": [_device(one) for one in _devices(connection, found)]}

    found = in_transaction(work)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found["devices"]:
        state = "\trevoked" if one["revoked"] else ""
        click.echo(f"{one['mac']}\t{one['host'] or '-'}\t{one['last_seen'] or '-'}{state}")


@fleet.command(name="rotate")
@click.argument("name")
@click.option(
    "--keep-days",
    type=click.IntRange(0, KEEP_DAYS),
    default=0,
    show_default=True,
    help="So long devices with the former key are accepted, too.",
)
def rotate(name: str, keep_days: int) -> None:
    """Replace the key of a fleet, and print f-ID:KEY of the new one. Shown only once.

    All devices need a new password. Without --keep-days the former ones stop working at once.
    """
    keys, key = _sealing_keys(), secrets.new_fleet_key()

    def work(connection: Connection) -> Fleet:
        found = fleets.named(connection, name)
        fleets.rotate(connection, keys, found, key, keep_days, ACTOR)
        return found

    _show_key(in_transaction(work), key)


@fleet.command(name="revoke")
@click.argument("name")
@click.argument("mac")
def revoke(name: str, mac: str) -> None:
    """Refuse one device from now on, also one that was never seen. Its host stays."""
    in_transaction(lambda c: fleets.revoke(c, fleets.named(c, name), mac, ACTOR))


@fleet.command(name="restore")
@click.argument("name")
@click.argument("mac")
def restore(name: str, mac: str) -> None:
    """Accept a revoked device again."""
    in_transaction(lambda c: fleets.restore(c, fleets.named(c, name), mac, ACTOR))


@fleet.command(name="remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove a fleet. Its devices are refused at once; their hosts stay."""
    in_transaction(lambda c: fleets.remove(c, fleets.named(c, name), ACTOR))


def _sealing_keys() -> SealingKeys:
    file = settings.load().second_factor_key
    if file is None:
        raise click.ClickException(str(Reason(Code.FLEETS_OFF)))
    try:
        return SealingKeys.from_file(file)
    except BadKeyFile as error:
        raise click.ClickException(str(error)) from None


def _show_key(found: Fleet, key: str) -> None:
    click.echo(f"f-{found.id}:{key}")


def _fields(connection: Connection, found: Fleet) -> dict[str, Any]:
    return {
        "name": found.name,
        "id": f"f-{found.id}",
        "owner": found.owner,
        "domain": found.domain,
        "pattern": found.pattern,
        "quota": found.quota,
        "devices": stored.device_count(connection, found.id),
        "created": iso_time(found.created),
    }


def _devices(connection: Connection, found: Fleet) -> Iterator[ListedDevice]:
    after = ""
    while part := stored.devices(connection, found.id, after, PART):
        yield from part
        after = part[-1].login


def _device(one: ListedDevice) -> dict[str, Any]:
    login = DeviceLogin.of_text(one.login)
    assert login is not None
    return {
        "mac": login.mac,
        "host": one.host,
        "first_seen": iso_time(one.created),
        "last_seen": iso_time(one.seen),
        "revoked": iso_time(one.revoked),
    }
