# SPDX-License-Identifier: GPL-3.0-or-later
"""What the routes of `/api` work with; one object for each process."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.throttle import LoginThrottle
from ddnsd.db.lookups import Lookups
from ddnsd.dns.writer import Writer
from ddnsd.registry.changes import Changes
from ddnsd.registry.credentials import Keys, Tokens
from ddnsd.registry.domain_requests import Requests
from ddnsd.registry.domain_zones import Zones
from ddnsd.registry.domains import Domains
from ddnsd.registry.enrolments import Enrolments
from ddnsd.registry.events import AdminStats, AuditLog
from ddnsd.registry.host_edits import Edits
from ddnsd.registry.host_history import HostHistory
from ddnsd.registry.host_lists import HostLists
from ddnsd.registry.hosts import Hosts
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.policy import Policy
from ddnsd.registry.records import RRsets
from ddnsd.registry.related import RelatedNames
from ddnsd.registry.status import Status
from ddnsd.registry.stored_denylist import StoredDenyList
from ddnsd.registry.transfers import Transfers
from ddnsd.registry.users import Users

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore


@dataclass(frozen=True)
class Context:
    """The parts that `ddnsd.app` has wired; routes keep no state of their own."""

    store: "SqliteStore | PostgresStore"
    lookups: Lookups
    writer: Writer
    signin: SignIn
    policy: Policy
    hosts: Hosts
    edits: Edits
    domains: Domains
    zones: Zones
    enrolments: Enrolments
    throttle: LoginThrottle
    contacts: LastSeen
    requests: Requests
    denials: StoredDenyList
    status: Status
    related: RelatedNames
    rrsets: RRsets
    tokens: Tokens
    keys: Keys
    audit_log: AuditLog
    admin_stats: AdminStats
    host_lists: HostLists
    host_history: HostHistory
    changes: Changes
    transfers: Transfers
    users: Users
