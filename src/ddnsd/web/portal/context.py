# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that pages use; one object per process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddnsd.auth.oidc.callbacks import Callbacks
from ddnsd.auth.one_time_secrets import OneTimeSecrets
from ddnsd.auth.passwords import Passwords
from ddnsd.auth.pending_signin import PendingSignIns
from ddnsd.auth.sessions import Sessions
from ddnsd.registry.events import AdminStats
from ddnsd.registry.identities import Identities
from ddnsd.web.context import Services

if TYPE_CHECKING:
    from ddnsd.auth.oidc.login import Flow


@dataclass(frozen=True, kw_only=True)
class Portal(Services):
    """The shared services, and those that only pages need; `flows` are the sign-ins by name of the provider."""

    base_url: str
    admin_stats: AdminStats
    sessions: Sessions
    passwords: Passwords
    identities: Identities
    one_time_secrets: OneTimeSecrets
    pending_signins: PendingSignIns
    flows: "Mapping[str, Flow]"
    callbacks: Callbacks
