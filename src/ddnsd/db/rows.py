# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows for the rest of the service; a field is the column of the same name."""

from typing import NamedTuple


class Host(NamedTuple):
    """A host with fields of its domain and owner; addresses are canonical text, times microseconds since the epoch.

    `withdrawn`: its records are removed from DNS while its owner is disabled.
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
    stack: str | None
    labels: str
    created: int
    domain: str
    domain_available: bool
    domain_ttl: int | None
    query_credentials: bool
    private_addresses: bool
    owner_active: bool
    withdrawn: bool
    pending_since: int | None


class Domain(NamedTuple):
    """A domain with its owner's name, its primary and key.

    `generation` increases when the primary or the key changes.
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
    group: str | None
    stack: str | None
    provisioned: bool
    dnssec_policy: str | None
    created: int
    generation: int
    owner: str

    def __repr__(self) -> str:
        return f"Domain({self.name!r})"


class User(NamedTuple):
    """A user; `admin_by` is the identity whose claim makes them an administrator, if any.

    `withdrawn`: the user is disabled, and the records of their hosts are removed from DNS.
    """

    id: int
    name: str
    admin: bool
    active: bool
    created: int
    admin_by: int | None = None
    withdrawn: bool = False


class Session(NamedTuple):
    """A browser session with its user; `groups` are lines of text."""

    id: int
    user_id: int
    method: str
    source: str | None
    agent: str
    created: int
    last_seen: int
    user: str
    admin: bool
    active: bool
    groups: str | None


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
    """A token with its user; lists are blank-separated text, groups lines of text."""

    id: int
    user_id: int
    name: str
    scopes: str
    domains: str
    hosts: str
    networks: str
    expires: int | None
    created: int
    last_used: int | None
    user: str
    admin: bool
    active: bool
    groups: str | None


class Key(NamedTuple):
    """Basic credentials for a group of hosts; `active` is that of the owner."""

    id: int
    owner_id: int
    login: str
    name: str
    secret_hash: bytes
    created: int
    active: bool


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

    def name(self, host: str) -> str:
        """The full name, below its host's name."""
        return name_below(self.prefix, host)


class Removal(NamedTuple):
    """A pending or finished removal of a name's addresses, or of its RRset of a type."""

    id: int
    domain_id: int
    fqdn: str
    ipv4: str | None
    ipv6: str | None
    rtype: str | None
    data: str | None
    exact: bool
    dirty_since: int | None
    created: int
