# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd domain …`."""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, Any, TypeVar

import click

from ddnsd import settings
from ddnsd.cli import quotas
from ddnsd.cli.group import in_transaction, iso_time, short_text
from ddnsd.db.reverse_zones import MODES
from ddnsd.dns import ds_records
from ddnsd.dns.tsig import TsigKey
from ddnsd.operations import domains, moves
from ddnsd.registry import ds_views
from ddnsd.registry.domain_zones import Provisioned
from ddnsd.registry.domains import Freeze, set_domain
from ddnsd.registry.inputs import TTL_MOST
from ddnsd.registry.moves import Move
from ddnsd.registry.names import fold
from ddnsd.registry.quota_overrides import Subject
from ddnsd.registry.quotas import OF_DOMAINS

ABSENT = {("comment", ""), ("ttl", 0), ("dnssec_policy", "none"), ("gss_realm", "none"), ("network", "none")}
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
    click.option(
        "--dns-updates/--no-dns-updates",
        default=None,
        help="Whether updates of its hosts are accepted at the port for DNS UPDATE.",
    ),
    click.option(
        "--dnssec-policy", metavar="NAME", help="Policy of the service's BIND that signs the zone; none: unsigned."
    ),
    click.option(
        "--gss-realm",
        metavar="REALM",
        help="Kerberos realm whose members write their addresses at the service's BIND; none: no members.",
    ),
    click.option(
        "--gss-hosts/--no-gss-hosts", default=None, help="Whether hosts can be registered beside members of the realm."
    ),
    click.option(
        "--network",
        metavar="NETWORK",
        help="Of a reverse zone whose name does not say it: its addresses (RFC 2317); none: no network.",
    ),
    click.option(
        "--reverse",
        type=click.Choice(MODES),
        help="Which hosts with `ptr` have names in this reverse zone: none, those with proved addresses, or all.",
    ),
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
@click.option("--key-file", type=click.File("r"), help="TSIG key of that zone; `-`: standard input.")
@click.option("--algorithm", type=click.Choice(("hmac-sha256", "hmac-sha384", "hmac-sha512")), default="hmac-sha256")
@click.option("--exist-ok", is_flag=True, help="If the domain exists, set the given options that differ.")
@click.option("--check", is_flag=True, help="Only show what would be done.")
def add(
    name: str,
    owner: str,
    primary: str | None,
    key_file: IO[str] | None,
    algorithm: str,
    exist_ok: bool,
    check: bool,
    **columns: Any,
) -> None:
    """Add a domain, after a test update of its zone.

    A new domain is public unless you give --private. A zone of reverse lookups (in-addr.arpa, ip6.arpa) is private
    unless you give --public.

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


def _key(file: IO[str]) -> TsigKey:
    try:
        return TsigKey.from_text(file.read())
    except ValueError as error:
        raise click.BadParameter(f"{file.name}: {error}", param_hint="--key-file") from None


@domain.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def members(name: str, as_json: bool) -> None:
    """List the members of the Kerberos realm."""
    found = asyncio.run(domains.members(settings.load(), fold(name)))
    if as_json:
        click.echo(json.dumps([member._asdict() for member in found], indent=1))
        return
    for member in found:
        click.echo(f"{member.name}  {', '.join(member.addresses)}")


@domain.command()
@click.argument("zone")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the state of the parent.")
def ds(zone: str, as_json: bool) -> None:
    """Show the DS records of a signed zone.

    Paste them at the registrar, or into the parent zone. Standard error says whether the parent has them. They follow
    from the zone's CDS records, or else from its keys.
    """
    name = fold(zone)
    found = asyncio.run(domains.ds(settings.load(), name))
    if as_json:
        click.echo(json.dumps({"domain": name, **ds_views.as_json(found)}, indent=1))
        return
    if not found.published.records:
        raise click.ClickException(ds_views.unsigned(found))
    for line in ds_records.lines(name, found.published.records):
        click.echo(line)
    click.echo(ds_views.in_words(found), err=True)


@domain.command(name="set")
@click.argument("name")
@click.option("--available/--unavailable", default=None, help="Whether hosts accept updates and can be registered.")
@_columns
@click.option("--primary", help="ADDRESS[:PORT] of the new primary.")
@click.option("--key-file", type=click.File("r"), help="TSIG key of the zone there; `-`: standard input.")
@quotas.quota_options(OF_DOMAINS)
@click.option("--check", is_flag=True, help="Only show what would be done.")
def change(name: str, primary: str | None, key_file: IO[str] | None, check: bool, **columns: Any) -> None:
    """Change a domain.

    A new primary or key is tested first: it must answer for the zone, accept updates and allow transfers. Then all
    hosts are sent there. A host whose name has other records there is in conflict.

    Quotas apply to the hosts of this domain: --hosts-per-user to those of each user, counted without their other hosts.
    0 is no limit, `default` removes what was set.
    """
    limits = quotas.taken(columns)
    given, key = _not_none(columns), _key(key_file) if key_file else None
    if limits and not check:
        quotas.put(Subject(domain=fold(name)), limits)
    if primary is None and key is None and not given:
        if not limits:
            raise click.UsageError("There is nothing to change. Give an option.")
        return
    done = asyncio.run(
        domains.change(settings.load(), fold(name), primary=primary, key=key, columns=given, check_only=check)
    )
    if done:
        click.echo(f"changed {fold(name)}: {done}")


STEPS = {"finish": moves.finish, "cancel": moves.cancel, "back": moves.back}


@domain.command()
@click.argument("name")
@click.option("--primary", help="ADDRESS[:PORT] of the new primary.")
@click.option("--key-file", type=click.File("r"), help="TSIG key of the zone there; `-`: standard input.")
@click.option("--check", is_flag=True, help="Only test the new primary.")
@click.option("--status", "step", flag_value="status", help="Show how far the move is.")
@click.option("--json", "as_json", is_flag=True, help="With --status or --wait: print the state as JSON.")
@click.option("--wait", is_flag=True, help="Wait for the switch; Ctrl-C ends only the waiting.")
@click.option("--cancel", "step", flag_value="cancel", help="Before the switch: stop filling the new primary.")
@click.option("--finish", "step", flag_value="finish", help="After the switch: the old primary gets no more changes.")
@click.option("--back", "step", flag_value="back", help="After the switch: move back to the old primary.")
def move(
    name: str,
    primary: str | None,
    key_file: IO[str] | None,
    check: bool,
    step: str | None,
    as_json: bool,
    wait: bool,
) -> None:
    """Move a domain to another primary or key, without a gap.

    The new primary is tested first. Then the running service fills it, while the old one is in use. When a comparison
    finds no difference, the service switches. The old primary still gets every change until you give --finish.
    """
    begins = primary is not None or key_file is not None
    only_waits = wait and not begins and step is None
    if not only_waits and (begins == (step is not None) or (check and not begins)):
        raise click.UsageError("Give --primary or --key-file, or one of --status, --cancel, --finish and --back")
    if as_json and not (wait or step == "status"):
        raise click.UsageError("--json is only for --status and --wait")
    if wait and (check or step in ("cancel", "finish")):
        raise click.UsageError("--wait is for a move that begins or is under way")
    loaded, folded = settings.load(), fold(name)
    if begins:
        key = _key(key_file) if key_file else None
        click.echo(asyncio.run(moves.begin(loaded, folded, primary=primary, key=key, check_only=check)), err=as_json)
    elif step in STEPS:
        click.echo(asyncio.run(STEPS[step](loaded, folded)), err=as_json)
    if wait:
        _show_move(folded, asyncio.run(moves.until_switched(loaded, folded, partial(_tell, folded))), as_json=as_json)
    elif step == "status":
        _show_move(folded, asyncio.run(moves.status(loaded, folded)), as_json=as_json)


def _tell(name: str, state: Move) -> None:
    click.echo(f"{name} {state}", err=True)


def _show_move(name: str, state: Move, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"domain": name, **state._asdict(), "since": iso_time(state.since)}))
    else:
        click.echo(f"{name} {state}")


def _not_none(options: dict[str, Any]) -> dict[str, Any]:
    """The given columns; a value in ABSENT becomes None."""
    given = {name: value for name, value in options.items() if value is not None}
    return {name: None if (name, value) in ABSENT else value for name, value in given.items()}


@domain.command()
@click.argument("name")
@click.option("--to", "owner", required=True, metavar="USER", help="The new owner.")
def give(name: str, owner: str) -> None:
    """Give a domain to another user.

    The hosts in it keep their owners. The former owner can no longer see, block or remove them.
    """
    in_transaction(lambda c: set_domain(c, fold(name), owner=owner))


@domain.command()
@click.argument("name")
@click.option("--reason", metavar="TEXT", callback=short_text, help="Shown to the users of the domain.")
def freeze(name: str, reason: str | None) -> None:
    """Send nothing to a zone, for maintenance.

    Changes are stored and sent after the freeze. Until then updates with a new address get 911, and new
    names are refused. Health checks do not count it as a problem. Repeat the command to change the reason.
    """
    freeze = Freeze(reason or None)
    found = in_transaction(lambda c: set_domain(c, fold(name), frozen=freeze))
    click.echo(f"frozen {found.name}: changes are stored until `ddnsd domain thaw {found.name}`")


@domain.command()
@click.argument("name")
def thaw(name: str) -> None:
    """End a freeze.

    The service sends the stored changes within seconds.
    """
    found = in_transaction(lambda c: set_domain(c, fold(name), frozen=None))
    click.echo(f"thawed {found.name}")


@domain.command()
@click.argument("name")
@click.option("--exist-ok", is_flag=True, help="Do not fail if there is no such domain.")
def remove(name: str, exist_ok: bool) -> None:
    """Remove a domain without hosts.

    If the service created its zone, the zone is removed as well.
    """
    if asyncio.run(domains.remove(settings.load(), fold(name), exist_ok=exist_ok)):
        click.echo(f"removed {fold(name)}")


@domain.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--check", is_flag=True, help="Only show what would be done.")
def provision(names: tuple[str, ...], check: bool) -> None:
    """Restore the zones of the controlled BIND.

    RNDC_KEY names that BIND. Its zones are those that the service created.

    Use it after you restored a machine or changed settings, or if BIND has not loaded a zone. Lost zones are created
    again with their keys. A damaged journal is renamed, and the zone loads from its file. The service, or
    `ddnsd reconcile`, sends all hosts of these zones again.
    """

    async def work() -> None:
        folded = [fold(name) for name in names]
        async for one in domains.provision(settings.load(), folded, check_only=check):
            click.echo(_in_words(one))

    asyncio.run(work())


def _in_words(one: Provisioned) -> str:
    kept = "" if one.kept is None else f"; the damaged journal is now {one.kept}"
    resent = "; all hosts are sent again" if one.resent else ""
    problem = "" if one.uncompared is None else f"; not compared: {one.uncompared}. Run `ddnsd reconcile` later"
    return f"provisioned {one.zone}: {', '.join(one.done)}{kept}{resent}{problem}"


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
    access += "" if item["dns_updates"] else ", no DNS UPDATE"
    access += ", frozen" if item["frozen"] else ""
    ttl, policy, comment = (str(item[name] or "-") for name in ("ttl", "dnssec_policy", "comment"))
    primary = item["primary"] + (" (ours)" if item["provisioned"] else "")
    return item["name"], item["owner"], access, primary, ttl, policy, str(item["hosts"]), comment


def table(lines: Sequence[tuple[str, ...]]) -> str:
    """The lines as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
