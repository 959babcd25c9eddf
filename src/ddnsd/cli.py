# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd`: run the service, and administer what it keeps. Commands parse, call one function, and print.

Exit codes: 0 done · 1 error · 2 `reconcile` leaves a difference (and wrong usage, as every Click program).
"""

import asyncio
import ipaddress
import re
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click
from sqlalchemy import Connection

from ddnsd import admin, housekeeping, settings, systemd
from ddnsd.auth import secrets
from ddnsd.cli_deny import deny
from ddnsd.cli_domains import domain
from ddnsd.db import identities as stored_members
from ddnsd.db import migrate, queries
from ddnsd.db.base import StoreDown
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import DnsError
from ddnsd.dns.reconcile import Difference
from ddnsd.registry import accounts, identities, transfers
from ddnsd.registry.errors import RegistryError
from ddnsd.registry.names import fold
from ddnsd.settings import Settings, SettingsError

T = TypeVar("T")

EXPECTED = (
    SettingsError, RegistryError, StoreDown, DnsError, BindError, admin.AdminError, migrate.ForeignSchema, OSError,
)  # fmt: skip


class _Group(click.Group):
    """What goes wrong as one may expect is a message, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            raise click.ClickException(str(error) or error.__doc__ or type(error).__name__) from None


@click.group(cls=_Group)
@click.version_option(package_name="fedcloud-ddns")
def main() -> None:
    """Dynamic DNS service on BIND."""


# ---- running


@main.command()
def serve() -> None:
    """Serve the API, on systemd's sockets where it hands over some.

    While the database cannot be used, or waits for `ddnsd db upgrade`, updates are answered 911.
    """
    import uvloop  # here: the other commands start twice as fast without a server

    from ddnsd import app

    unit = systemd.unit()
    loaded = settings.load()
    app.set_up_logging(loaded.log_level)
    uvloop.run(app.serve(loaded, unit, lambda url: click.echo(f"ready: {url}")))


@main.command(name="dev")
def dev_command() -> None:
    """Run service and BIND together in one folder, for trying and developing."""
    import uvloop

    from ddnsd import app, dev

    # also in the background of a script, and before requests are answered: the name server must not be left behind
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    loaded = settings.load(**dev.defaults())
    app.set_up_logging(loaded.log_level)
    uvloop.run(dev.run(loaded))


@main.command(name="settings")
def settings_command() -> None:
    """Print every setting with its value, where it comes from, and its meaning."""
    loaded = settings.load()
    for name, field in Settings.model_fields.items():
        value = getattr(loaded, name)
        click.echo(f"{settings.PREFIX}{name.upper()} = {_shown(value)}  ({settings.source(name)})")
        click.echo(f"    {field.description}")


def _shown(value: object) -> str:
    if isinstance(value, tuple | dict):
        return ",".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "-" if value is None or str(value) == "" else str(value)


@main.command()
def doctor() -> None:
    """Check settings, database, and every domain's name server; exit 1 when something is wrong."""
    problems = 0
    for subject, problem in asyncio.run(admin.examine(settings.load())):
        click.echo(f"{'ok' if problem is None else 'FAIL':<4} {subject}{'' if problem is None else ': ' + problem}")
        problems += problem is not None
    sys.exit(1 if problems else 0)


@main.command(name="housekeeping")
def housekeeping_command() -> None:
    """What should be done once a day: remove what nobody needs any more, and say how much of it there was."""
    for kind, count in asyncio.run(housekeeping.run(settings.load())).items():
        click.echo(f"{kind}: {count} removed")


# ---- database


@main.group()
def db() -> None:
    """The database's schema."""


@db.command()
@click.option(
    "--wait", type=click.FloatRange(0), default=60, show_default=True, metavar="SECONDS",
    help="How long to try while the database cannot be used; 0: once.",
)  # fmt: skip
def upgrade(wait: float) -> None:
    """Create the schema, or bring it to the newest version; prints a line when there was something to do."""
    url = settings.load().store_url
    if asyncio.run(migrate.upgrade_when_there(url, wait, lambda text: click.echo(text, err=True))):
        click.echo(f"The database has the schema {migrate.NEWEST} now.")


@main.command()
@click.argument("file", type=click.File("w"), default="-")
def export(file: Any) -> None:
    """Write everything that the store holds as JSON; secrets are in it only as hashes, TSIG keys in clear."""
    file.write(asyncio.run(admin.export(settings.load().store_url)))


@main.command(name="import")
@click.argument("file", type=click.File("r"), default="-")
def import_(file: Any) -> None:
    """Fill an empty store from an export."""
    asyncio.run(admin.import_(settings.load().store_url, file.read()))


