# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of a certificate authority; `str()` is the cause.

AuthorityError
  AuthoritySilent     it does not answer, or not in time
  AuthorityFailed     it could not do it: it did not find the challenge, or has a fault
  AuthorityRefused    it does not accept the order
  AuthorityBusy       its own limits are reached
  BadAccountKey       the file of the account key cannot be used
"""


class AuthorityError(Exception):
    """The authority issued no certificate."""


class AuthoritySilent(AuthorityError):
    """It does not answer, or not in time."""


class AuthorityFailed(AuthorityError):
    """It could not do it."""


class AuthorityRefused(AuthorityError):
    """It does not accept the order."""


class AuthorityBusy(AuthorityError):
    """Its own limits are reached."""


class BadAccountKey(AuthorityError):
    """The file of the account key cannot be used."""
