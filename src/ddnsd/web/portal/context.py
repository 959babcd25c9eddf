# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages work with; one object for each process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddnsd.auth.oidc.callbacks import Callbacks
from ddnsd.auth.one_time_secrets import OneTimeSecrets
from ddnsd.auth.passwords import Passwords
from ddnsd.auth.sessions import Sessions
from ddnsd.dns.monitor import ZoneMonitor
from ddnsd.registry.identities import Identities
from ddnsd.web.api.context import Context

if TYPE_CHECKING:
    from ddnsd.auth.oidc.login import Flow


@dataclass(frozen=True)
class Portal(Context):
    """The parts of `/api`, and what pages need beside them; `flows` are those of the providers, by their names."""

    watch: ZoneMonitor
    sessions: Sessions
    passwords: Passwords
    members: Identities
    flows: "Mapping[str, Flow]"
    base_url: str
    one_time: OneTimeSecrets
    callbacks: Callbacks