# ---- accounts


@main.group()
def user() -> None:
    """Local users."""


@user.command(name="add")
@click.argument("name")
@click.option("--admin", is_flag=True, help="An administrator, also when there is a user of that name.")
def user_add(name: str, admin: bool) -> None:
    """Add a user; nothing happens when there is one of that name."""
    _store(lambda c: accounts.add_user(c, name, admin=admin))


@user.command(name="password")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Let the user sign in by an identity provider alone.")
def user_password(name: str, remove: bool) -> None:
    """Set the password with which a user signs in on the portal: asked for, or the first line of standard input.

    Their sessions end.
    """
    from ddnsd.auth import passwords  # here: the other commands need no Argon2

    new = None
    if not remove:
        new = _typed_password()
        if reason := passwords.problem(new, name):
            raise click.ClickException(reason)
    _store(lambda c: identities.set_password(c, name, passwords.hashed(new) if new is not None else None))


def _typed_password() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


@user.command(name="groups")
@click.argument("name")
@click.option("--add", "new", multiple=True, metavar="GROUP", help="A group that the user is in from now on.")
@click.option("--remove", "gone", multiple=True, metavar="GROUP", help="A group that was given here.")
def user_groups(name: str, new: tuple[str, ...], gone: tuple[str, ...]) -> None:
    """Print a user's groups, one a line, after giving or taking some; those of a provider follow its claims."""

    def work(connection: Connection) -> list[str]:
        owner = accounts.user_named(connection, name)
        if new or gone:
            given = set(stored_members.groups_of(connection, owner.id, given=True))
            identities.set_groups(connection, name, frozenset(given | set(new)) - set(gone))
        return stored_members.groups_of(connection, owner.id)

    for group in _store(work):
        click.echo(group)


@user.command(name="disable")
@click.argument("name")
@click.option(
    "--records", type=click.Choice(("keep", "remove")), default="keep", show_default=True,
    help="What becomes of the records of their hosts in DNS.",
)  # fmt: skip
def user_disable(name: str, records: str) -> None:
    """Switch a user off: their sessions end, and everything of theirs is refused, secrets of hosts and keys included.

    Hosts, tokens and keys stay in the store, so that `user enable` brings all of it back.
    """
    _store(lambda c: accounts.set_user(c, name, {"active": False, "withdrawn": records == "remove"}))


@user.command(name="enable")
@click.argument("name")
def user_enable(name: str) -> None:
    """Switch a user on again; records that were removed come back."""
    _store(lambda c: accounts.set_user(c, name, {"active": True}))


@main.group()
def token() -> None:
    """Tokens of people and pipelines."""


@token.command(name="add")
@click.argument("user_name", metavar="USER")
@click.option("--name", required=True, help="What the token is for.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(accounts.SCOPES), help="Default: read and write.")
@click.option("--domain", "domains", multiple=True, help="Only domains that match, e.g. '*.example.org'.")
@click.option("--host", "hosts", multiple=True, help="Only hosts that match, e.g. 'web-*.dyn.example.org'.")
@click.option("--network", "networks", multiple=True, help="Only callers from there, e.g. 192.0.2.0/24.")
@click.option("--expires", help="Lifetime, e.g. 12h, 30d.")
def token_add(
    user_name: str, name: str, scopes: tuple[str, ...], domains: tuple[str, ...], hosts: tuple[str, ...],
    networks: tuple[str, ...], expires: str | None,
) -> None:  # fmt: skip
    """Print a new token, alone, once."""
    secret = secrets.new_token()
    patterns = [fold(d) for d in domains], [fold(h) for h in hosts]
    checked = [str(_network(n)) for n in networks]
    until = queries.now() + _microseconds(expires) if expires else None

    def work(connection: Connection) -> None:
        owner = accounts.user_named(connection, user_name)
        hashed = secrets.digest(secret)
        allowed = scopes or ("read", "write")
        accounts.add_token(
            connection, owner, name, hashed, scopes=allowed, domains=patterns[0], hosts=patterns[1],
            networks=checked, expires=until,
        )  # fmt: skip

    _store(work)
    click.echo(secret)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--network") from None


def _microseconds(text: str) -> int:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhdw])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time such as 12h or 30d", param_hint="--expires")
    return int(timedelta(**{units[match[2]]: int(match[1])}).total_seconds() * 1_000_000)


@main.group()
def key() -> None:
    """Keys: Basic credentials for a group of hosts."""


