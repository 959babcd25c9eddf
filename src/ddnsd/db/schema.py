# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables. Times are microseconds since the epoch, UTC; addresses are canonical text.

`hosts` holds the desired state: `version` counts the changes of the row, `claimed` says that the name in the zone is
ours. `pending` lists the hosts whose current row DNS is not known to have. It is a separate table, so that a change
touches no index of `hosts`, which is faster on PostgreSQL.

Storage options are only in the migrations: an option of one database here would load SQLAlchemy's dialect of it for
every command.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

REVERSED = String(253).with_variant(String(253, collation="C"), "postgresql")
"""A name with its labels in reverse order. All names below it are a range of the index, on PostgreSQL by octets."""

IPV4, IPV6 = (String(length).with_variant(String(640), "postgresql") for length in (15, 39))
"""The addresses of one family, separated by blanks. SQLite does not check lengths."""

Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True)


def _ref(name: str, target: str, *, index: bool = True) -> Column[int]:
    return Column(name, Id, ForeignKey(target, ondelete="CASCADE"), nullable=False, index=index)


def _flag(name: str, default: bool) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=true() if default else false())


def _count(name: str, default: int = 0) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text(str(default)))


def _reversed_index() -> Index:
    filled = text("reversed_name IS NOT NULL")
    return Index(None, "reversed_name", "owner_id", sqlite_where=filled, postgresql_where=filled)


def _xid_index(table: str) -> Index:
    filled = text("xid IS NOT NULL")
    return Index(f"ix_{table}_xid", "xid", sqlite_where=filled, postgresql_where=filled)


REVERSE_NAMES = text("reverse_of IS NOT NULL")
"""The rows of `hosts` that are reverse names."""

users = Table(
    "users",
    metadata,
    _id(),
    Column("name", String(150), nullable=False, unique=True),
    _flag("admin", False),
    _flag("active", True),
    Column("admin_by", BigInteger),  # the identity whose claim makes the user an administrator
    _flag("withdrawn", False),  # disabled, and the records of their hosts are removed from DNS
    Column("suspension_reason", String(255)),  # why they are disabled; shown to them
    Column("created", BigInteger, nullable=False),
)

# Identities of users at OpenID Connect providers.
identities = Table(
    "identities",
    metadata,
    _id(),
    _ref("user_id", "users.id"),
    Column("issuer", String(255), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("label", String(255), nullable=False, server_default=""),  # the user's name at the provider
    Column("created", BigInteger, nullable=False),
    Column("last_used", BigInteger, nullable=False),
    Column("claims_at", BigInteger, nullable=False, server_default=text("0")),  # when the provider last stated groups
    UniqueConstraint("issuer", "subject"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "identity_id", BigInteger, primary_key=True
    ),  # the identity whose claim gives the group; 0: an administrator
    Column("group", String(255), primary_key=True, index=True),
)

passwords = Table(
    "passwords",
    metadata,
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("hash", String(255), nullable=False),  # Argon2id hash in its own format
    Column("changed", BigInteger, nullable=False),
)

# Authenticator apps of users, at most one each.
totp = Table(
    "totp",
    metadata,
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("sealed", Text, nullable=False),  # the seed, encrypted with a key that is not in the database
    Column("last_step", BigInteger, nullable=False),  # of the last code: earlier ones, and this one, are refused
    Column("created", BigInteger, nullable=False),
)

# Recovery codes that were not used.
recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("hash", LargeBinary(32), primary_key=True),
)

