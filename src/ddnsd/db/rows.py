# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows for the rest of the service; a field is the column of the same name."""

from typing import NamedTuple


class Host(NamedTuple):
    """A host with fields of its domain and owner; addresses are canonical text, times microseconds since the epoch.

    `ipv4` and `ipv6` have several addresses separated by blanks. `alias` is the target of its CNAME record; `aliased`:
    a CNAME record of ours may be at its name. `blocked_by_domain`: the owner of its domain has blocked it. `withdrawn`:
    its records are removed from DNS while its owner is disabled. `quarantine_ipv4` and `quarantine_ipv6` are the
    addresses that its names have while it is in quarantine.

    `ptr`: it wants the reverse names of its addresses. `proved_ipv4` and `proved_ipv6` are the addresses of the last
    update that came from there or from somebody who may change the reverse zone. `reverse_of` is None except for
    reverse names, which are rows of the service: the address of the name.
    """

    id: int
    domain_id: int
    owner_id: int
    fqdn: str
    name: str
    secret_hash: bytes
    comment: str | None
    wildcard: bool
    ttl: int | None
    available: bool
    abuse: bool
    abuse_blocked: bool
    block_reason: str | None
    blocked_by_domain: bool
    quarantine_ipv4: str | None
    quarantine_ipv6: str | None
    client_faults: int
    server_faults: int
    ipv4: str | None
    ipv6: str | None
    prefix: str | None
    interface_id: str | None
    inferred: str | None
    updated_ipv4: int | None
    tls_ipv4: bool
    updated_ipv6: int | None
    tls_ipv6: bool
    version: int
    claimed: bool
    conflict: str | None
    has_rrsets: bool
    alias: str | None
    aliased: bool
    stack: str | None
    protect: bool
    labels: str
    ptr: bool
    proved_ipv4: str | None
    proved_ipv6: str | None
    reverse_of: str | None
    created: int
    domain: str
    domain_owner_id: int
    domain_available: bool
    domain_ttl: int | None
    query_credentials: bool
    private_addresses: bool
    dns_updates: bool
    owner_active: bool
    withdrawn: bool
    pending_since: int | None

    @property
    def quarantined(self) -> bool:
        """Whether its names have the operator's addresses instead of its own records. It is then also blocked."""
        return self.quarantine_ipv4 is not None or self.quarantine_ipv6 is not None

    @property
    def is_static(self) -> bool:
        """Whether its updater cannot change it: it is an alias, or has several addresses of a family."""
        return self.alias is not None or " " in (self.ipv4 or "") or " " in (self.ipv6 or "")


def addresses_of(text: str | None) -> list[str]:
    """The addresses of one family, from a column."""
    return text.split() if text else []


class Watched(NamedTuple):
    """The fields of a host that determine its records, for the comparison with its zone."""

    id: int
    owner_id: int
    fqdn: str
    wildcard: bool
    ipv4: str | None
    ipv6: str | None
    prefix: str | None
    version: int
    claimed: bool
    conflict: str | None
    has_rrsets: bool
    alias: str | None
    aliased: bool
    abuse_blocked: bool
    quarantine_ipv4: str | None
    quarantine_ipv6: str | None
    reverse_of: str | None
    withdrawn: bool
    pending_since: int | None
    has_related: bool
    is_set_aside: bool


class ListedHost(NamedTuple):
    """The fields of a host in a user's list of all their hosts."""

    owner_id: int
    fqdn: str
    name: str
    wildcard: bool
    comment: str | None
    available: bool
    client_faults: int
    server_faults: int
    abuse_blocked: bool
    abuse: bool
    updated_ipv4: int | None
    tls_ipv4: bool
    ipv4: str | None
    updated_ipv6: int | None
    tls_ipv6: bool
    ipv6: str | None
    stack: str | None
    domain: str
    domain_available: bool


class Domain(NamedTuple):
    """A domain with its owner's name, its primary and key.

    `generation` increases when the primary or the key changes. `inline_signing`: the primary answers from a signed copy
    of the zone, so answers follow its acknowledgements late. Members of the Kerberos realm `gss_realm` write their own
    addresses at BIND; hosts can be registered beside them only with `gss_hosts`.

    `network` has the addresses whose names are in a reverse zone, if its name does not say it. `reverse` says which
    hosts may have such a name: none with `off`, all with `all`, and with `verified` those that have proved that the
    address is theirs.
    """

    id: int
    owner_id: int
    name: str
    public: bool
    available: bool
    comment: str | None
    ttl: int | None
    primary: str
    key_name: str
    key_algorithm: str
    key_secret: str
    query_credentials: bool
    private_addresses: bool
    dns_updates: bool
    group: str | None
    stack: str | None
    provisioned: bool
    dnssec_policy: str | None
    gss_realm: str | None
    gss_hosts: bool
    network: str | None
    reverse: str
    created: int
    generation: int
    frozen_since: int | None
    frozen_reason: str | None
    inline_signing: bool
    owner: str

    @property
    def members_only(self) -> bool:
        """Whether all names of the domain are left to members of its Kerberos realm."""
        return self.gss_realm is not None and not self.gss_hosts

    @property
    def frozen(self) -> str | None:
        """Why nothing is sent to the zone, as text; None unless the domain is frozen for maintenance."""
        if not self.frozen_since:
            return None
        return f"{self.name} is frozen for maintenance" + (f": {self.frozen_reason}" if self.frozen_reason else "")

    def __repr__(self) -> str:
        return f"Domain({self.name!r})"


