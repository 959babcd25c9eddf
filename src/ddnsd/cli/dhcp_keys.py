# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd dhcp-key …`."""

import json
from typing import Any

import click
from sqlalchemy import Connection

from ddnsd import settings
from ddnsd.auth import secrets, tsig_secrets
from ddnsd.auth.sealing import BadKeyFile, SealingKeys
from ddnsd.cli.group import in_transaction, iso_time
from ddnsd.db import dhcp_keys as stored
from ddnsd.db import queries
from ddnsd.db.rows import Domain
from ddnsd.registry import dhcp_configs, dhcp_keys
from ddnsd.registry.accounts import ACTOR
from ddnsd.registry.dhcp_configs import DhcpTarget
from ddnsd.registry.errors import Code, NoDomain
from ddnsd.registry.names import fold

MOST = 10_000
"""Maximum number of keys that are printed."""


@click.group(name="dhcp-key")
def dhcp_key() -> None:
    """TSIG keys of DHCP servers."""


@dhcp_key.command(name="add")
@click.argument("name")
@click.option("--domain", "domains", multiple=True, required=True, help="A domain that it may change.")
@click.option(
    "--for", "program", type=click.Choice(tuple(dhcp_configs.PROGRAMS)), help="Print the configuration of this server."
)
@click.option(
    "--server",
    metavar="ADDRESS[:PORT]",
    help="Where this server reaches the service. Default: the first address of DDNSD_UPDATE_LISTEN.",
)
def add(name: str, domains: tuple[str, ...], program: str | None, server: str | None) -> None:
    """Print ALGORITHM:NAME:SECRET of a new key. Shown only once.

    A DHCP server with the key can change all names of these domains that no host has.
    """
    loaded, secret = settings.load(), secrets.new_secret()
    where = dhcp_configs.endpoint(loaded.update_listen)
    if server is not None:
        if program is None:
            raise click.UsageError("--server needs --for")
        try:
            where = dhcp_configs.server_of(server, where.port)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--server") from None
    if loaded.second_factor_key is None:
        raise click.ClickException("There is no key for TSIG secrets: set DDNSD_SECOND_FACTOR_KEY.")
    try:
        keys = SealingKeys.from_file(loaded.second_factor_key)
    except BadKeyFile as error:
        raise click.ClickException(str(error)) from None

    def work(connection: Connection) -> list[Domain]:
        found = [_domain(connection, fold(domain)) for domain in domains]
        dhcp_keys.add(connection, name, found, secret, ACTOR)
        tsig_secrets.keep(connection, keys, secret)
        return found

    found, tsig = in_transaction(work), tsig_secrets.tsig_secret(secret)
    if program is None:
        click.echo(f"hmac-sha256:{fold(name)}:{tsig}")
        return
    target = DhcpTarget(fold(name), tsig, [domain.name for domain in found], where)
    click.echo(dhcp_configs.PROGRAMS[program](target), nl=False)


def _domain(connection: Connection, name: str) -> Domain:
    if (domain := queries.domain(connection, name)) is None:
        raise NoDomain(Code.DOMAIN_MISSING, domain=name)
    return domain


@dhcp_key.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
def show(as_json: bool) -> None:
    """Print the keys with their domains, one per line."""

    def work(connection: Connection) -> list[dict[str, Any]]:
        found = stored.page(connection, None, 0, MOST)
        domains = stored.domains_of(connection, [key.id for key in found])
        return [
            {
                "name": key.name,
                "domains": [domain.name for domain in domains.get(key.id, ())],
                "created_by": key.created_by,
                "created": iso_time(key.created),
            }
            for key in found
        ]

    found = in_transaction(work)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for key in found:
        click.echo(f"{key['name']}\t{' '.join(key['domains'])}")


@dhcp_key.command(name="remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove a key. It stops working at once; what it wrote stays in the zones."""

    def work(connection: Connection) -> None:
        key = stored.named(connection, fold(name))
        if key is None:
            raise click.ClickException(f"There is no DHCP key {name}.")
        domains = stored.domains_of(connection, [key.id]).get(key.id, [])
        dhcp_keys.remove(connection, key, domains, ACTOR)

    in_transaction(work)
