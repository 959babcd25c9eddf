# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as pages: what is wrong, whether anything was changed, and what to do."""

from collections.abc import Mapping

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ddnsd.auth.one_time_secrets import NotReady
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import HostGone, NotAcknowledged
from ddnsd.registry.errors import (
    NoHost,
    NotPermitted,
    NotPublished,
    OutcomeUnknown,
    RegistryError,
    StoreDown,
    Unconfirmed,
)
from ddnsd.web import error_status
from ddnsd.web.error_status import by_class
from ddnsd.web.portal import messages
from ddnsd.web.portal.i18n import N_
from ddnsd.web.portal.request import PageRequest

log = structlog.get_logger()


class NotFound(Exception):
    """nothing here that the user may see"""


class TooLarge(Exception):
    """a form has at most 64 KiB"""


class NoForm(Exception):
    """the body is not a form"""


STATUS = {**error_status.STATUS, NotPermitted: 404, NotFound: 404, TooLarge: 413, NoForm: 415}
"""As in the API, but a page that the user may not use is not found."""

TITLES: Mapping[type[Exception], str] = {
    Unconfirmed: N_("Saved, but not in DNS yet"),
    OutcomeUnknown: N_("It may have been saved"),
    NotReady: N_("Not ready yet"),
}
"""Titles other than "Nothing was changed" and "Not found"."""

TEXTS: Mapping[type[Exception], str] = {
    TooLarge: N_("The form is too large."),
    NoForm: N_("This address accepts only forms."),
    NotReady: N_("The secret is not ready yet. Reload this page in a moment."),
    OutcomeUnknown: N_(
        "The connection to the database was lost while saving. Check whether it was saved, then try again."
    ),
    StoreDown: N_("The database is not available. Try again in a minute."),
}


def answer(page: PageRequest, error: Exception) -> Response:
    """The page for an error that a handler did not catch."""
    status, title, text = _describe(page, _of_registry(error))
    if status == 500:
        log.exception("unexpected error", path=page.path)
    elif status > 500:
        log.warning("page request failed", path=page.path, reason=str(error))
    response = page.refuse(status, title, text)
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response


def _of_registry(error: Exception) -> Exception:
    """The registry's error for an error of a lower package."""
    match error:
        case HostGone():
            return NoHost()
        case NotAcknowledged():
            return Unconfirmed(str(error))
        case BindError():
            return NotPublished(str(error))
    return error


def _describe(page: PageRequest, error: Exception) -> tuple[int, str, str]:
    _ = page.gettext
    status = error.status_code if isinstance(error, HTTPException) else by_class(STATUS, error)
    if status == 404:
        return 404, _("Not found"), _(messages.NOTHING_HERE)
    title = _(by_class(TITLES, error) or N_("Nothing was changed"))
    if status == 405:
        return 405, title, _("This address does not accept such a request.")
    if status is not None and isinstance(error, RegistryError):
        return status, title, page.explain(error)
    if status is not None and (text := by_class(TEXTS, error)):
        return status, title, _(text)
    return 500, _("Something went wrong"), _("This is an error of the service. It was logged.")