class Mirror(NamedTuple):
    """A second primary of a domain. `role` is `new` while the domain moves to it, `old` for its former primary.

    `seen` is the time of the service's last report, `waiting` the number of hosts that it does not have; both are None
    before the first one. `problem` is the reason why it is not up to date, or None.
    """

    domain_id: int
    primary: str
    key_name: str
    key_algorithm: str
    key_secret: str
    role: str
    since: int
    seen: int | None
    waiting: int | None
    problem: str | None

    def __repr__(self) -> str:
        return f"Mirror({self.primary!r}, {self.role!r})"


class User(NamedTuple):
    """A user; `admin_by` is the identity whose claim makes them an administrator, if any.

    `withdrawn`: the user is disabled, and the records of their hosts are removed from DNS. `suspension_reason`: why.
    """

    id: int
    name: str
    admin: bool
    active: bool
    created: int
    admin_by: int | None = None
    withdrawn: bool = False
    suspension_reason: str | None = None


class StatedRights(NamedTuple):
    """The rights of a user. Each has the time when a provider last stated it, in microseconds since the epoch.

    `admin_at` is None for an administrator by another administrator. `groups` are lines: the time, a blank, and the
    group; the time is 0 for a group that an administrator has assigned.
    """

    admin: bool
    admin_at: int | None
    groups: str | None


class Session(NamedTuple):
    """A browser session with its user, whose rights are as in `StatedRights`.

    `authenticated` is when the user gave a password here or at the provider, which may be long before `created`.
    `subject` and `sid` are the user and their session at the provider. `second_factor`: the user has one.
    """

    id: int
    user_id: int
    method: str
    source: str | None
    agent: str
    authenticated: int
    subject: str | None
    sid: str | None
    created: int
    last_seen: int
    user: str
    active: bool
    admin: bool
    admin_at: int | None
    groups: str | None
    second_factor: bool

    @property
    def rights(self) -> StatedRights:
        """The rights of the user."""
        return StatedRights(self.admin, self.admin_at, self.groups)


class Identity(NamedTuple):
    """A user's identity at an OpenID Connect provider; `label` is their name there."""

    id: int
    user_id: int
    issuer: str
    subject: str
    label: str
    created: int
    last_used: int


class Token(NamedTuple):
    """A token with its user; lists are blank-separated text, the user's rights are as in `StatedRights`."""

    id: int
    user_id: int
    name: str
    scopes: str
    domains: str
    hosts: str
    stacks: str
    networks: str
    expires: int | None
    created: int
    last_used: int | None
    user: str
    active: bool
    admin: bool
    admin_at: int | None
    groups: str | None

    @property
    def rights(self) -> StatedRights:
        """The rights of the user."""
        return StatedRights(self.admin, self.admin_at, self.groups)


class Key(NamedTuple):
    """Basic credentials for a group of hosts; `active` is that of the owner."""

    id: int
    owner_id: int
    login: str
    name: str
    secret_hash: bytes
    created: int
    stack: str | None
    active: bool


class DhcpKey(NamedTuple):
    """A TSIG key of DHCP servers; `created_by` is the user who created it."""

    id: int
    name: str
    secret_hash: bytes
    created_by: str
    created: int


class Related(NamedTuple):
    """A related name: its AAAA record follows its host's prefix."""

    id: int
    host_id: int
    fqdn: str
    interface_id: str


def name_below(prefix: str, host: str) -> str:
    """The full name of a prefix, possibly empty, below a host's name."""
    return f"{prefix}.{host}" if prefix else host


def endings(fqdn: str) -> list[str]:
    """The name and all its parents."""
    labels = fqdn.split(".")
    return [".".join(labels[i:]) for i in range(len(labels))]


def reversed_name(fqdn: str) -> str:
    """The name with its labels in reverse order: those of names below it begin with it and a dot."""
    return ".".join(reversed(fqdn.split(".")))


class RRset(NamedTuple):
    """An RRset of a host; `data` has a line per value, in presentation format."""

    id: int
    host_id: int
    prefix: str
    rtype: str
    ttl: int | None
    data: str
    claimed: bool
    conflict: str | None

    @property
    def place(self) -> tuple[str, str]:
        """Its prefix and type."""
        return self.prefix, self.rtype

    def name(self, host: str) -> str:
        """The full name, below its host's name."""
        return name_below(self.prefix, host)


ANY_TARGET = "."
"""The alias in a removal of a CNAME record whose target is not known."""


class Removal(NamedTuple):
    """A pending or finished removal of a name's addresses and `alias`, or of its RRset of a type."""

    id: int
    domain_id: int
    fqdn: str
    ipv4: str | None
    ipv6: str | None
    alias: str | None
    rtype: str | None
    data: str | None
    exact: bool
    dirty_since: int | None
    created: int