# Passkeys of users.
passkeys = Table(
    "passkeys",
    metadata,
    _id(),
    _ref("user_id", "users.id"),
    Column("credential_id", LargeBinary(1023), nullable=False, unique=True),  # random, made by the authenticator
    Column("public_key", LargeBinary, nullable=False),  # in the form of COSE
    Column("sign_count", BigInteger, nullable=False),  # that the authenticator stated last
    Column("name", String(100), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("last_used", BigInteger),
)

# Challenges of passkeys that were used, so that nobody can use them again.
passkey_challenges = Table(
    "passkey_challenges",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("at", BigInteger, nullable=False),
)

# Sessions of browsers.
sessions = Table(
    "sessions",
    metadata,
    _id(),
    _ref("user_id", "users.id"),
    Column("hash", LargeBinary(32), nullable=False, unique=True),  # of the cookie's value
    Column("method", String(30), nullable=False),  # a provider's name, or as in auth.sessions; "" for a password
    Column("source", String(45)),
    Column("agent", String(200), nullable=False),
    Column("authenticated", BigInteger, nullable=False, server_default=text("0")),  # when the user proved who they are
    Column("subject", String(255), index=True),  # the user at the provider,
    Column("sid", String(255)),  # and their session there
    Column("created", BigInteger, nullable=False, index=True),
    Column("last_seen", BigInteger, nullable=False, index=True),
)

# Logout tokens of providers that were used, so that nobody can use them again.
logout_tokens = Table(
    "logout_tokens",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),  # of the provider's name and the token's id
    Column("at", BigInteger, nullable=False),
)

# New secrets that a page shows once, encrypted with a key that only the browser has.
one_time_secrets = Table(
    "one_time_secrets",
    metadata,
    Column("session_id", Id, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("number", String(64), primary_key=True),  # of the form
    Column("sealed", Text),  # NULL after it was shown
    _flag("ready", False),  # the secret works
    Column("created", BigInteger, nullable=False, index=True),
)

tokens = Table(
    "tokens",
    metadata,
    _id(),
    _ref("user_id", "users.id"),
    Column("name", String(100), nullable=False),
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),  # blank-separated: read write admin
    Column("domains", Text, nullable=False, server_default=""),  # blank-separated patterns; empty: all
    Column("hosts", Text, nullable=False, server_default=""),
    Column("stacks", Text, nullable=False, server_default=""),
    Column("networks", Text, nullable=False, server_default=""),
    Column("expires", BigInteger),
    Column("parent_id", Id, ForeignKey("tokens.id", ondelete="CASCADE"), index=True),  # the token that created it
    Column("created", BigInteger, nullable=False),
    Column("last_used", BigInteger),
    UniqueConstraint("user_id", "name"),
)

domains = Table(
    "domains",
    metadata,
    _id(),
    _ref("owner_id", "users.id"),
    Column("name", String(253), nullable=False, unique=True),
    _flag("public", False),
    _flag("available", True),
    Column("comment", String(255)),
    Column("ttl", Integer),
    Column("primary", String(260), nullable=False),
    Column("key_name", String(253), nullable=False),
    Column("key_algorithm", String(30), nullable=False),
    Column("key_secret", Text, nullable=False),  # TSIG needs it in clear
    _flag("query_credentials", False),
    _flag("private_addresses", True),
    _flag("dns_updates", True),  # takes updates at the port for DNS UPDATE
    Column("group", String(255)),  # whose members may register hosts
    Column("stack", String(63)),
    _flag("provisioned", False),  # the zone is on the BIND that the service controls
    Column("dnssec_policy", String(63)),  # BIND signs it with this policy
    Column("gss_realm", String(255)),  # the Kerberos realm whose members write their own addresses
    _flag("gss_hosts", False),  # hosts can be registered beside those members
    Column("network", String(43)),  # the addresses whose names are in a reverse zone, if its name does not say it
    Column("reverse", String(8), nullable=False, server_default=text("'off'")),  # off verified all
    Column("created", BigInteger, nullable=False),
    _count("generation", 1),  # increases when the primary or the key changes
    Column("frozen_since", BigInteger),  # for maintenance: nothing is sent to the zone
    Column("frozen_reason", String(255)),  # shown to people
    _flag("inline_signing", False),  # the primary answers from a signed copy of the zone, later than it acknowledges
    Column("reversed_name", REVERSED),
    _reversed_index(),
)

# Domain requests of users, with the decisions.
domain_requests = Table(
    "domain_requests",
    metadata,
    _id(),
    _ref("user_id", "users.id"),
    Column("name", String(253), nullable=False, index=True),
    _flag("public", False),
    Column("reason", String(1000), nullable=False),
    Column("state", String(10), nullable=False),  # open approved declined withdrawn
    Column("answer", String(1000)),
    Column("decided_by", String(150)),
    Column("decided", BigInteger),
    Column("created", BigInteger, nullable=False),
)

