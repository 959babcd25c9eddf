# SPDX-License-Identifier: GPL-3.0-or-later
"""An error has one status, whichever door it leaves by; each door says what it means in its own words."""

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.oidc import NotAsked
from ddnsd.auth.one_time_secrets import NotReady
from ddnsd.db.base import OutcomeUnknown, StoreDown
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import ChangeRefused, HostGone, NotAcknowledged
from ddnsd.registry.errors import (
    Blocked,
    Code,
    Held,
    Invalid,
    InvalidAddress,
    NoBind,
    NoDenial,
    NoDomain,
    NoHost,
    NotEmpty,
    NotEnrolled,
    NotPublished,
    Reason,
    Stale,
    Taken,
    Unconfirmed,
)
from ddnsd.web.api.errors import problem_of
from ddnsd.web.error_status import status_of
from ddnsd.web.portal import error_pages
from ddnsd.web.portal.i18n import languages
from ddnsd.web.portal.request import PageRequest

SILENT = "the name server does not answer"

BOTH = [
    (Blocked(), 403, "about:blank", "gesperrt"),
    (NoHost(), 404, "about:blank", "Diese Seite gibt es nicht"),
    (HostGone(), 404, "about:blank", "Diese Seite gibt es nicht"),
    (NoDomain(Code.DOMAIN_MISSING, domain="a.example.org"), 404, "about:blank", "Diese Seite gibt es nicht"),
    (NoDenial(), 404, "about:blank", "Diese Seite gibt es nicht"),
    (Taken(name=Reason(Code.NAME_TAKEN)), 409, "urn:ddns:taken", "gibt es in dieser Domain schon"),
    (NotEmpty(Code.DOMAIN_HAS_HOSTS, domain="a.example.org"), 409, "urn:ddns:not-empty", "a.example.org hat Hosts"),
    (Stale(), 412, "about:blank", "Jemand anderes hat das geändert"),
    (Invalid(name=Reason(Code.NAME_MISSING)), 422, "urn:ddns:rule", "Geben Sie einen Namen ein."),
    (InvalidAddress("0.0.0.0"), 422, "urn:ddns:rule", "kann die Adresse 0.0.0.0 nicht haben"),
    (NotPublished(SILENT), 503, "urn:ddns:name-server", "Versuchen Sie es in einer Minute"),
    (BindError(SILENT), 503, "urn:ddns:name-server", "Versuchen Sie es in einer Minute"),
    (NoBind(), 503, "urn:ddns:name-server", "Dieser Dienst steuert kein BIND"),
    (Unconfirmed(SILENT), 503, "urn:ddns:pending", "Der Dienst versucht es weiter"),
    (Held(SILENT), 503, "urn:ddns:pending", "Der Dienst versucht es weiter"),
    (NotAcknowledged(SILENT), 503, "urn:ddns:pending", "Der Dienst versucht es weiter"),
    (ChangeRefused(SILENT), 503, "urn:ddns:pending", "Der Dienst versucht es weiter"),
    (StoreDown(), 503, "urn:ddns:store", "Die Datenbank"),
    (OutcomeUnknown(), 503, "urn:ddns:store", "Verbindung zur Datenbank"),
]


class Page(PageRequest):
    """A page that shows errors as plain text."""

    def refuse(self, status: int, title: str, text: str) -> Response:
        return Response(f"{title}\n{text}", status)


@pytest.fixture
def page() -> PageRequest:
    request = Request(
        {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": [], "server": None}
    )
    return Page(request, None, languages()["de"], None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("error", "status", "kind", "text"), BOTH, ids=lambda value: type(value).__name__)
def test_both_doors_answer_with_the_same_status(
    page: PageRequest, error: Exception, status: int, kind: str, text: str
) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert (status_of(error), problem.status_code, problem.kind) == (status, status, kind)
    shown = error_pages.answer(page, error)
    assert shown.status_code == status
    assert text in bytes(shown.body).decode()


@pytest.mark.parametrize("error", [NotPublished(SILENT), BindError(SILENT)])
def test_the_api_says_that_nothing_was_changed_and_why(error: Exception) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert problem.detail == "Nothing was changed: the name server does not answer."


@pytest.mark.parametrize("error", [Unconfirmed(SILENT), NotAcknowledged(SILENT)])
def test_the_api_says_that_the_change_is_kept_and_why(error: Exception) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert problem.detail == "The change is kept and will be applied: the name server does not answer."


def test_fields_are_named_as_the_resource_calls_them() -> None:
    problem = problem_of(Invalid(name=Reason(Code.NAME_MISSING), __all__=Reason(Code.NAME_TAKEN)), {"name": "fqdn"})
    assert problem is not None
    assert problem.errors == {"fqdn": ["Enter a name."]}


@pytest.mark.parametrize(
    ("error", "header"),
    [(BadCredentials(), "WWW-Authenticate"), (NotEnrolled(), "WWW-Authenticate"), (NotAsked(), "Retry-After")],
)
def test_headers_that_tell_a_client_what_to_do(error: Exception, header: str) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert header in (problem.headers or {})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (error_pages.NotFound(), 404),
        (HTTPException(404), 404),
        (HTTPException(405), 405),
        (error_pages.TooLarge(), 413),
        (error_pages.NoForm(), 415),
        (NotReady(), 503),
        (ZeroDivisionError(), 500),
    ],
)
def test_errors_of_pages_alone(page: PageRequest, error: Exception, status: int) -> None:
    assert error_pages.answer(page, error).status_code == status


def test_an_error_that_nobody_expects_has_no_status() -> None:
    assert status_of(ZeroDivisionError()) is None
    assert problem_of(ZeroDivisionError()) is None
