# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as `application/problem+json` (RFC 9457): the one shape of every answer of `/api` that is no success.

type      about:blank, or urn:ddns:… where a program may want to tell cases apart (the table `TYPES`)
title     the meaning of the status, or of the type
status    the status once more
detail    what is wrong here, and what to do about it
errors    {field: [text, …]} where fields of the request are concerned
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from ddnsd.auth.caller import SignInError
from ddnsd.auth.oidc import NotAsked, ProviderDown
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import NotAcknowledged
from ddnsd.registry.errors import (
    Differs,
    Invalid,
    InvalidAddress,
    NoBind,
    NotEmpty,
    NotEnrolled,
    NotPublished,
    OutcomeUnknown,
    Reason,
    StoreDown,
    Taken,
    Unconfirmed,
)
from ddnsd.web.error_status import by_class, status_of

MEDIA_TYPE = "application/problem+json"
NOT_KEPT = {"Cache-Control": "no-store"}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Dynamic DNS"'}

NO_ENROLMENT = (
    "A valid enrolment token is needed, which is neither expired nor used with another secret, and of a host that has "
    "got no new secret or token since"
)

MAYBE_KEPT = "The connection to the database was lost during the commit, so the change may be kept"

TYPES = {
    "urn:ddns:rule": "Refused by a rule of the service",
    "urn:ddns:taken": "The name is taken",
    "urn:ddns:not-empty": "Not empty",
    "urn:ddns:pending": "Kept, but not in DNS yet",
    "urn:ddns:name-server": "The name server does not confirm",
    "urn:ddns:provider": "The identity provider does not answer",
    "urn:ddns:store": "The database cannot be used",
}

KINDS: Mapping[type[Exception], str] = {
    Taken: "urn:ddns:taken",
    Invalid: "urn:ddns:rule",
    InvalidAddress: "urn:ddns:rule",
    NotEmpty: "urn:ddns:not-empty",
    Unconfirmed: "urn:ddns:pending",
    NotAcknowledged: "urn:ddns:pending",
    NotPublished: "urn:ddns:name-server",
    BindError: "urn:ddns:name-server",
    NoBind: "urn:ddns:name-server",
    ProviderDown: "urn:ddns:provider",
    StoreDown: "urn:ddns:store",
    OutcomeUnknown: "urn:ddns:store",
}
"""The types of problems, by class of the error; the others have none of their own."""

HEADERS: Mapping[type[Exception], Mapping[str, str]] = {
    SignInError: CHALLENGE,
    NotEnrolled: CHALLENGE,
    NotAsked: {"Retry-After": "60"},
}

Fields = Mapping[str, Sequence[str]]


class Problem(HTTPException):
    """An answer that is no success; `kind` is its type, `errors` its fields."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "about:blank",
        errors: Fields | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.kind, self.errors = kind, errors

    def document(self) -> dict[str, Any]:
        """The members of the JSON object."""
        title = TYPES.get(self.kind) or HTTPStatus(self.status_code).phrase
        content = {"type": self.kind, "title": title, "status": self.status_code, "detail": self.detail}
        return content | ({"errors": self.errors} if self.errors else {})

    def response(self) -> Response:
        """The whole answer."""
        return Response(json.dumps(self.document()), self.status_code, NOT_KEPT | dict(self.headers or {}), MEDIA_TYPE)


def not_found() -> Problem:
    """Unknown, or not visible: one answer for both."""
    return Problem(404, "There is nothing here that you may see.")


def problem_of(error: Exception, called: Mapping[str, str] | None = None) -> Problem | None:
    """The answer to an error of the registry or below; None for one that nobody expects.

    `called` says how a resource calls fields that the registry calls otherwise.
    """
    if isinstance(error, Problem):
        return error
    status = status_of(error)
    if status is None:
        return None
    if status == 404:
        return not_found()
    errors = _shown(error.fields, called or {}) if isinstance(error, Invalid | Differs) else None
    kind = by_class(KINDS, error) or "about:blank"
    return Problem(status, _detail(error), kind=kind, errors=errors, headers=by_class(HEADERS, error))


def _detail(error: Exception) -> str:
    match error:
        case SignInError():
            return "A valid token is needed: Authorization: Bearer ddns_…"
        case NotEnrolled():
            return f"{NO_ENROLMENT}: Authorization: Bearer ddnse_…"
        case Differs():
            return f"Nothing was changed: {error}"
        case NotAcknowledged():
            return str(Unconfirmed(str(error)))
        case BindError() | NoBind():
            return str(NotPublished(str(error)))
        case NotAsked():
            return f"Nothing was changed: {error}."
        case ProviderDown():
            return "Nothing was changed: the identity provider does not answer."
        case OutcomeUnknown():
            return f"{MAYBE_KEPT}: look before you repeat it."
        case StoreDown():
            return "Nothing was changed: the database cannot be used."
    return str(error)


def _shown(reasons: Mapping[str, Reason], called: Mapping[str, str]) -> Fields | None:
    fields = {called.get(name, name): [str(reason)] for name, reason in reasons.items() if name != "__all__"}
    return fields or None
