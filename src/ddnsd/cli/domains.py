# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd domain …`."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ddnsd import settings
from ddnsd.dns.tsig import TsigKey
from ddnsd.operations import domains
from ddnsd.registry.inputs import TTL_MOST
from ddnsd.registry.names import fold

ABSENT = {("comment", ""), ("ttl", 0), ("dnssec_policy", "none")}
"""Values of options that remove the value."""

F = TypeVar("F", bound=Callable[..., Any])

COLUMNS = (
    click.option("--public/--private", default=None, help="Whether everyone or only the owner may register hosts."),
    click.option("--comment", help="Shown to users who may use the domain; empty: none."),
    click.option("--ttl", type=click.IntRange(0, TTL_MOST), help="TTL in seconds; 0: the setting TTL."),
    click.option(
        "--query-credentials/--no-query-credentials", default=None, help="Accept username= and password= in the query."
    ),
    click.option(
        "--private-addresses/--no-private-addresses",
        default=None,
        help="Whether private, CGNAT and documentation addresses are accepted.",
    ),
    click.option("--dnssec-policy", metavar="NAME", help="DNSSEC policy of our BIND for the zone; none: unsigned."),
)


def _columns(command: F) -> F:
    for option in reversed(COLUMNS):
        command = option(command)
    return command


@click.group()
def domain() -> None:
    """Domains in which hosts are registered."""


@domain.command(name="add")
@click.argument("name")
@click.option("--owner", required=True, help="The user who owns it.")
@_columns
@click.option("--primary", help="ADDRESS[:PORT] of an existing zone's primary; default: the setting PRIMARY.")
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TSIG key of that zone.")
@click.option("--algorithm", type=click.Choice(("hmac-sha256", "hmac-sha384", "hmac-sha512")), default="hmac-sha256")
@click.option("--exist-ok", is_flag=True, help="If the domain exists, set the given options that differ.")
@click.option("--check", is_flag=True, help="Only show what would be done.")
def add(
    name: str,
    owner: str,
    primary: str | None,
    key_file: Path | None,
    algorithm: str,
    exist_ok: bool,
    check: bool,
    **columns: Any,
) -> None:
    """Add a domain, after a test update of its zone.

    A new domain is public unless you give --private.

    With --key-file the zone must exist. Without it, the zone is created on the BIND that RNDC_KEY controls.
    """
    existing = _key(key_file) if key_file else None
    done = asyncio.run(
        domains.add(
            settings.load(),
            fold(name),
            owner,
            primary=primary,
            key=existing,
            algorithm=algorithm,
            columns=_not_none(columns),
            exist_ok=exist_ok,
            check_only=check,
        )
    )
    if done:
        click.echo(done)


def _key(file: Path) -> TsigKey:
    try:
        return TsigKey.from_text(file.read_text())
    except ValueError as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="--key-file") from None


@domain.command(name="set")
@click.argument("name")
@click.option("--available/--unavailable", default=None, help="Whether hosts take updates and can be registered.")
@_columns
@click.option("--primary", help="ADDRESS[:PORT] of the new primary.")
@click.option(
    "--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TSIG key of the zone there."
)
@click.option("--check", is_flag=True, help="Only show what would be done.")
def change(name: str, primary: str | None, key_file: Path | None, check: bool, **columns: Any) -> None:
    """Change a domain.

    A new primary or key is tested first: it must answer for the zone, accept updates and allow transfers. Then all
    hosts are sent there. A host whose name has other records there is in conflict.
    """
    given, key = _not_none(columns), _key(key_file) if key_file else None
    if primary is None and key is None and not given:
        raise click.UsageError("nothing to change: give an option")
    done = asyncio.run(
        domains.change(settings.load(), fold(name), primary=primary, key=key, columns=given, check_only=check)
    )
    if done:
        click.echo(f"changed {fold(name)}: {done}")


def _not_none(options: dict[str, Any]) -> dict[str, Any]:
    """The given columns; a value in ABSENT becomes None."""
    given = {name: value for name, value in options.items() if value is not None}
    return {name: None if (name, value) in ABSENT else value for name, value in given.items()}


@domain.command()
@click.argument("name")
@click.option("--exist-ok", is_flag=True, help="Do not fail if there is no such domain.")
def remove(name: str, exist_ok: bool) -> None:
    """Remove a domain without hosts, and the zone that we created."""
    if asyncio.run(domains.remove(settings.load(), fold(name), exist_ok=exist_ok)):
        click.echo(f"removed {fold(name)}")


@domain.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--check", is_flag=True, help="Only show what would be done.")
def provision(names: tuple[str, ...], check: bool) -> None:
    """Restore the zones of the controlled BIND.

    RNDC_KEY names that BIND. Its zones are those that the service created.

    Use it after you restored a machine or changed settings. Lost zones are created again with their
    keys, and the service, or `ddnsd reconcile`, fills them.
    """

    async def work() -> None:
        folded = [fold(name) for name in names]
        async for zone, done in domains.provision(settings.load(), folded, check_only=check):
            click.echo(f"provisioned {zone}: {', '.join(done)}")

    asyncio.run(work())


@domain.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print all fields as JSON.")
def list_(as_json: bool) -> None:
    """List the domains."""
    found = asyncio.run(domains.listed(settings.load()))
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif found:
        click.echo(table([HEAD, *map(_row, found)]))


HEAD = ("NAME", "OWNER", "ACCESS", "PRIMARY", "TTL", "DNSSEC", "HOSTS", "COMMENT")


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    access = ("public" if item["public"] else "private") + ("" if item["available"] else ", unavailable")
    ttl, policy, comment = (str(item[name] or "-") for name in ("ttl", "dnssec_policy", "comment"))
    primary = item["primary"] + (" (ours)" if item["provisioned"] else "")
    return item["name"], item["owner"], access, primary, ttl, policy, str(item["hosts"]), comment


def table(lines: Sequence[tuple[str, ...]]) -> str:
    """The lines as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
