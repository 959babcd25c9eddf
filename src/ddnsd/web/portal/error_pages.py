# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as pages: what is wrong, whether anything was changed, and what to do."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ddnsd.auth.one_time_secrets import NotReady
from ddnsd.db.base import OutcomeUnknown, StoreDown
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import HostGone, NotAcknowledged
from ddnsd.registry.errors import (
    Blocked,
    Invalid,
    InvalidAddress,
    NoBind,
    NoDomain,
    NoHost,
    NotEmpty,
    NotPublished,
    Stale,
    Unconfirmed,
)

if TYPE_CHECKING:
    from ddnsd.web.portal.request import PageRequest

log = structlog.get_logger()


class NotFound(Exception):
    """nothing here that the visitor may see"""


class TooLarge(Exception):
    """a form has at most 64 KiB"""


class NoForm(Exception):
    """the body is no form"""


def answer(page: "PageRequest", error: Exception) -> Response:
    """The page for an error that a handler did not catch."""
    status, title, text = _describe(page.gettext, error)
    if isinstance(error, Invalid | NotEmpty | NoBind):
        text = page.explain(error)
    if status == 500:
        log.exception("unexpected error", path=page.path)
    elif status > 500:
        log.warning("page not carried out", path=page.path, reason=str(error))
    response = page.refuse(status, title, text)
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response


def _describe(_: Callable[..., str], error: Exception) -> tuple[int, str, str]:
    nothing = _("Nothing was changed")
    match error:
        case NotFound() | NoHost() | NoDomain() | HostGone() | HTTPException(status_code=404):
            return 404, _("Not found"), _("There is nothing here that you may see; it may be gone or renamed.")
        case HTTPException(status_code=405):
            return 405, nothing, _("This address takes no such request.")
        case NotReady():
            return 503, _("Not ready yet"), _("The secret is still being made. Reload this page in a moment.")
        case TooLarge():
            return 413, nothing, _("That is more than a form here holds.")
        case NoForm():
            return 415, nothing, _("This address takes forms only.")
        case Blocked():
            return 403, nothing, _("The host is flagged or blocked for abuse. Write to the operator of the service.")
        case Stale():
            return 409, nothing, _("It has been changed meanwhile. Look at it again, and decide anew.")
        case Invalid() | NotEmpty():
            return 422, nothing, ""
        case InvalidAddress():
            return 422, nothing, _("That is not an address that a host may have.")
        case Unconfirmed() | NotAcknowledged():
            title, text = _("Saved, but not in DNS yet"), _("The name server did not confirm it. We keep trying.")
            return 503, title, text
        case NoBind():
            return 503, nothing, ""
        case NotPublished() | BindError():
            return 503, nothing, _("The name server does not answer as it should. Try again in a minute.")
        case OutcomeUnknown():
            text = _("The connection to the database was lost while saving. Look before you try again.")
            return 503, _("Perhaps it was saved"), text
        case StoreDown():
            return 503, nothing, _("The database cannot be used at the moment. Try again in a minute.")
    return 500, _("Something went wrong"), _("This is our fault, and it has been logged.")
