# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of the registry that both the API and the portal ask; one object for each process."""

from dataclasses import dataclass

from ddnsd.registry.credentials import Keys, Tokens
from ddnsd.registry.domain_requests import Requests
from ddnsd.registry.domain_zones import Zones
from ddnsd.registry.domains import Domains
from ddnsd.registry.events import AuditLog
from ddnsd.registry.host_edits import Edits
from ddnsd.registry.host_history import HostHistory
from ddnsd.registry.host_lists import HostLists
from ddnsd.registry.hosts import Hosts
from ddnsd.registry.policy import Policy
from ddnsd.registry.records import RRsets
from ddnsd.registry.related import RelatedNames
from ddnsd.registry.status import Status
from ddnsd.registry.stored_denylist import StoredDenyList
from ddnsd.registry.transfers import Transfers
from ddnsd.registry.users import Users


@dataclass(frozen=True, kw_only=True)
class Services:
    """What `ddnsd.app` has wired. Requests keep no state of their own here."""

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
    denylist: StoredDenyList
    status: Status
