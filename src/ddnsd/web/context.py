# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the API and the portal: the services of the registry, and the author of a change."""

from dataclasses import dataclass

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.tsig_secrets import TsigSecrets
from ddnsd.registry.abuse_reports import AbuseReports
from ddnsd.registry.account_export import AccountExport
from ddnsd.registry.certificates import Certificates
from ddnsd.registry.credentials import Keys, Tokens
from ddnsd.registry.dhcp_keys import DhcpKeys
from ddnsd.registry.domain_requests import Requests
from ddnsd.registry.domain_zones import Zones
from ddnsd.registry.domains import Domains
from ddnsd.registry.events import AuditLog
from ddnsd.registry.history import HostHistory
from ddnsd.registry.host_lists import HostLists
from ddnsd.registry.hosts import Edits, Hosts
from ddnsd.registry.passkeys import Passkeys
from ddnsd.registry.policy import Policy
from ddnsd.registry.quota_overrides import QuotaOverrides
from ddnsd.registry.rates import Rates
from ddnsd.registry.records import RRsets
from ddnsd.registry.related import RelatedNames
from ddnsd.registry.rows import Author
from ddnsd.registry.second_factors import SecondFactors
from ddnsd.registry.stacks import Stacks
from ddnsd.registry.status import Status
from ddnsd.registry.stored_denylist import StoredDenyList
from ddnsd.registry.transfers import Transfers
from ddnsd.registry.users import Users
from ddnsd.registry.webhooks import Webhooks
from ddnsd.web.update_port import UpdatePort


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services that `ddnsd.app` creates. Requests must not keep state here."""

    policy: Policy
    rates: Rates
    quota_overrides: QuotaOverrides
    hosts: Hosts
    edits: Edits
    host_lists: HostLists
    host_history: HostHistory
    transfers: Transfers
    related: RelatedNames
    rrsets: RRsets
    certificates: Certificates
    domains: Domains
    zones: Zones
    domain_requests: Requests
    abuse_reports: AbuseReports
    tokens: Tokens
    keys: Keys
    dhcp_keys: DhcpKeys
    stacks: Stacks
    webhooks: Webhooks
    users: Users
    account_export: AccountExport
    second_factors: SecondFactors
    passkeys: Passkeys
    audit_log: AuditLog
    denylist: StoredDenyList
    status: Status
    tsig: TsigSecrets
    update_port: UpdatePort | None = None
    """The port for DNS UPDATE, if there is one."""

    async def keep_tsig(self, *secrets: str) -> None:
        """Store the TSIG secrets of new secrets, before they are shown. Raises StoreDown."""
        await self.tsig.keep(secrets)

    def tsig_key(self, name: str, secret: str) -> dict[str, dict[str, str]]:
        """`tsig` with the TSIG key of a new secret, for answers; nothing without a port for DNS UPDATE."""
        return {} if self.update_port is None else {"tsig": self.update_port.key(name, secret)}


def author(caller: Caller, client_ip: str | None, agent: str) -> Author:
    """The caller with the address and the user agent of their request."""
    if caller.kind is Kind.USER:
        via = "user" if caller.token_id is None else "token"
        return Author(caller.user, client_ip, via, caller.credential_name, agent)
    return Author(caller.name, client_ip, caller.kind.value, caller.credential_name, agent)
