# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that pages use; one object for each process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddnsd.auth.oidc.callbacks import Callbacks
from ddnsd.auth.one_time_secrets import OneTimeSecrets
from ddnsd.auth.passwords import Passwords
from ddnsd.auth.sessions import Sessions
from ddnsd.registry.credentials import Keys, Tokens
from ddnsd.registry.domain_requests import Requests
from ddnsd.registry.domain_zones import Zones
from ddnsd.registry.domains import Domains
from ddnsd.registry.events import AdminStats, AuditLog
from ddnsd.registry.host_edits import Edits
from ddnsd.registry.host_history import HostHistory
from ddnsd.registry.host_lists import HostLists
from ddnsd.registry.hosts import Hosts
from ddnsd.registry.identities import Identities
from ddnsd.registry.policy import Policy
from ddnsd.registry.records import RRsets
from ddnsd.registry.related import RelatedNames
from ddnsd.registry.status import Status
from ddnsd.registry.stored_denylist import StoredDenyList
from ddnsd.registry.transfers import Transfers
from ddnsd.registry.users import Users

if TYPE_CHECKING:
    from ddnsd.auth.oidc.login import Flow


@dataclass(frozen=True)
class Portal:
    """What `ddnsd.app` has wired for pages; `flows` are the sign-ins of the providers, by their names."""

    base_url: str
    policy: Policy
    hosts: Hosts
    edits: Edits
    host_lists: HostLists
    host_history: HostHistory
    transfers: Transfers
    related: RelatedNames
    rrsets: RRsets
    domains: Domains
    zones: Zones
    domain_requests: Requests
    tokens: Tokens
    keys: Keys
    users: Users
    audit_log: AuditLog
    admin_stats: AdminStats
    denylist: StoredDenyList
    status: Status
    sessions: Sessions
    passwords: Passwords
    identities: Identities
    one_time_secrets: OneTimeSecrets
    flows: "Mapping[str, Flow]"
    callbacks: Callbacks
