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
from ddnsd.web.portal import messages

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
    if isinstance(error, Invalid):
        text = " ".join(page.reasons(error.fields).values())
    elif isinstance(error, NotEmpty | NoBind):
        text = messages.translated(page.language, str(error))
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
            return 404, _("Not found"), _("This page does not exist, was removed or renamed, or you may not see it.")
        case HTTPException(status_code=405):
            return 405, nothing, _("This address does not accept such a request.")
        case NotReady():
            return 503, _("Not ready yet"), _("The secret is not ready yet. Reload this page in a moment.")
        case TooLarge():
            return 413, nothing, _("The form is too large.")
        case NoForm():
            return 415, nothing, _("This address accepts only forms.")
        case Blocked():
            return 403, nothing, _("The host is flagged or blocked for abuse. Contact the operator of the service.")
        case Stale():
            return 409, nothing, _("Someone else changed this while you were editing. Check the values and try again.")
        case Invalid() | NotEmpty():
            return 422, nothing, ""
        case InvalidAddress():
            return 422, nothing, _("A host cannot have this address.")
        case Unconfirmed() | NotAcknowledged():
            title, text = (
                _("Saved, but not in DNS yet"),
                _("The name server did not confirm it. The service keeps trying."),
            )
            return 503, title, text
        case NoBind():
            return 503, nothing, ""
        case NotPublished() | BindError():
            return 503, nothing, _("The name server does not answer correctly. Try again in a minute.")
        case OutcomeUnknown():
            text = _(
                "The connection to the database was lost while saving. Check whether it was saved, then try again."
            )
            return 503, _("It may have been saved"), text
        case StoreDown():
            return 503, nothing, _("The database is not available. Try again in a minute.")
    return 500, _("Something went wrong"), _("This is an error of the service. It was logged.")
