# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd host …` and `ddnsd related …`, as an administrator."""

import asyncio
from typing import Any

import click

from ddnsd import settings
from ddnsd.cli.group import given_options, in_transaction, short_text
from ddnsd.operations import hosts
from ddnsd.registry import transfers
from ddnsd.registry.inputs import TTL_LEAST, TTL_MOST
from ddnsd.registry.names import fold


@click.group()
def host() -> None:
    """Administer hosts."""


@host.command(name="block")
@click.argument("fqdn")
@click.option("--reason", metavar="TEXT", callback=short_text, help="Why. The owner of the host can read it.")
def host_block(fqdn: str, reason: str | None) -> None:
    """Block a host for abuse and remove its records."""
    in_transaction(lambda c: hosts.block(c, fold(fqdn), reason))


@host.command(name="quarantine")
@click.argument("fqdn")
@click.option("--reason", metavar="TEXT", callback=short_text, help="Why. The owner of the host can read it.")
def host_quarantine(fqdn: str, reason: str | None) -> None:
    """Block a host, and point its names to DDNSD_QUARANTINE_ADDRESSES.

    `host unblock` restores its own records.
    """
    policy = settings.load().policy()
    in_transaction(lambda c: hosts.quarantine(c, fold(fqdn), reason, policy))


@host.command(name="unblock")
@click.argument("fqdn")
def host_unblock(fqdn: str) -> None:
    """Remove a block, a quarantine or a flag. The records are published again."""
    in_transaction(lambda c: hosts.unblock(c, fold(fqdn)))


@host.command(name="set")
@click.argument("fqdn")
@click.option("--available/--unavailable", default=None, help="Whether the host accepts updates.")
@click.option("--ttl", type=click.IntRange(TTL_LEAST, TTL_MOST), help="TTL in seconds.")
def host_set(fqdn: str, **columns: Any) -> None:
    """Change a host."""
    in_transaction(lambda c: hosts.set_host(c, fold(fqdn), given_options(columns)))


@host.command(name="give")
@click.argument("fqdns", nargs=-1, required=True, metavar="FQDN...")
@click.option("--to", "owner", required=True, metavar="USER", help="The new owner.")
@click.option(
    "--secrets",
    "what",
    type=click.Choice(transfers.SECRETS),
    default=transfers.REPLACE,
    show_default=True,
    help="replace: the hosts' secrets and the former owners' keys stop working. keep: they still work.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def host_give(fqdns: tuple[str, ...], owner: str, what: str, yes: bool) -> None:
    """Give hosts to another user.

    The command shows how many machines stop updating, and asks for confirmation.
    """
    names = list(dict.fromkeys(map(fold, fqdns)))
    if not yes:
        question = hosts.what_stops(
            in_transaction(lambda c: hosts.machines(c, names, owner)), names, owner, keep=what == "keep"
        )
        click.confirm(question, abort=True)
    in_transaction(lambda c: hosts.give_hosts(c, names, owner, keep=what == transfers.KEEP))


@click.group()
def related() -> None:
    """Names below a host that follow its IPv6 prefix."""


@related.command(name="add")
@click.argument("fqdn")
@click.argument("label")
@click.argument("interface_id")
def related_add(fqdn: str, label: str, interface_id: str) -> None:
    """Add LABEL.FQDN, which follows the host's prefix.

    INTERFACE_ID is the last half of its address, such as ::7.
    """
    asyncio.run(hosts.add_related(settings.load(), fold(fqdn), label, interface_id))


@related.command(name="remove")
@click.argument("fqdn")
@click.argument("label")
def related_remove(fqdn: str, label: str) -> None:
    """Remove LABEL.FQDN and its record."""
    in_transaction(lambda c: hosts.remove_related(c, fold(fqdn), label))
