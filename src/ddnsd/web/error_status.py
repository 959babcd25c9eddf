# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP status of the errors of lower packages, for both the API and the portal."""

from collections.abc import Mapping
from typing import TypeVar

from ddnsd.auth.caller import SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.one_time_secrets import NotReady
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import HostGone, NotAcknowledged
from ddnsd.registry.errors import (
    AuthorityDown,
    Blocked,
    CertificateBusy,
    Invalid,
    InvalidAddress,
    KeyReused,
    Leased,
    LeaseLost,
    NoBind,
    NoCertificate,
    NoCredential,
    NoDenial,
    NoDomain,
    NoFactor,
    NoHost,
    NoReport,
    NoRequest,
    NoStack,
    NotEmpty,
    NotEnrolled,
    NotIssued,
    NotPermitted,
    NotPublished,
    NoUser,
    NoWebhook,
    OtherFailed,
    OutcomeUnknown,
    OverQuota,
    Protected,
    Stale,
    StoreDown,
    Taken,
)

T = TypeVar("T")

STATUS: Mapping[type[Exception], int] = {
    SignInError: 401,
    NotEnrolled: 401,
    Blocked: 403,
    NotPermitted: 403,
    NoHost: 404,
    HostGone: 404,
    NoDomain: 404,
    NoReport: 404,
    NoRequest: 404,
    NoDenial: 404,
    NoCredential: 404,
    NoUser: 404,
    NoFactor: 404,
    NoStack: 404,
    NoCertificate: 404,
    NoWebhook: 404,
    Taken: 409,
    NotEmpty: 409,
    KeyReused: 409,
    Protected: 409,
    Leased: 409,
    LeaseLost: 409,
    CertificateBusy: 409,
    Stale: 412,
    Invalid: 422,
    InvalidAddress: 422,
    NotIssued: 422,
    OtherFailed: 424,
    OverQuota: 429,
    AuthorityDown: 503,
    NotPublished: 503,
    NotAcknowledged: 503,
    NoBind: 503,
    BindError: 503,
    NotReady: 503,
    ProviderDown: 503,
    StoreDown: 503,
    OutcomeUnknown: 503,
}
"""A class that is not listed has the status of its base class."""


def status_of(error: Exception) -> int | None:
    """The status of an error; None if the error is unexpected."""
    return by_class(STATUS, error)


def by_class(table: Mapping[type[Exception], T], error: Exception) -> T | None:
    """The entry of the error's class, or of its nearest base class with an entry; None if there is none."""
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)