@key.command(name="add")
@click.argument("user_name", metavar="USER")
@click.option("--host", "hosts", multiple=True, required=True, help="A host of the user.")
@click.option("--name", default="", help="What the key is for.")
def key_add(user_name: str, hosts: tuple[str, ...], name: str) -> None:
    """Print LOGIN:SECRET of a new key, once."""
    login, secret = secrets.new_login(), secrets.new_secret()

    def work(connection: Connection) -> None:
        owner = accounts.user_named(connection, user_name)
        accounts.add_key(connection, owner, login, secrets.digest(secret), hosts, name)

    _store(work)
    click.echo(f"{login}:{secret}")


# ---- domains, deny lists and hosts


main.add_command(domain)
main.add_command(deny)


@main.group()
def host() -> None:
    """Hosts, as an administrator."""


@host.command(name="block")
@click.argument("fqdn")
def host_block(fqdn: str) -> None:
    """Block a host for abuse; its records leave DNS."""
    _store(lambda c: admin.block(c, fold(fqdn)))


@host.command(name="unblock")
@click.argument("fqdn")
def host_unblock(fqdn: str) -> None:
    """Lift a block or a flag; the records come back."""
    _store(lambda c: admin.unblock(c, fold(fqdn)))


@host.command(name="set")
@click.argument("fqdn")
@click.option("--available/--unavailable", default=None, help="Whether it takes updates.")
@click.option("--ttl", type=click.IntRange(1, 86400), help="Seconds.")
def host_set(fqdn: str, **columns: Any) -> None:
    """Change a host."""
    _store(lambda c: admin.set_host(c, fold(fqdn), _given(columns)))


@host.command(name="give")
@click.argument("fqdns", nargs=-1, required=True, metavar="FQDN...")
@click.option("--to", "owner", required=True, metavar="USER", help="Whose the hosts are from now on.")
@click.option(
    "--secrets", "what", type=click.Choice(transfers.SECRETS), default=transfers.REPLACE, show_default=True,
    help="replace: the hosts' secrets and the former owners' keys stop working. keep: they go on to work.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
def host_give(fqdns: tuple[str, ...], owner: str, what: str, yes: bool) -> None:
    """Give hosts to another user. Says first how many machines stop, and asks."""
    names = list(dict.fromkeys(map(fold, fqdns)))
    if not yes:
        question = admin.what_stops(
            _store(lambda c: admin.machines(c, names, owner)), names, owner, keep=what == "keep"
        )
        click.confirm(question, abort=True)
    _store(lambda c: admin.give_hosts(c, names, owner, keep=what == transfers.KEEP))


@main.group()
def related() -> None:
    """Names below a host whose AAAA follows the host's IPv6 prefix."""


@related.command(name="add")
@click.argument("fqdn")
@click.argument("label")
@click.argument("interface_id")
def related_add(fqdn: str, label: str, interface_id: str) -> None:
    """Have LABEL.FQDN point to INTERFACE_ID (e.g. ::7) in the prefix of the host FQDN."""
    asyncio.run(admin.add_related(settings.load(), fold(fqdn), label, interface_id))


@related.command(name="remove")
@click.argument("fqdn")
@click.argument("label")
def related_remove(fqdn: str, label: str) -> None:
    """Remove LABEL.FQDN and its record."""
    _store(lambda c: admin.remove_related(c, fold(fqdn), label))


@main.command()
@click.option("--check", is_flag=True, help="Only report; exit 2 when DNS and store differ.")
def reconcile(check: bool) -> None:
    """Compare store and zones, send again what differs, and compare once more."""
    done = asyncio.run(admin.reconcile(settings.load(), repair=not check))
    for difference in done.found:
        wanted, there = (", ".join(texts) or "nothing" for texts in (difference.wanted, difference.found))
        click.echo(f"{_place(difference)}: store {wanted}; DNS {there}{_why(difference)}")
    if done.found and not check:
        click.echo(f"{len(done.found) - len(done.left)} repaired")
        for difference in done.left:
            click.echo(f"{_place(difference)}: not repaired{_why(difference)}")
    for zone, reason in done.failures.items():
        click.echo(f"Error: {zone}: {reason}", err=True)
    sys.exit(1 if done.failures else 2 if done.left else 0)


def _place(difference: Difference) -> str:
    return " ".join(filter(None, (difference.fqdn, difference.rtype)))


def _why(difference: Difference) -> str:
    return f"; {difference.reason}" if difference.reason else ""


def _given(columns: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in columns.items() if value is not None}
    if not given:
        raise click.UsageError("nothing to change: give an option")
    return given


def _store(work: Callable[[Connection], T]) -> T:
    return asyncio.run(admin.with_store(settings.load().store_url, work))
