# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared (`…Spec`) and registered hosts and domains. Names are full, lower case, without a trailing dot. Addresses
are canonical text. `names` normalises both.

Several addresses of a family are a list, in numeric order. A declared field has a value, or

    KEEP      the declaration does not change the field
    DYNAMIC   (addresses) the host's updater sets it: never set, removed or reported as drift

A registered address has a value, None (no record), or UNKNOWN if the server did not report it.
"""

from __future__ import annotations

import enum
import shlex
from dataclasses import dataclass, field
from typing import Any, Mapping

from .errors import Location
from .policy import Limits


class Sentinel(enum.Enum):
    """A special value; see the module."""

    KEEP = "keep"
    DYNAMIC = "dynamic"
    UNKNOWN = "unknown"


KEEP, DYNAMIC, UNKNOWN = Sentinel.KEEP, Sentinel.DYNAMIC, Sentinel.UNKNOWN

HOST_FIELDS = (
    "ipv4",
    "ipv6",
    "alias",
    "wildcard",
    "comment",
    "ttl",
    "labels",
    "protect",
    "ptr",
    "records",
    "related",
    "stack",
)
"""Fields of a host that a change may set, except `fqdn` (a rename), in the order in which they are shown.

`records` and `related` of a change have only the RRsets and related names that it concerns; see `records`.
"""

STACK_FIELDS = ("protect", "gives")
DOMAIN_FIELDS = (
    "public",
    "comment",
    "ttl",
    "group",
    "available",
    "dns_updates",
    "owner",
    "primary",
    "key",
    "dnssec_policy",
    "gss_realm",
    "gss_hosts",
    "network",
    "reverse",
    "stack",
)
"""Fields of a domain that a change may set, in the order in which they are shown."""


KEY_FIELDS = ("hosts", "stack")
"""Fields of a key that a change may set."""

CERTIFICATE_FIELDS = ("names", "file", "key")
"""Fields of the order of a certificate: its names, and the files of the certificate and its key."""


FILE, VAULT, EXEC, NONE = "file", "vault", "exec", "none"
"""Kinds of `SecretSpec`."""


@dataclass(frozen=True)
class SecretSpec:
    """Where a new secret goes: `file` (mode 0600), `vault` (a file that ansible-vault encrypts), `exec`, or `none`."""

    kind: str
    path: str = ""
    command: tuple[str, ...] = ()
    """For `exec`: the program and its arguments. It gets the secret on standard input."""

    @property
    def in_file(self) -> bool:
        """Whether it goes to the file `path`."""
        return self.kind in (FILE, VAULT)

    def as_data(self) -> dict[str, Any]:
        """The values of a document, also of a saved plan."""
        return {self.kind: list(self.command) if self.kind == EXEC else self.path}

    def __str__(self) -> str:
        if self.kind == EXEC:
            return f"exec {' '.join(map(shlex.quote, self.command))}"
        return "not stored" if self.kind == NONE else f"{self.kind} {self.path}"


@dataclass(frozen=True)
class CertificateSpec:
    """The files of a host's certificate and of its private key, both PEM."""

    key: str
    file: str


@dataclass(frozen=True)
class HostSpec:
    """A declared host."""

    fqdn: str
    ipv4: str | list[str] | Sentinel | None = KEEP
    ipv6: str | list[str] | Sentinel | None = KEEP
    wildcard: bool | Sentinel = KEEP
    comment: str | Sentinel | None = KEEP
    ttl: int | Sentinel | None = KEEP
    labels: Mapping[str, str] | Sentinel = KEEP
    secret: SecretSpec | None = None
    moved_from: str | None = None
    adopt: bool = False
    adopt_from: str | None = None
    """The other user from whom the host is taken over, with a new secret."""
    records: Mapping[str, Any] | Sentinel = KEEP
    """RRsets by key, as in `records.declared`."""
    protect: bool | Sentinel = KEEP
    """Whether it is never deleted or replaced."""
    ptr: bool | Sentinel = KEEP
    """Whether its addresses have PTR records with its name."""
    keeps_records: bool = False
    """Whether RRsets stay that are not in `records`: only default ones are declared."""
    alias: str | Sentinel | None = KEEP
    """The full name that it is an alias of. It then has no addresses, no wildcard, no RRsets and no related names."""
    related: Mapping[str, str | None] | Sentinel = KEEP
    """Interface ids of related names by label; None: there is none."""
    keeps_related: bool = False
    """Whether related names stay that are not in `related`: only default ones are declared."""
    certificate: CertificateSpec | None = None
    where: Location | None = field(default=None, compare=False)


@dataclass(frozen=True)
class DomainSpec:
    """A declared domain."""

    name: str
    public: bool | Sentinel = KEEP
    comment: str | Sentinel | None = KEEP
    ttl: int | Sentinel | None = KEEP
    group: str | Sentinel | None = KEEP
    available: bool | Sentinel = KEEP
    dns_updates: bool | Sentinel = KEEP
    adopt: bool = False
    adopt_from: str | None = None
    """The other user from whom the domain is taken over."""
    owner: str | Sentinel = KEEP
    primary: str | Sentinel = KEEP
    key: Mapping[str, str] | Sentinel = KEEP
    """Name, algorithm and fingerprint of the key in `key_file`, once it is read; see `tsig_files`."""
    key_file: str | None = None
    dnssec_policy: str | Sentinel | None = KEEP
    gss_realm: str | Sentinel | None = KEEP
    gss_hosts: bool | Sentinel = KEEP
    network: str | Sentinel = KEEP
    reverse: str | Sentinel = KEEP
    where: Location | None = field(default=None, compare=False)


