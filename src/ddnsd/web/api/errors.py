# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of `/api` as `application/problem+json` (RFC 9457), and their descriptions for OpenAPI.

type      about:blank, or urn:ddns:… so that programs can tell cases apart (see `TYPES`)
title     the meaning of the status, or of the type
status    the HTTP status
detail    what is wrong, and what to do
errors    {field: [text, …]} if fields of the request are wrong
lease     who applies the stack, since when and until when, if somebody else does
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
    CertificateBusy,
    Differs,
    Invalid,
    InvalidAddress,
    Leased,
    LeaseLost,
    NoBind,
    NotEmpty,
    NotEnrolled,
    NotIssued,
    NotPublished,
    OutcomeUnknown,
    OverQuota,
    Protected,
    Reason,
    StoreDown,
    Taken,
    Unconfirmed,
)
from ddnsd.registry.moments import moment
from ddnsd.registry.rows import Lease
from ddnsd.web.error_status import by_class, status_of

MEDIA_TYPE = "application/problem+json"
NOT_KEPT = {"Cache-Control": "no-store"}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Dynamic DNS"'}

NO_ENROLMENT = (
    "The enrolment token is missing or not valid. It may have expired, another secret may have been sent with it, or "
    "the host may have a newer secret or token"
)

MAYBE_KEPT = "The connection to the database was lost during the commit, so the change may have been saved"

TYPES = {
    "urn:ddns:rule": "Refused by a rule of the service",
    "urn:ddns:taken": "The name is taken",
    "urn:ddns:quota": "Over a quota",
    "urn:ddns:not-empty": "The object is still in use",
    "urn:ddns:protected": "A protection or another stack prevents it",
    "urn:ddns:leased": "Somebody else applies the stack",
    "urn:ddns:lease-lost": "The lease has ended",
    "urn:ddns:pending": "Stored, but not in DNS yet",
    "urn:ddns:authority": "No certificate was issued",
    "urn:ddns:name-server": "The name server did not confirm the change",
    "urn:ddns:provider": "The identity provider does not answer",
    "urn:ddns:store": "The database is not available",
}

KINDS: Mapping[type[Exception], str] = {
    Taken: "urn:ddns:taken",
    Invalid: "urn:ddns:rule",
    InvalidAddress: "urn:ddns:rule",
    OverQuota: "urn:ddns:quota",
    NotEmpty: "urn:ddns:not-empty",
    Protected: "urn:ddns:protected",
    Leased: "urn:ddns:leased",
    LeaseLost: "urn:ddns:lease-lost",
    NotIssued: "urn:ddns:authority",
    CertificateBusy: "urn:ddns:authority",
    Unconfirmed: "urn:ddns:pending",
    NotAcknowledged: "urn:ddns:pending",
    NotPublished: "urn:ddns:name-server",
    BindError: "urn:ddns:name-server",
    NoBind: "urn:ddns:name-server",
    ProviderDown: "urn:ddns:provider",
    StoreDown: "urn:ddns:store",
    OutcomeUnknown: "urn:ddns:store",
}
"""The problem type by class of the error; other errors have `about:blank`."""

HEADERS: Mapping[type[Exception], Mapping[str, str]] = {
    SignInError: CHALLENGE,
    NotEnrolled: CHALLENGE,
    NotAsked: {"Retry-After": "60"},
}

Fields = Mapping[str, Sequence[str]]


class Problem(HTTPException):
    """An error answer; `kind` is its type, `errors` its texts by field."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "about:blank",
        errors: Fields | None = None,
        headers: Mapping[str, str] | None = None,
        lease: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.kind, self.errors, self.lease = kind, errors, lease

    def document(self) -> dict[str, Any]:
        """The members of the JSON object."""
        title = TYPES.get(self.kind) or HTTPStatus(self.status_code).phrase
        content = {"type": self.kind, "title": title, "status": self.status_code, "detail": self.detail}
        optional = {"errors": self.errors, "lease": self.lease}
        return content | {name: value for name, value in optional.items() if value}

    def response(self) -> Response:
        """The complete response."""
        return Response(json.dumps(self.document()), self.status_code, NOT_KEPT | dict(self.headers or {}), MEDIA_TYPE)


def not_found() -> Problem:
    """The problem for both an unknown and an invisible object."""
    return Problem(404, "It does not exist, or you may not see it.")


def repeated_member() -> Problem:
    """The problem for an object that has a member twice."""
    return Problem(400, "An object has the same member twice. Send each member once.")


def problem_of(error: Exception, called: Mapping[str, str] | None = None) -> Problem | None:
    """The problem for an error of the registry or of a lower package; None for an unexpected error.

    `called` maps the registry's names of fields to those of the resource, where they differ.
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
    headers = by_class(HEADERS, error)
    if isinstance(error, OverQuota) and error.retry_after is not None:
        headers = {"Retry-After": str(error.retry_after)}
    lease = lease_json(error.lease) if isinstance(error, Leased) else None
    return Problem(status, _detail(error), kind=kind, errors=errors, headers=headers, lease=lease)