# Reports of abuse by people without an account, with the decisions.
abuse_reports = Table(
    "abuse_reports",
    metadata,
    _id(),
    Column("name", String(253), nullable=False),  # as the reporter gave it: the host's, or one below it
    Column("fqdn", String(253), nullable=False),  # the host at that time
    Column("host_id", Id, nullable=False),  # no foreign key: the report stays when the host is deleted
    Column("kind", String(10), nullable=False),  # phishing malware spam attack other
    Column("text", Text, nullable=False),
    Column("contact", String(255)),  # of the reporter
    Column("source", String(45)),  # the reporter's address
    Column("state", String(12), nullable=False, index=True),  # open blocked quarantined dismissed
    Column("reason", String(255)),  # of a block
    Column("reply", Text),  # to the reporter; an administrator sends it
    Column("decided_by", String(150)),
    Column("decided", BigInteger),
    Column("created", BigInteger, nullable=False),
)

hosts = Table(
    "hosts",
    metadata,
    _id(),
    _ref("domain_id", "domains.id", index=False),
    _ref("owner_id", "users.id", index=False),
    Column("fqdn", String(253), nullable=False, unique=True),
    Column("name", String(253), nullable=False, index=True),
    Column("secret_hash", LargeBinary(32), nullable=False, index=True),
    Column("comment", String(255)),
    _flag("wildcard", False),
    Column("ttl", Integer),
    _flag("available", True),
    _flag("abuse", False),
    _flag("abuse_blocked", False),
    Column("block_reason", String(255)),  # shown to the owner
    _flag("blocked_by_domain", False),  # the owner of its domain has blocked it, and may unblock it
    Column("quarantine_ipv4", String(15)),  # while it is blocked: the addresses of the operator in DNS
    Column("quarantine_ipv6", String(39)),
    _count("client_faults"),
    _count("server_faults"),
    Column("ipv4", IPV4),
    Column("ipv6", IPV6),
    Column("prefix", String(43)),  # the IPv6 network that related hosts share
    Column("interface_id", String(39)),  # the last IPv6 address sent; its low bits stay while the prefix changes
    Column("inferred", String(4)),  # the family, ipv4 or ipv6, that registration took from the caller
    Column("updated_ipv4", BigInteger),
    _flag("tls_ipv4", False),
    Column("updated_ipv6", BigInteger),
    _flag("tls_ipv6", False),
    _count("version", 1),
    _flag("claimed", False),
    Column("conflict", String(255)),  # the foreign record that has the name or hides it, as in dns/conflicts.py
    _flag("has_rrsets", False),  # saves a query, because most hosts have none
    Column("alias", String(255)),  # the target of its CNAME record, with the last dot; it then has nothing else
    _flag("aliased", False),  # a CNAME record of ours may be at its name: of `alias`, or of a former one
    Column("stack", String(63)),  # the declaration that owns the host
    _flag("protect", False),  # it cannot be deleted
    Column("labels", Text, nullable=False, server_default="{}"),  # JSON, string to string
    _flag("ptr", False),  # it wants the reverse names of its addresses
    Column("proved_ipv4", IPV4),  # the last address that an update set from there, or an owner of the reverse zone
    Column("proved_ipv6", IPV6),
    Column("reverse_of", String(39)),  # of a reverse name, which is a row of the service: its address
    Column("created", BigInteger, nullable=False),
    Column("reversed_name", REVERSED),  # of the full name; only if it has several labels within the domain, as few have
    Index("ix_hosts_owner_id", "owner_id", "fqdn"),
    Index("ix_hosts_owner_id_domain_id", "owner_id", "domain_id", "name"),
    Index("ix_hosts_owner_id_id", "owner_id", "id"),
    Index("ix_hosts_domain_id", "domain_id", "id"),
    Index("ix_hosts_stack", "stack", "id"),
    Index("ix_hosts_reverse_of", "reverse_of", sqlite_where=REVERSE_NAMES, postgresql_where=REVERSE_NAMES),
    _reversed_index(),
)

# The addresses whose reverse names hosts want, in this order. No foreign key: rows of a deleted host say what is left
# to remove.
pointers = Table(
    "pointers",
    metadata,
    _id(),
    Column("host_id", Id, nullable=False),
    Column("address", String(39), nullable=False, index=True),
    UniqueConstraint("host_id", "address"),
)