@dataclass(frozen=True)
class KeySpec:
    """A declared key: credentials for a group of hosts, by full name and sorted."""

    name: str
    hosts: tuple[str, ...] = ()
    secret: SecretSpec | None = None
    where: Location | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Declaration:
    """A declaration. `hosts` and `domains` are by full name, `keys` by name."""

    stack: str | None = None
    server: str | None = None
    hosts: Mapping[str, HostSpec] = field(default_factory=dict)
    domains: Mapping[str, DomainSpec] = field(default_factory=dict)
    where: Location | None = field(default=None, compare=False)
    max_changes: Limits | None = None
    """The most hosts of the stack that a plan may change; None: any number."""
    keys: Mapping[str, KeySpec] = field(default_factory=dict)
    moved_from: str | None = None
    """The former name of the stack."""
    protect: bool | None = None
    """Whether no host of the stack is deleted or replaced; None: as it is."""
    gives: Mapping[str, str] | None = None
    """Full names of hosts that other stacks may take over, and these stacks; None: as it is."""


@dataclass(frozen=True)
class Host:
    """A registered host. `dns` is `current`, `pending` (not in DNS yet), `conflict` (refused) or `unknown`."""

    fqdn: str
    domain: str
    ipv4: str | list[str] | Sentinel | None = None
    ipv6: str | list[str] | Sentinel | None = None
    wildcard: bool = False
    comment: str | None = None
    ttl: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    stack: str | None = None
    owner: str | None = None
    available: bool = True
    dns: str = "unknown"
    conflict: str | None = None
    own: bool = True
    """Whether the caller owns it. An administrator's token sees hosts of all users."""
    records: Mapping[str, Any] | Sentinel = UNKNOWN
    """RRsets in addition to its addresses, by key."""
    alias: str | None = None
    related: Mapping[str, str] | Sentinel = UNKNOWN
    """Interface ids of its related names, by label."""
    protect: bool = False
    ptr: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """All other fields that the server sends, for information only."""


@dataclass(frozen=True)
class Domain:
    """A registered domain."""

    name: str
    public: bool = False
    comment: str | None = None
    ttl: int | None = None
    group: str | None = None
    available: bool = True
    dns_updates: bool = True
    stack: str | None = None
    owner: str | None = None
    own: bool = True
    primary: str | None = None
    key: Mapping[str, str] | None = None
    """Name, algorithm and fingerprint, for administrators, of a zone that the service did not create."""
    dnssec_policy: str | None = None
    gss_realm: str | None = None
    gss_hosts: bool = False
    network: str | None = None
    reverse: str = "off"
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Key:
    """A registered key of the caller. Several may have the same name."""

    name: str
    login: str
    hosts: tuple[str, ...] = ()
    stack: str | None = None


@dataclass(frozen=True)
class RegisteredStack:
    """The rules of a registered stack, as in `Declaration`."""

    protect: bool = False
    gives: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registered:
    """Hosts and domains of a server, by full name."""

    hosts: Mapping[str, Host] = field(default_factory=dict)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    user: str = ""
    """The caller, if the server tells other users' hosts."""
    keys: tuple[Key, ...] = ()
    """The caller's keys, if they were read; see `scope`."""
    stacks: Mapping[str, RegisteredStack] = field(default_factory=dict)
    """The stacks that a plan is about, by name, if their rules matter to it."""


@dataclass(frozen=True)
class Capabilities:
    """What a server can do."""

    server: str
    """A name for messages, such as `ddnsd 0.1.0` or `EGI Dynamic DNS`."""
    fields: frozenset[str] = frozenset(HOST_FIELDS)
    """Fields of a host that it stores."""
    edits: frozenset[str] = frozenset(HOST_FIELDS) | {"fqdn", "owner"}
    """Fields that it changes in place, without a new secret; `fqdn`: it renames hosts; `owner`: with a new secret."""
    several: bool = True
    """It stores several addresses of a family."""
    clears: bool = True
    """It removes a single address in place."""
    own_address: bool = False
    """It registers a host without an address with the address of the machine that runs this program."""
    bulk: bool = True
    """It takes many changes in one call."""
    replays: bool = True
    """It answers a repeated call with the same key as the first one, including secrets."""
    domains: bool = True
    """It creates, edits and deletes domains."""
    keys: bool = True
    """It has keys for groups of hosts."""
    verifies: bool = True
    """It checks whether a secret is valid."""
    checks: bool = True
    """It tells which changes it would refuse."""
    enrols: bool = True
    """It makes tokens with which a machine sets its own secret."""
    stacks: bool = True
    """It has stacks as objects: with leases, protection, and other names."""
    certificates: bool = True
    """It issues certificates."""