def lease_json(lease: Lease) -> dict[str, str]:
    """A lease as an object."""
    times = {"since": moment(lease.since), "expires": moment(lease.expires)}
    return {"holder": lease.holder, **{name: text for name, text in times.items() if text is not None}}


def _detail(error: Exception) -> str:
    match error:
        case SignInError():
            return "The token is missing or not valid. Send a valid one: Authorization: Bearer ddns_…"
        case NotEnrolled():
            return f"{NO_ENROLMENT}. Send a new one: Authorization: Bearer ddnse_…"
        case Differs():
            return f"Nothing was changed: {error}"
        case NotAcknowledged():
            return str(Unconfirmed(str(error)))
        case BindError():
            return str(NotPublished(str(error)))
        case NotAsked():
            return f"Nothing was changed: {error}."
        case ProviderDown():
            return "Nothing was changed: the identity provider does not answer. Try again in a minute."
        case OutcomeUnknown():
            return f"{MAYBE_KEPT}. Check before you repeat it."
        case StoreDown():
            return "Nothing was changed: the database is not available. Try again in a minute."
    return str(error)


def _shown(reasons: Mapping[str, Reason], called: Mapping[str, str]) -> Fields | None:
    fields = {called.get(name, name): [str(reason)] for name, reason in reasons.items() if name != "__all__"}
    return fields or None


SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "enum": ["about:blank", *TYPES]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "object",
            "description": "What is wrong with each field, if fields are wrong.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "lease": {
            "type": "object",
            "description": "Who applies the stack, if somebody else does.",
            "required": ["holder", "since", "expires"],
            "additionalProperties": False,
            "properties": {name: {"type": "string"} for name in ("holder", "since", "expires")},
        },
    },
}

MEANINGS = {
    400: "The request cannot be parsed",
    401: "No valid token",
    403: "The token does not allow this, or the host is blocked for abuse",
    404: "Unknown, or not visible to the caller",
    409: "The name is taken, the object is still in use or protected, somebody else applies the stack, the lease has "
    "ended, a certificate is being issued for another request, or the Idempotency-Key was used with another body",
    412: "If-Match does not match the current version, or the current state does not allow the change",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "Some fields are not valid",
    429: "Over a quota, or too many large calls are running; Retry-After says when to try again, if time helps",
    503: "The name server, the certificate authority or the database failed; type and detail say whether the change is "
    "stored",
}

_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "Bearer", "required": True, "schema": {"type": "string"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: the problems of every call, and these."""
    return described(401, 403, 422, 503, *statuses)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: only these problems; 401 must be one of them."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in sorted(set(statuses)):
        responses[status] = {"description": MEANINGS[status], "content": _CONTENT}
    responses[401]["headers"] = _CHALLENGE
    return responses


def changes(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route with a body."""
    return problems(400, 413, 415, 429, *statuses)


def success(model: Any, *headers: str, description: str = "Done") -> dict[str, Any]:
    """A successful response with a body of `model`."""
    shown = {name: {"required": True, "schema": {"type": "string"}} for name in headers}
    return {"model": model, "description": description, **({"headers": shown} if shown else {})}


def leads_to(field: str, *operations: str) -> dict[str, Any]:
    """`links` to the operations on the resource that the response names in `field`."""
    parameters = {field: f"$response.body#/{field}"}
    return {"links": {name: {"operationId": name, "parameters": parameters} for name in operations}}


NO_CONTENT: dict[int | str, dict[str, Any]] = {204: {"description": "Done"}}
