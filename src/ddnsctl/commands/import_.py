# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl import`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ddnsctl import options, output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ddnsctl.sync.model import Capabilities, Domain, Host, Registered


@click.command("import")
@click.option("--domain", metavar="NAME", help="Only hosts in this domain.")
@click.option(
    "--stack",
    metavar="NAME",
    help="Declare this stack, with what is registered for it.",
    shell_complete=options.registered("stacks"),
)
@click.option("--adopt", is_flag=True, help="With --stack: include hosts without a stack; the next apply adopts them.")
@click.option("--dynamic", is_flag=True, help="Declare all addresses as dynamic: the hosts' updaters set them.")
@click.option("-o", "--out", metavar="FILE", type=click.Path(), help="Write to a new file instead of standard output.")
@options.connection
def command(
    domain: str | None,
    stack: str | None,
    adopt: bool,
    dynamic: bool,
    out: str | None,
    connection: options.Connection,
) -> int:
    """Write a declaration of your registered hosts. Hosts of other users, which an administrator sees, are left out.

    A plan of this declaration contains no changes. With --adopt, it adopts the hosts that belong to no stack and
    changes nothing else.
    """
    from dataclasses import replace

    from ddnsctl import session
    from ddnsctl.sync.errors import SyncError

    if adopt and stack is None:
        raise SyncError("--adopt needs --stack NAME, the stack that adopts the hosts")
    opened = session.open_session(connection, session.NO_FILE, stack=None if adopt else stack)
    choice = Choice(domain, stack, adopt=adopt, dynamic=dynamic, server=opened.url)
    registered = opened.registered
    if stack is not None and opened.server.capabilities.keys:
        registered = replace(registered, keys=opened.server.registered_keys())
    text = declaration(registered, opened.server.capabilities, choice)
    if out is None:
        click.echo(text, nl=False)
    else:
        write(text, out)
        output.remark(f"Written to {out}.")
    return 0


class Choice(NamedTuple):
    """What the declaration contains, and how it is written."""

    domain: str | None = None
    """Only hosts in this domain."""
    stack: str | None = None
    """The declaration's stack. Only its hosts and domains are included, unless others are adopted."""
    adopt: bool = False
    """Also include hosts that belong to no stack."""
    dynamic: bool = False
    """Declare all addresses as dynamic."""
    server: str | None = None


def declaration(registered: Registered, capabilities: Capabilities, choice: Choice) -> str:
    """The declaration of the caller's own hosts as YAML. Warns about values that the next apply would still change.

    Raises SyncError if nothing matches.
    """
    from ddnsctl.sync import names
    from ddnsctl.sync.errors import SyncError
    from ddnsctl.yaml import writer

    hosts = sorted((h for h in registered.hosts.values() if _is_chosen(h, choice)), key=lambda h: h.fqdn)
    domains = sorted((d for d in registered.domains.values() if _is_in_stack(d, choice)), key=lambda d: d.name)
    keys = [key for key in registered.keys if key.stack == choice.stack and not _objection(names.credential, key.name)]
    if not hosts and not domains:
        raise SyncError("no registered host matches; `ddnsctl show` lists all of them")

    def written(kept: Sequence[Host]) -> str:
        return writer.declaration(
            kept, domains, choice.server, choice.stack, keys=keys, adopt=choice.adopt, dynamic=choice.dynamic
        )

    text = written(hosts)
    if not _is_valid(text):
        text = written([declarable for host in hosts if (declarable := _declarable(host)) is not None])
    _warn_of_changes(text, registered, capabilities)
    return text


def _is_valid(text: str) -> bool:
    from ddnsctl import loader
    from ddnsctl.sync.errors import DeclarationError

    try:
        loader.of_text(text, "import")
    except DeclarationError:
        return False
    return True


def _declarable(host: Host) -> Host | None:
    """The host as it can be declared: odd addresses become dynamic, other odd values are left out.

    None if its name cannot be declared. Warns about addresses and names; `_warn_of_changes` warns about other values.
    """
    from dataclasses import replace

    from ddnsctl.sync import names
    from ddnsctl.sync.model import DYNAMIC

    odd: dict[str, Any] = {}
    for family, parse in (("ipv4", names.ipv4s), ("ipv6", names.ipv6s)):
        value = getattr(host, family)
        if isinstance(value, (str, list)) and (reason := _objection(parse, value)):
            output.warning(f"{host.fqdn}: {family}: {reason}. It is written as `dynamic`, which changes nothing")
            odd[family] = DYNAMIC
    if host.comment is not None and _objection(names.comment, host.comment):
        odd["comment"] = None
    if host.ttl is not None and _objection(names.ttl, host.ttl):
        odd["ttl"] = None
    if host.alias is not None and (reason := _objection(names.alias, host.alias)):
        output.warning(f"{host.fqdn}: alias: {reason}. It is left out, which keeps it")
        odd["alias"] = None
    odd["labels"] = {key: value for key, value in host.labels.items() if not _objection(names.labels, {key: value})}
    if reason := _objection(names.host_name, host.fqdn):
        output.warning(f"{host.fqdn}: left out: {reason}. `apply --prune` would delete it, if it belongs to the stack")
        return None
    return replace(host, **odd)


def _objection(parse: Callable[[Any], object], value: object) -> str:
    """Why a value cannot be declared; empty if it can."""
    try:
        parse(value)
    except ValueError as error:
        return str(error)
    return ""


def write(text: str, file: str) -> None:
    """Write a new file. Raises SyncError if it exists."""
    from pathlib import Path

    from ddnsctl.sync import secret_files
    from ddnsctl.sync.errors import SyncError

    try:
        secret_files.write(Path(file), text.encode(), replace=False, durable=False, private=False)
    except FileExistsError:
        raise SyncError(f"{file} exists: remove it, or write to another file") from None


def _is_chosen(host: Host, choice: Choice) -> bool:
    if not host.own:
        return False
    if choice.domain is not None and host.domain != choice.domain.lower().rstrip("."):
        return False
    return choice.stack is None or host.stack == choice.stack or (choice.adopt and host.stack is None)


def _is_in_stack(domain: Domain, choice: Choice) -> bool:
    matches = choice.domain is None or domain.name == choice.domain.lower().rstrip(".")
    return matches and domain.own and choice.stack is not None and domain.stack == choice.stack


def _warn_of_changes(text: str, registered: Registered, capabilities: Capabilities) -> None:
    """Warn about values that cannot be declared as they are, such as an empty comment."""
    from ddnsctl import loader
    from ddnsctl.sync.plan import Action, Options, make
    from ddnsctl.sync.policy import Limits

    declared = loader.of_text(text, "the imported declaration")
    plan = make(declared, registered, capabilities, Options(limits=Limits(percent=None, count=None)))
    for change in plan.changes:
        fields = [name for name in change.after if change.action is not Action.ADOPT or name != "stack"]
        if fields:
            output.warning(f"{change.name}: the next apply will normalise {', '.join(fields)}")
