# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for quotas, and `ddnsd group …`, whose only setting they are."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from ddnsd.cli.group import in_transaction
from ddnsd.registry import quota_overrides
from ddnsd.registry.quota_overrides import MOST, Subject
from ddnsd.registry.quotas import Quota

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT = "default"


def _limit(ctx: click.Context, param: click.Parameter, value: str | None) -> int | str | None:
    """The value of an option: a number, or the word for the default."""
    if value is None or value == DEFAULT:
        return value
    try:
        number = int(value)
    except ValueError:
        number = -1
    if not 0 <= number <= MOST:
        raise click.BadParameter(f"give a number from 0 to {MOST}, or {DEFAULT!r}", ctx, param)
    return number


HELP = {
    Quota.HOSTS: "Most hosts of the user, or of each user in the group or domain.",
    Quota.TOKENS: "Most API tokens.",
    Quota.KEYS: "Most keys.",
    Quota.CHANGES: "Most changes of addresses an hour, of each host.",
    Quota.RECORD_CHANGES: "Most changes of records an hour, of each host.",
    Quota.API_WRITES: "Most calls a minute that change something.",
    Quota.ANSWERS: "Most MB of stored answers to calls with an Idempotency-Key.",
}


def quota_options(quotas: Iterable[Quota] = Quota) -> Callable[[F], F]:
    """Options for these quotas: 0 is no limit, `default` removes what was set."""
    given = set(quotas)

    def decorate(command: F) -> F:
        for quota in [quota for quota in reversed(Quota) if quota in given]:
            name, metavar = quota.replace("_", "-"), f"NUMBER|{DEFAULT}"
            command = click.option(f"--{name}", metavar=metavar, callback=_limit, help=HELP[quota])(command)
        return command

    return decorate


def taken(options: dict[str, Any]) -> dict[Quota, int | None]:
    """Remove the options of quotas from `options`. Returns the given ones."""
    found = {quota: options.pop(quota, None) for quota in Quota}
    return {quota: None if value == DEFAULT else value for quota, value in found.items() if value is not None}


def put(subject: Subject, limits: dict[Quota, int | None]) -> None:
    """Set the limits, and print what changed."""
    if done := in_transaction(lambda c: quota_overrides.put(c, subject, limits)):
        click.echo(f"changed {subject}: {done}")


def required(options: dict[str, Any]) -> dict[Quota, int | None]:
    """The given quotas. Raises UsageError if there are none."""
    if not (limits := taken(options)):
        raise click.UsageError("There is nothing to change. Give an option.")
    return limits


@click.group()
def group() -> None:
    """Groups of users."""


@group.command(name="set")
@click.argument("name")
@quota_options()
def group_set(name: str, **options: Any) -> None:
    """Change the quotas of each user in a group.

    A quota of the user, or of the host's domain, has precedence. Of several groups the largest applies. 0 is no limit,
    `default` removes what was set.
    """
    put(Subject(group=name), required(options))
