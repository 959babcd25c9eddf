# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages work with; one object for each process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddnsd.dns.monitor import Watch
from ddnsd.faces.rest.context import Context
from ddnsd.identity.oidc.callbacks import Callbacks
from ddnsd.identity.one_time_secrets import OneTimeSecrets
from ddnsd.identity.passwords import Passwords
from ddnsd.identity.sessions import Sessions
from ddnsd.registry.members import Members

if TYPE_CHECKING:
    from ddnsd.identity.oidc.flow import Flow


@dataclass(frozen=True)
class Portal(Context):
    """The parts of `/api`, and what pages need beside them; `flows` are those of the providers, by their names."""

    watch: Watch
    sessions: Sessions
    passwords: Passwords
    members: Members
    flows: "Mapping[str, Flow]"
    base_url: str
    one_time: OneTimeSecrets
    callbacks: Callbacks
