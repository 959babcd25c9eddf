# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd user …`, `ddnsd token …` and `ddnsd key …`."""

import asyncio
import copy
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click
from sqlalchemy import Connection

from ddnsd import settings
from ddnsd.auth import secrets, tsig_secrets
from ddnsd.auth.sealing import BadKeyFile, SealingKeys
from ddnsd.cli import quotas
from ddnsd.cli.group import in_transaction, iso_time, short_text
from ddnsd.db import identities as stored_members
from ddnsd.db import queries
from ddnsd.operations import accounts as operations
from ddnsd.registry import account_removal, accounts, credentials, identities, second_factors
from ddnsd.registry.account_removal import Removal
from ddnsd.registry.errors import Invalid
from ddnsd.registry.inputs import STACK_PATTERN
from ddnsd.registry.names import fold
from ddnsd.registry.quota_overrides import Subject
from ddnsd.registry.token_scope import SCOPES, TokenScope, network


@click.group()
def user() -> None:
    """Local users."""


@user.command(name="add")
@click.argument("name")
@click.option("--admin", is_flag=True, help="Make the user an administrator, also if the user exists.")
def user_add(name: str, admin: bool) -> None:
    """Add a user. Does nothing if the user exists."""
    in_transaction(lambda c: accounts.add_user(c, name, admin=admin))


@user.command(name="password")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Remove the password; the user signs in with an identity provider.")
def user_password(name: str, remove: bool) -> None:
    """Set a user's password for the portal.

    The command asks for it, or reads the first line of standard input.

    The user's sessions end.
    """
    from ddnsd.auth import passwords  # here: the other commands need no Argon2

    new = None
    if not remove:
        new = _typed_password()
        if weakness := passwords.weakness(new, name):
            raise click.ClickException(str(weakness))
    in_transaction(lambda c: identities.set_password(c, name, passwords.hashed(new) if new is not None else None))


def _typed_password() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


@user.command(name="second-factor")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Remove all second factors, for example after the telephone was lost.")
def user_second_factor(name: str, remove: bool) -> None:
    """Print a user's second factors, or remove them.

    Removing them ends the user's sessions. The password alone then signs
    the user in.
    """

    def work(connection: Connection) -> second_factors.Factors:
        if remove:
            second_factors.remove_all(connection, name)
        return second_factors.of_user(connection, accounts.user_named(connection, name).id)

    found = in_transaction(work)
    if found.app is not None:
        click.echo(f"authenticator app since {iso_time(found.app)}")
    for passkey in found.passkeys:
        used = f"last used {iso_time(passkey.last_used)}" if passkey.last_used is not None else "never used"
        click.echo(f"passkey {passkey.name} since {iso_time(passkey.created)}, {used}")
    if found:
        click.echo(f"{found.codes} recovery codes")


@user.command(name="groups")
@click.argument("name")
@click.option("--add", "new", multiple=True, metavar="GROUP", help="Add the user to this group.")
@click.option(
    "--remove", "gone", multiple=True, metavar="GROUP", help="Remove the user from a group that was added here."
)
def user_groups(name: str, new: tuple[str, ...], gone: tuple[str, ...]) -> None:
    """Print a user's groups, and add or remove some.

    Prints one per line. Groups of an identity provider follow its claims.
    """

    def work(connection: Connection) -> list[str]:
        owner = accounts.user_named(connection, name)
        if new or gone:
            given = set(stored_members.groups_of(connection, owner.id, given=True))
            identities.set_groups(connection, name, frozenset(given | set(new)) - set(gone))
        return stored_members.groups_of(connection, owner.id)

    for group in in_transaction(work):
        click.echo(group)


@user.command(name="set")
@click.argument("name")
@quotas.quota_options()
def user_set(name: str, **options: Any) -> None:
    """Change a user's quotas.

    They have precedence over those of groups, of domains and of the settings. 0 is no limit, `default` removes what was
    set. Administrators have no quotas.
    """
    quotas.put(Subject(user=name), quotas.required(options))


@user.command(name="suspend")
@click.argument("name")
@click.option("--reason", metavar="TEXT", callback=short_text, help="Why. The user reads it when they sign in.")
@click.option(
    "--records",
    type=click.Choice(("keep", "remove")),
    default="keep",
    show_default=True,
    help="Keep or remove the DNS records of the user's hosts.",
)
def user_suspend(name: str, reason: str | None, records: str) -> None:
    """Disable a user with all their hosts.

    Sessions end. Tokens, keys and secrets of hosts are refused.

    The database keeps hosts, tokens and keys. `user resume` restores everything.

    Without --reason, a former reason stays.
    """
    values: dict[str, bool | str | None] = {"active": False, "withdrawn": records == "remove"}
    if reason is not None:
        values["suspension_reason"] = reason or None
    in_transaction(lambda c: accounts.set_user(c, name, values))


@user.command(name="resume")
@click.argument("name")
def user_resume(name: str) -> None:
    """Enable a user again. Removed records are published again."""
    in_transaction(lambda c: accounts.set_user(c, name, {"active": True}))


