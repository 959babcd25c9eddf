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
from ddnsd.dns.errors import HostGone, NotAcknowledged
from ddnsd.registry.errors import (
    Blocked,
    Invalid,
    InvalidAddress,
    NoBind,
    NoCredential,
    NoDenial,
    NoDomain,
    NoHost,
    NoRequest,
    NotEmpty,
    NotEnrolled,
    NotPermitted,
    NotPublished,
    NoUser,
    OutcomeUnknown,
    Stale,
    StoreDown,
    Taken,
    Unconfirmed,
)

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
    match error:
        case Problem():
            return error
        case SignInError():
            return Problem(401, "A valid token is needed: Authorization: Bearer ddns_…", headers=CHALLENGE)
        case NotEnrolled():
            return Problem(401, f"{NO_ENROLMENT}: Authorization: Bearer ddnse_…", headers=CHALLENGE)
        case NoHost() | HostGone() | NoDomain() | NoRequest() | NoDenial() | NoCredential() | NoUser():
            return not_found()
        case NotPermitted():
            return Problem(403, str(error))
        case Taken():
            return Problem(409, str(error), kind="urn:ddns:taken", errors=_shown(error, called or {}))
        case Invalid():
            return Problem(422, str(error), kind="urn:ddns:rule", errors=_shown(error, called or {}))
        case InvalidAddress():
            return Problem(422, str(error), kind="urn:ddns:rule")
        case Blocked():
            return Problem(403, "The host is flagged or blocked for abuse: write to the operator.")
        case NotEmpty():
            return Problem(409, str(error), kind="urn:ddns:not-empty")
        case Stale():
            return Problem(412, "It has changed since: read it again, and decide anew.")
        case Unconfirmed() | NotAcknowledged():
            detail = f"The change is kept and will be applied: {error}."
            return Problem(503, detail, kind="urn:ddns:pending")
        case NotPublished() | BindError() | NoBind():
            return Problem(503, f"Nothing was changed: {error}.", kind="urn:ddns:name-server")
        case NotAsked():
            detail = f"Nothing was changed: {error}."
            return Problem(503, detail, kind="urn:ddns:provider", headers={"Retry-After": "60"})
        case ProviderDown():
            return Problem(503, "Nothing was changed: the identity provider does not answer.", kind="urn:ddns:provider")
        case OutcomeUnknown():
            return Problem(503, f"{MAYBE_KEPT}: look before you repeat it.", kind="urn:ddns:store")
        case StoreDown():
            return Problem(503, "Nothing was changed: the database cannot be used.", kind="urn:ddns:store")
    return None


def _shown(error: Invalid, called: Mapping[str, str]) -> Fields | None:
    fields = {called.get(name, name): texts for name, texts in error.fields.items() if name != "__all__"}
    return fields or None
