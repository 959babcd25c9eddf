# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands have. Each decorator passes its values to the command."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ddnsctl.sync.policy import Limits

F = TypeVar("F", bound=Callable[..., Any])

DEFAULTS = {"--verify": "60", "--wait": "600"}
"""Options whose number can be omitted."""

FILE = click.Path(allow_dash=True)


def registered(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """What a shell offers for an option or argument: a function of `completing`, which is imported only then."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Any]:
        from ddnsctl import completing

        found: list[Any] = getattr(completing, what)(context, incomplete)
        return found

    return complete


def seconds(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Callback of options with a time. Refuses values that are not above 0 and at most a day."""
    if value is not None and not 0.0 < value <= 86400.0:
        raise click.BadParameter("it must be a number of seconds, above 0 and at most 86400")
    return value


@dataclass(frozen=True)
class Connection:
    """How to connect to the service."""

    server: str | None
    token_file: str | None
    token_command: str | None
    ca: str | None
    timeout: float


def connection(command: F) -> F:
    """`connection: Connection`, from --server, --token-file, --token-command, --ca and --timeout."""

    @click.option(
        "--server", metavar="URL", help="URL of the service; overrides `server` in the declaration. [env: DDNS_SERVER]"
    )
    @click.option(
        "--token-file",
        metavar="FILE",
        type=click.Path(),
        help="File with the token. [env: DDNS_TOKEN_FILE, or DDNS_TOKEN for the token itself; with these, --server or "
        "DDNS_SERVER must name the server]",
    )
    @click.option(
        "--token-command",
        metavar="COMMAND",
        help="Command that prints the token, such as 'pass show ddns'. It runs without a shell. "
        "[env: DDNS_TOKEN_COMMAND]",
    )
    @click.option(
        "--ca",
        metavar="FILE",
        envvar="DDNS_CA",
        type=click.Path(),
        help="File with the certificate authorities to trust, instead of the system's. [env: DDNS_CA]",
    )
    @click.option(
        "--timeout",
        metavar="SECONDS",
        envvar="DDNS_TIMEOUT",
        default=60.0,
        type=float,
        callback=seconds,
        help="How long to wait for each answer; 60 by default. [env: DDNS_TIMEOUT]",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = {field.name: kwargs.pop(field.name) for field in fields(Connection)}
        return command(*args, connection=Connection(**given), **kwargs)

    return wrapped  # type: ignore[return-value]


class OptionalNumbers(click.Command):
    """A command with options of `DEFAULTS`. They take a number if one follows; any other word after them is a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As Click, with the defaults filled in."""
        joined: list[str] = []
        for argument in args:
            option = joined[-1] if joined and joined[-1] in DEFAULTS else None
            if option is None:
                joined.append(argument)
            elif re.fullmatch(r"\d+(\.\d+)?", argument):
                joined[-1] = f"{option}={argument}"
            else:
                joined[-1:] = [f"{option}={DEFAULTS[option]}", argument]
        if joined and joined[-1] in DEFAULTS:
            joined[-1] += f"={DEFAULTS[joined[-1]]}"
        return super().parse_args(ctx, joined)


def _variables(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Callback of --var. Refuses a value without a name, and a name with two values."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE")
        if found.setdefault(name, value) != value:
            raise click.BadParameter(f"{name} has two values")
    return found


def sources(*, argument: bool = True) -> Callable[[F], F]:
    """`sources: Sources`, from -f, -i, --stack, --domain, --env, --var, and with `argument` from the arguments."""

    def decorate(command: F) -> F:
        @click.option(
            "-f",
            "--file",
            "files",
            metavar="PATH",
            multiple=True,
            type=FILE,
            help="Declaration: a file, a folder (its *.yml and *.yaml files, also in subfolders) or - for standard "
            "input. Repeatable.",
        )
        @click.option(
            "-i",
            "--inventory",
            "inventories",
            metavar="INVENTORY",
            multiple=True,
            help="Ansible inventory whose hosts have a variable `ddns`. Repeatable.",
        )
        @vault
        @click.option(
            "--stack",
            metavar="NAME",
            help="Stack, if the declaration names none.",
            shell_complete=registered("stacks"),
        )
        @click.option("--domain", metavar="NAME", help="Domain of names without a dot, if the declaration names none.")
        @click.option("--env", metavar="NAME", help="Environment of the declaration, with its variables.")
        @click.option(
            "--var",
            "variables",
            metavar="NAME=VALUE",
            multiple=True,
            callback=_variables,
            help="Set a variable of the declaration. Repeatable. [env: DDNS_VAR_NAME]",
        )
        @functools.wraps(command)
        def wrapped(
            *args: Any,
            files: tuple[str, ...],
            inventories: tuple[str, ...],
            stack: str | None,
            domain: str | None,
            env: str | None,
            variables: dict[str, str],
            paths: tuple[str, ...] = (),
            **kwargs: Any,
        ) -> Any:
            from ddnsctl.loader import Sources

            chosen = Sources((*paths, *files), inventories, kwargs.pop("vault"), stack, domain, env, variables)
            return command(*args, sources=chosen, **kwargs)

        declared: Any = wrapped
        if argument:
            declared = click.argument("paths", metavar="[PATH]...", nargs=-1, type=FILE)(declared)
        return declared  # type: ignore[no-any-return]

    return decorate


def vault(command: F) -> F:
    """`vault: tuple[str, ...]`, the options to pass on to Ansible's programs."""

    @click.option(
        "--vault-password-file",
        metavar="FILE",
        type=click.Path(),
        help="File with the password of ansible-vault. [env: ANSIBLE_VAULT_PASSWORD_FILE]",
    )
    @click.option("--vault-id", metavar="LABEL@FILE", multiple=True, help="As in ansible-vault. Repeatable.")
    @functools.wraps(command)
    def wrapped(*args: Any, vault_password_file: str | None, vault_id: tuple[str, ...], **kwargs: Any) -> Any:
        chosen = [part for label in vault_id for part in ("--vault-id", label)]
        if vault_password_file is not None:
            chosen += ["--vault-password-file", vault_password_file]
        return command(*args, vault=tuple(chosen), **kwargs)

    return wrapped  # type: ignore[return-value]


def _limits(_context: click.Context, _option: click.Parameter, value: str | None) -> Limits | None:
    from ddnsctl.sync.policy import Limits

    try:
        return None if value is None else Limits.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def pruning(command: F) -> F:
    """`prune: bool` and `max_deletes: Limits | None`."""
    command = click.option(
        "--max-deletes",
        metavar="N|N%|all",
        callback=_limits,
        help="Refuse a plan that deletes or replaces more hosts. Default: 30% of the stack's hosts, at most 100.",
    )(command)
    return click.option(
        "--prune", is_flag=True, help="Delete hosts and domains of the stack that are no longer declared."
    )(command)


def pruning_only(command: F) -> F:
    """`prune: bool`, for commands that change nothing."""
    return click.option(
        "--prune", is_flag=True, help="Report hosts and domains of the stack that are no longer declared."
    )(command)


def max_changes(command: F) -> F:
    """`max_changes: Limits | None`."""
    return click.option(
        "--max-changes",
        metavar="N|N%|all",
        callback=_limits,
        help="Refuse a plan that changes more hosts of the stack, instead of the declaration's `max_changes`.",
    )(command)


def leasing(command: F) -> F:
    """`wait: float | None` and `force_unlock: bool`; the command's class must be `OptionalNumbers`."""
    command = click.option(
        "--force-unlock",
        is_flag=True,
        help="If somebody else applies the stack, take the lease away. Their next change fails.",
    )(command)
    return click.option(
        "--wait",
        metavar="[SECONDS]",
        type=float,
        callback=seconds,
        help=f"If somebody else applies the stack, wait until they have finished, at most {DEFAULTS['--wait']} seconds "
        "by default.",
    )(command)


def secrets(command: F) -> F:
    """`repair: bool`."""
    return click.option(
        "--secrets",
        "repair",
        is_flag=True,
        help="Also check stored secrets, and replace those whose file is missing or that no longer work.",
    )(command)


def only(command: F) -> F:
    """`only: tuple[str, ...]`."""
    return click.option(
        "--only",
        metavar="PATTERN",
        multiple=True,
        shell_complete=registered("hosts"),
        help="Only hosts and domains whose full name or first label matches, such as 'web-*'. No others are changed or "
        "deleted. Repeatable.",
    )(command)


def yes(command: F) -> F:
    """`yes: bool`."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")(command)


def journal(command: F) -> F:
    """`journal: str | None`."""
    return click.option(
        "--journal", metavar="FILE", type=click.Path(), help="File for the journal; by default a new file in .ddnsctl."
    )(command)
