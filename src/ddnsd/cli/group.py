# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands share: expected errors as messages, options that were given, a transaction in the database."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import click
from sqlalchemy import Connection

from ddnsd import settings
from ddnsd.db import migrate
from ddnsd.db.base import StoreDown
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import DnsError
from ddnsd.operations import store_access
from ddnsd.registry.errors import Code, RegistryError
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
    OSError,
)

HINTS = {
    Code.USER_MISSING: "ddnsd user add %(user)s",
    Code.USER_NO_ADMINISTRATOR: "ddnsd user add %(user)s --admin",
}
"""The command that helps, for some reasons."""


class CommandGroup(click.Group):
    """Shows expected errors as messages, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            raise click.ClickException(_message(error)) from None


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = str(error) or error.__doc__ or type(error).__name__
    reasons = error.reasons if isinstance(error, RegistryError) else ()
    hints = [HINTS[reason.code] % reason.parameters for reason in reasons if reason.code in HINTS]
    return f"{text} ({', '.join(hints)})" if hints else text


def given_options(columns: dict[str, Any]) -> dict[str, Any]:
    """The options that were given. Raises UsageError when there are none."""
    given = {name: value for name, value in columns.items() if value is not None}
    if not given:
        raise click.UsageError("nothing to change: give an option")
    return given


def in_transaction(work: Callable[[Connection], T]) -> T:
    """Run one transaction in the service's database. Raises StoreDown, AdminError."""
    return asyncio.run(store_access.with_store(settings.load().store_url, work))
