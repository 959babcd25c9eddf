# SPDX-License-Identifier: GPL-3.0-or-later
"""What the routes of `/api` work with; one object for each process."""

from dataclasses import dataclass

from ddnsd.auth.authenticate import SignIn
from ddnsd.registry.changes import Changes
from ddnsd.registry.enrolments import Enrolments
from ddnsd.web.context import Services


@dataclass(frozen=True, kw_only=True)
class Context(Services):
    """The services, with those that the portal does not need."""

    signin: SignIn
    enrolments: Enrolments
    changes: Changes