# Changed hosts, written with the change: their pointers are to be computed again.
pointer_marks = Table(
    "pointer_marks",
    metadata,
    _id(),
    Column("host_id", Id, nullable=False),
)

# Reverse zones have changed, so all pointers are looked at again: those with ids above `after_id` are still to come.
pointer_pass = Table(
    "pointer_pass",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("after_id", Id, nullable=False),
)

pending = Table(
    "pending",
    metadata,
    # no foreign key, because it would be checked with every change; rows of deleted hosts are ignored
    Column("host_id", Id, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("since", BigInteger, nullable=False),
)

# Service processes on PostgreSQL. A node that has not renewed its row for some seconds is gone.
nodes = Table(
    "nodes",
    metadata,
    Column("node", String(100), primary_key=True),
    Column("expires", BigInteger, nullable=False),
)

# The node that alone sends the changes of a zone, until `expires`. Each new owner has a higher epoch.
zone_leases = Table(
    "zone_leases",
    metadata,
    Column("domain_id", Id, ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("node", String(100), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

# Domains with a new TTL, whose hosts are all sent again: those with ids above `after_id` are not marked as pending yet.
resends = Table(
    "resends",
    metadata,
    Column("domain_id", Id, ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("after_id", Id, nullable=False),
)

# Second primaries of domains: the one that a domain moves to (new), or its former one, kept up to date (old).
mirrors = Table(
    "mirrors",
    metadata,
    Column("domain_id", Id, ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("primary", String(260), nullable=False),
    Column("key_name", String(253), nullable=False),
    Column("key_algorithm", String(30), nullable=False),
    Column("key_secret", Text, nullable=False),
    Column("role", String(3), nullable=False),  # new old
    Column("since", BigInteger, nullable=False),  # when it got this role; another time is another move
    Column("seen", BigInteger),  # the last report of the service
    Column("waiting", Integer),  # hosts that it does not have; NULL before the first comparison
    Column("problem", Text),
)

# Names and RRsets at second primaries that are known to be ours, as `claimed` says it of the primary in use.
mirror_places = Table(
    "mirror_places",
    metadata,
    Column("domain_id", Id, ForeignKey("mirrors.domain_id", ondelete="CASCADE"), primary_key=True),
    Column("fqdn", String(253), primary_key=True),
    Column("rtype", String(10), primary_key=True),  # of an RRset; "": addresses
)

# Stacks that are protected, were applied with a lease, or have one. Others exist by the name in their hosts alone.
stacks = Table(
    "stacks",
    metadata,
    _id(),
    _ref("owner_id", "users.id", index=False),
    Column("name", String(63), nullable=False),
    _flag("protect", False),  # no host is deleted, or taken over by another stack
    Column("gives", Text, nullable=False, server_default="{}"),  # JSON: hosts to the stacks that may take them
    Column("applied", BigInteger),  # the last call with a lease that changed hosts
    Column("applied_by", String(300)),
    Column("applied_commit", String(255)),
    Column("lease", String(43)),  # its id, which is secret
    Column("lease_holder", String(300)),  # shown to others
    Column("lease_commit", String(255)),
    Column("lease_since", BigInteger),
    Column("lease_expires", BigInteger),
    UniqueConstraint("owner_id", "name"),
)

related = Table(
    "related",
    metadata,
    _id(),
    _ref("host_id", "hosts.id"),
    Column("fqdn", String(253), nullable=False, unique=True),
    Column("interface_id", String(39), nullable=False),
)

# RRsets of hosts.
rrsets = Table(
    "rrsets",
    metadata,
    _id(),
    _ref("host_id", "hosts.id", index=False),
    Column("prefix", String(253), nullable=False),  # labels below the host, the last of underscore; "": at its name
    Column("rtype", String(10), nullable=False),
    Column("ttl", Integer),
    Column("data", Text, nullable=False),  # values in presentation format, one per line
    _flag("claimed", False),  # as of a host
    Column("conflict", String(255)),  # as of a host
    UniqueConstraint("host_id", "prefix", "rtype"),
)

keys = Table(
    "keys",
    metadata,
    _id(),
    _ref("owner_id", "users.id"),
    Column("login", String(40), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False, index=True),
    Column("created", BigInteger, nullable=False),
    Column("stack", String(63)),  # the declaration that it belongs to
)

tsig_secrets = Table(
    "tsig_secrets",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),  # the stored hash of the same secret
    Column("sealed", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

accepted_updates = Table(  # DNS UPDATE messages: the same one again changes nothing
    "accepted_updates",
    metadata,
    Column("mac", LargeBinary(64), primary_key=True),
    Column("rcode", Integer, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
)

# TSIG keys with which DHCP servers change names that are nobody's host.
dhcp_keys = Table(
    "dhcp_keys",
    metadata,
    _id(),
    Column("name", String(63), nullable=False, unique=True),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("created_by", String(150), nullable=False),
    Column("created", BigInteger, nullable=False),
)

dhcp_key_domains = Table(
    "dhcp_key_domains",
    metadata,
    Column("key_id", Id, ForeignKey("dhcp_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("domain_id", Id, ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True, index=True),
)

# Devices whose passwords follow from a fleet key and their MAC addresses.
fleets = Table(
    "fleets",
    metadata,
    _id(),
    Column("name", String(63), nullable=False, unique=True),
    _ref("owner_id", "users.id"),  # of the hosts of its devices
    _ref("domain_id", "domains.id"),
    Column("pattern", String(100), nullable=False),  # of hosts' names in the domain, with {mac}
    Column("quota", Integer, nullable=False),  # maximum number of devices, without revoked ones
    Column("created", BigInteger, nullable=False),
)

# Encrypted fleet keys; after a rotation the former one may be accepted for a while.
fleet_keys = Table(
    "fleet_keys",
    metadata,
    _id(),
    _ref("fleet_id", "fleets.id"),
    Column("sealed", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("until", BigInteger),  # NULL: the current key
)

# Devices that have signed in or are revoked.
fleet_devices = Table(
    "fleet_devices",
    metadata,
    Column("login", String(40), primary_key=True),  # f-ID.MAC
    _ref("fleet_id", "fleets.id", index=False),
    Column("host_id", Id, ForeignKey("hosts.id", ondelete="SET NULL"), index=True),
    Column("created", BigInteger, nullable=False),
    Column("revoked", BigInteger),
    Column("last_time", BigInteger),  # of its last signed request, in seconds since the epoch by its own clock
    Index("ix_fleet_devices_fleet_id", "fleet_id", "login"),
)

key_hosts = Table(
    "key_hosts",
    metadata,
    Column("key_id", Id, ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("host_id", Id, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True, index=True),
)

# Orders of certificates for hosts; no foreign key of the host: they count for the budget after it was deleted.
certificates = Table(
    "certificates",
    metadata,
    _id(),
    Column("host_id", Id, nullable=False),
    _ref("domain_id", "domains.id", index=False),
    Column("fqdn", String(253), nullable=False),  # the host's name at that time
    Column("names", Text, nullable=False),  # blank-separated: the names in the certificate
    Column("csr_hash", LargeBinary(32), nullable=False),  # SHA-256 of the request
    Column("requested_by", String(255), nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),  # an order that has not ended by then was lost in a crash
    Column("ended", BigInteger),
    Column("problem", Text),  # why there is no certificate
    Column("chain", Text),  # PEM, the host's own certificate first
    Column("not_before", BigInteger),
    Column("not_after", BigInteger),
    Index("ix_certificates_fqdn", "fqdn", "started"),
    Index("ix_certificates_domain_id", "domain_id", "started"),
    Index("ix_certificates_started", "started"),
)

# Enrolment tokens: a machine sets its host's secret, once; a host has at most one.
enrolments = Table(
    "enrolments",
    metadata,
    Column("host_id", Id, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    _ref("user_id", "users.id"),  # who created it
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("replaces", LargeBinary(32), nullable=False),  # hash of the host's secret when the token was created
    Column("expires", BigInteger, nullable=False, index=True),
    _flag("used", False),
)

# Values of TXT records at `_acme-challenge` below hosts that ACME clients have left there, until they remove them.
acme_challenges = Table(
    "acme_challenges",
    metadata,
    Column("host_id", Id, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("value", String(255), primary_key=True),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
)

# Names and RRsets to remove from the zone. Finished removals are kept, because a name server that is restored from an
# older journal brings the records back.
removals = Table(
    "removals",
    metadata,
    _id(),
    _ref("domain_id", "domains.id", index=False),
    Column("fqdn", String(253), nullable=False, index=True),
    Column("ipv4", IPV4),
    Column("ipv6", IPV6),
    Column("alias", String(255)),  # with it, a CNAME record is removed, too
    Column("rtype", String(10)),  # of an RRset; NULL: addresses
    Column("data", Text),  # its values
    _flag("exact", False),  # remove only these values: the name may not be ours
    Column("dirty_since", BigInteger),
    Column("created", BigInteger, nullable=False),
    Index("ix_removals_domain_id", "domain_id", "fqdn"),
    Index("ix_removals_dirty", "dirty_since"),  # these two only of pending removals, see the migrations
    Index("ix_removals_pending", "domain_id", "id"),
)

# Refused by the name server: exactly one of a host, an RRset and a removal. It is retried later.
set_aside = Table(
    "set_aside",
    metadata,
    _id(),
    _ref("domain_id", "domains.id"),
    Column("host_id", Id, ForeignKey("hosts.id", ondelete="CASCADE"), unique=True),
    Column("rrset_id", Id, ForeignKey("rrsets.id", ondelete="CASCADE"), unique=True),
    Column("removal_id", Id, ForeignKey("removals.id", ondelete="CASCADE"), unique=True),
    Column("name", String(300), nullable=False),  # for operators: a full name, and an RRset's type
    Column("reason", Text, nullable=False),
    _flag("held", False),  # a foreign record has the name; this concerns the owner, not the operator
    _flag("skipped", False),  # by an operator: not retried, and no fault
    Column("since", BigInteger, nullable=False),
    _count("tries"),
    Column("retry_at", BigInteger, nullable=False, index=True),
)

events = Table(
    "events",
    metadata,
    _id(),
    Column("at", BigInteger, nullable=False, index=True),
    Column("actor", String(255), nullable=False),
    Column("action", String(50), nullable=False),
    Column("object", String(255), nullable=False, index=True),
    Column("owner_id", Id),  # who may read it, as administrators may: the owner at that time
    Column("source", String(45)),
    Column("detail", Text),
    Column("xid", BigInteger),  # as of `history`
    Index("ix_events_owner_id", "owner_id", "id"),
    _xid_index("events"),
)

# Histories of hosts; no foreign key, as in `pending`.
history = Table(
    "history",
    metadata,
    _id(),
    Column("host_id", Id, nullable=False),
    Column("owner_id", Id, nullable=False),  # who may read it, as administrators may: the owner at that time
    Column("at", BigInteger, nullable=False),
    Column("kind", String(10), nullable=False),  # register update edit secret block unblock flag …
    Column("before", Text),  # JSON: the former values of changed fields
    Column("after", Text),
    Column("note", String(255)),
    Column("actor", String(255), nullable=False),
    Column("via", String(10), nullable=False),  # the credentials: host key token user enrolment service
    Column("via_name", String(150)),  # of the key or token
    Column("source", String(45)),
    Column("agent", String(120)),
    Column("xid", BigInteger),  # on PostgreSQL, by default: the transaction that wrote it; see db/outbox.py
    Index("ix_history_host_id", "host_id", "id"),
    _xid_index("history"),
)

# Webhooks: where their owners get messages about changes.
webhooks = Table(
    "webhooks",
    metadata,
    _id(),
    _ref("user_id", "users.id"),
    Column("name", String(100), nullable=False),
    Column("url", String(2000), nullable=False),
    Column("types", Text, nullable=False),  # blank-separated
    Column("domains", Text, nullable=False, server_default=""),  # blank-separated names; empty: all
    Column("hosts", Text, nullable=False, server_default=""),  # blank-separated patterns; empty: all
    _flag("all_owners", False),  # also about hosts of other users, while the owner is an administrator
    Column("silent_days", Integer, nullable=False),  # after so many days without a request, a host is silent
    Column("silent_until", BigInteger, nullable=False),  # hosts with a last request before this are known to be silent
    Column("sealed", Text, nullable=False),  # the secret, encrypted with a key that is not in the database
    Column("former_sealed", Text),  # the one before, until `former_until`
    Column("former_until", BigInteger),
    _flag("active", True),
    Column("stopped", String(255)),  # why the service has switched it off
    _count("failures"),  # since the last success
    Column("next_attempt", BigInteger, nullable=False, server_default=text("0")),
    Column("problem", Text),  # of the last attempt
    Column("last_success", BigInteger),
    Column("created", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# How far each webhook has read history and events; `from_xid` and `to_xid` on PostgreSQL only. See db/outbox.py.
webhook_cursors = Table(
    "webhook_cursors",
    metadata,
    Column("webhook_id", Id, ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True),
    Column("source", String(10), primary_key=True),  # history events
    Column("after_id", BigInteger, nullable=False),
    Column("from_xid", BigInteger),
    Column("to_xid", BigInteger),
)

_OPEN = text("ended IS NULL")
_WAITS = text("ended IS NULL AND due IS NULL")

# Messages of webhooks, from when they were read until some time after they were delivered.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    _id(),
    _ref("webhook_id", "webhooks.id", index=False),
    Column("message_id", String(40), nullable=False),  # the same one at each attempt
    Column("type", String(40), nullable=False),
    Column("subject", String(300), nullable=False),  # messages of one subject are delivered in order
    Column("fqdn", String(253)),  # of a host whose change must be in DNS first
    Column("body", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("due", BigInteger),  # since when it may be delivered; NULL: it waits for DNS
    Column("next_attempt", BigInteger, nullable=False, server_default=text("0")),
    _count("tries"),
    Column("status", Integer),  # of the last answer
    Column("problem", Text),  # of the last attempt, or why there are no more
    Column("ended", BigInteger),
    _flag("delivered", False),
    Index("ix_webhook_deliveries_webhook_id", "webhook_id", "id"),
    Index("ix_webhook_deliveries_open", "webhook_id", "subject", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("ix_webhook_deliveries_waiting", "id", sqlite_where=_WAITS, postgresql_where=_WAITS),
    sqlite_autoincrement=True,
)

# The node that sends the messages of webhooks, on PostgreSQL, until `expires`.
webhook_sender = Table(
    "webhook_sender",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("node", String(100), nullable=False),
    Column("expires", BigInteger, nullable=False),
)

# Hosts whose addresses alternate because several clients update them: since when, and when this was seen last.
flapping = Table(
    "flapping",
    metadata,
    Column("host_id", Id, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("since", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
)

# The last request for each host, written some seconds later.
contacts = Table(
    "contacts",
    metadata,
    Column("host_id", Id, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("source", String(45)),
    Column("agent", String(120)),
    Column("word", String(20), nullable=False),  # the answer
    _flag("tls", False),
)

# Deny entries of administrators.
denials = Table(
    "denials",
    metadata,
    _id(),
    Column("kind", String(8), nullable=False),  # network agent name
    Column("value", String(255), nullable=False),
    Column("comment", String(255)),
    Column("created_by", String(150), nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("kind", "value"),
)

# Answers to calls with an Idempotency-Key, without secrets.
answers = Table(
    "answers",
    metadata,
    Column("key_hash", LargeBinary(32), primary_key=True),  # of the caller and the key
    Column("body_hash", LargeBinary(32), nullable=False),
    Column("answer", Text, nullable=False),
    Column("created", BigInteger, nullable=False, index=True),
    Column("user_id", Id, index=True),  # the caller
    _count("size"),  # characters of the answer, rounded up if it is short
    Column("stack", String(63)),  # of the lease that the call carried
    Column("key", String(255)),  # of such a call, so that a later run can get its answer
)

# Quotas that differ from the settings: of a user, a group or a domain; of everybody if all three are NULL. 0: no limit.
quotas = Table(
    "quotas",
    metadata,
    _id(),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE")),
    Column("group", String(255)),
    Column("domain_id", Id, ForeignKey("domains.id", ondelete="CASCADE")),
    Column("name", String(30), nullable=False),
    Column("limit", Integer, nullable=False),
    UniqueConstraint("user_id", "name"),
    UniqueConstraint("group", "name"),
    UniqueConstraint("domain_id", "name"),
)

# One row per process that has checked whether the database accepts writes.
write_checks = Table(
    "write_checks",
    metadata,
    Column("node", String(32), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("filler", LargeBinary, nullable=False),
)