@user.command(name="export")
@click.argument("name")
def user_export(name: str) -> None:
    """Print everything that is stored about a user as JSON.

    It has no secrets. A service that runs may know a few later requests.
    """
    asyncio.run(operations.export(settings.load(), name, sys.stdout))


@user.command(name="delete")
@click.argument("name")
@click.option(
    "--hosts",
    type=click.Choice(("keep", "remove")),
    default="keep",
    show_default=True,
    help="remove: also remove the user's hosts; keep: refuse if there are any.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def user_delete(name: str, hosts: str, yes: bool) -> None:
    """Delete a user with everything that belongs to them.

    A user who owns domains is not deleted: give the domains to another user with `domain give`.
    """
    if not yes:
        click.confirm(f"Delete the user {name}{' with all hosts' if hosts == 'remove' else ''}?", abort=True)
    removal = Removal(name, accounts.ACTOR, None, hosts=hosts == "remove")
    deleted = False
    while not deleted:
        deleted = in_transaction(lambda c: account_removal.step(c, removal))


for _former, _command in (("disable", user_suspend), ("enable", user_resume)):
    _hidden = copy.copy(_command)
    _hidden.hidden = True
    user.add_command(_hidden, _former)


@click.group()
def token() -> None:
    """Tokens of people and pipelines."""


@token.command(name="add")
@click.argument("user_name", metavar="USER")
@click.option("--name", required=True, help="What the token is for.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="Default: read and write.")
@click.option("--domain", "domains", multiple=True, help="Only domains that match, e.g. '*.example.org'.")
@click.option("--host", "hosts", multiple=True, help="Only hosts that match, e.g. 'web-*.dyn.example.org'.")
@click.option("--stack", "stacks", multiple=True, help="Only stacks that match, e.g. 'web-*'.")
@click.option("--network", "networks", multiple=True, help="Only callers from this network, e.g. 192.0.2.0/24.")
@click.option("--expires", help="Lifetime, e.g. 12h, 30d.")
def token_add(
    user_name: str,
    name: str,
    scopes: tuple[str, ...],
    domains: tuple[str, ...],
    hosts: tuple[str, ...],
    stacks: tuple[str, ...],
    networks: tuple[str, ...],
    expires: str | None,
) -> None:
    """Print a new token. It is shown only once.

    DDNSD_TOKEN_MAX_DAYS limits its lifetime.
    """
    secret = secrets.new_token()
    scope = TokenScope(
        scopes or ("read", "write"),
        tuple(fold(domain) for domain in domains),
        tuple(fold(host) for host in hosts),
        tuple(_network(text) for text in networks),
        queries.now() + _microseconds(expires) if expires else None,
        tuple(map(_stack, stacks)),
    ).within(settings.load().token_max_days)

    keep = _tsig_keeper()

    def work(connection: Connection) -> None:
        keep(connection, secret)
        credentials.add_token(connection, accounts.user_named(connection, user_name), name, secret, scope)

    in_transaction(work)
    click.echo(secret)


def _tsig_keeper() -> Callable[[Connection, str], None]:
    """A function that stores the TSIG secret of a new secret, if there is a port for DNS UPDATE."""
    now = settings.load()
    keys = None
    if now.update_listen and now.second_factor_key is not None:
        try:
            keys = SealingKeys.from_file(now.second_factor_key)
        except BadKeyFile as error:
            raise click.ClickException(f"{settings.PREFIX}SECOND_FACTOR_KEY: {error}") from None

    def keep(connection: Connection, secret: str) -> None:
        if keys is not None:
            tsig_secrets.keep(connection, keys, secret)

    return keep


def _stack(pattern: str) -> str:
    if not re.fullmatch(STACK_PATTERN, pattern):
        raise click.BadParameter(f"{pattern!r} is no pattern of names of stacks", param_hint="--stack")
    return pattern


def _network(text: str) -> str:
    try:
        return network(text)
    except Invalid as error:
        raise click.BadParameter(str(error), param_hint="--network") from None


def _microseconds(text: str) -> int:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhdw])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time such as 12h or 30d", param_hint="--expires")
    return int(timedelta(**{units[match[2]]: int(match[1])}).total_seconds() * 1_000_000)


@click.group()
def key() -> None:
    """Keys: Basic credentials for a group of hosts."""


@key.command(name="add")
@click.argument("user_name", metavar="USER")
@click.option("--host", "hosts", multiple=True, required=True, help="A host of the user.")
@click.option("--name", default="", help="What the key is for.")
def key_add(user_name: str, hosts: tuple[str, ...], name: str) -> None:
    """Print LOGIN:SECRET of a new key. Shown only once."""
    login, secret, keep = secrets.new_login(), secrets.new_secret(), _tsig_keeper()

    def work(connection: Connection) -> None:
        keep(connection, secret)
        owner = accounts.user_named(connection, user_name)
        credentials.add_key(connection, owner, login, secret, hosts, name)

    in_transaction(work)
    click.echo(f"{login}:{secret}")
