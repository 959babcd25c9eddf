# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the commands: expected errors as messages, given options, a transaction in the database."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from sqlalchemy import Connection

from ddnsd import settings
from ddnsd.db import migrate
from ddnsd.db.base import StoreDown
from ddnsd.db.notifications import Pooled
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import DnsError
from ddnsd.operations import store_access
from ddnsd.registry.errors import Code, RegistryError
from ddnsd.registry.inputs import TEXT_LENGTH
from ddnsd.settings import SettingsError

T = TypeVar("T")


EXPECTED = (
    SettingsError,
    RegistryError,
    StoreDown,
    DnsError,
    BindError,
    store_access.AdminError,
    migrate.ForeignSchema,
    migrate.Unverified,
    Pooled,
    OSError,
)

LONGEST = 1000
"""More characters than a description has."""

HINTS = {
    Code.USER_MISSING: "Create the user with `ddnsd user add %(user)s`.",
    Code.USER_NO_ADMINISTRATOR: "Change this with `ddnsd user add %(user)s --admin`.",
}
"""What to do, with a command, for some reasons."""


class CommandGroup(click.Group):
    """A command group that shows expected errors as messages, without a traceback, and whole descriptions."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            raise click.ClickException(_message(error)) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(LONGEST)) for name, one in commands if not one.hidden])


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = str(error) or error.__doc__ or type(error).__name__
    reasons = error.reasons if isinstance(error, RegistryError) else ()
    hints = [HINTS[reason.code] % reason.parameters for reason in reasons if reason.code in HINTS]
    return " ".join([text, *hints])


def given_options(columns: dict[str, Any]) -> dict[str, Any]:
    """The options that were given. Raises UsageError if there are none."""
    given = {name: value for name, value in columns.items() if value is not None}
    if not given:
        raise click.UsageError("There is nothing to change. Give an option.")
    return given


def short_text(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """The callback of an option with a short text for people. Raises BadParameter."""
    if value is not None and (len(value) > TEXT_LENGTH or not value.isprintable()):
        raise click.BadParameter(f"enter at most {TEXT_LENGTH} printable characters")
    return value.strip() if value is not None else None


def in_transaction(work: Callable[[Connection], T]) -> T:
    """Run one transaction in the service's database. Raises StoreDown, AdminError."""
    return asyncio.run(store_access.with_store(settings.load().store_url, work))


def iso_time(moment: int | None) -> str | None:
    """A time in microseconds as text in UTC, to the second; None for None."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
