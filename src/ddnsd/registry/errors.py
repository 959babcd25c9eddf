# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the registry: codes with parameters. API, portal and commands render them.

RegistryError
  InvalidAddress      an address that does not parse or that no host may have
  UnknownPeer         the caller's own address is not known: the fault of the front, not of the caller
  DeniedAddress       an address on the operator's deny list
  NoRequest           unknown, or not the caller's
  NoDenial            no deny list has an entry of that id or value
  NoDomain            unknown, not usable by the caller, or not available: one answer for all three
  NoHost              unknown, or not the caller's
  NoCredential        a token, key or fleet that is unknown, or not visible to the caller
  NoWebhook           a webhook that is unknown, or not the caller's
  NoUser              no user of that name
  NoStack             no stack of the caller has the name
  NoFactor            the user has no second factor
  NotPermitted        the caller can see it, but may not do this
  NotEnrolled         an enrolment token that is unknown, expired, used or replaced: one answer for all four
  NotAdmitted         an identity of a provider without an active user here
  Blocked             blocked for abuse
  Invalid             fields with their reasons; `__all__` for all fields together
    Taken             the name is in use, in the registry or in the zone
  Stale               it has changed since the caller read it
    Differs           a field does not have the value that the caller expects
  OtherFailed         another change of the atomic call failed
  OverQuota           the owner has as much as the operator allows
  KeyReused           an Idempotency-Key was used with another body
  NotEmpty            something still depends on it
  Protected           the stack of the host is protected, or (HostProtected) the host itself, or (NotGiven) the
                      stack does not give the host to another one
  Leased              somebody applies the stack
  LeaseLost           the lease has expired, or was taken away
  NoBind              a zone would be created, but the service controls no BIND
  CertificateBusy     a certificate for the host is being issued for another request
NoCertificate       the host has no certificate
NotIssued           the authority, or a record in DNS, does not allow the certificate
  AuthorityDown     the authority could not issue it now, or the service has none
NotPublished        the name server did not answer
    HostRefused       the name server refused the new host
    Unconfirmed       it did not confirm the change, which is kept and sent again
      Held            a foreign record has the name; the change is sent again after that is gone

Errors of the database. Web imports them from here:

StoreDown           the database cannot be used now; nothing is changed
  OutcomeUnknown    the connection was lost during the commit; the change may be stored
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, ClassVar, Union

from ddnsd.db.base import OutcomeUnknown as OutcomeUnknown
from ddnsd.db.base import StoreDown as StoreDown
from ddnsd.db.stacks import Lease
from ddnsd.dns.conflicts import Obstacle


@unique
class Code(Enum):
    """What is wrong. The value is the English message for the API, the commands and the log, with parameters."""

    # names
    NAME_MISSING = "Enter a name."
    NAME_TOO_LONG = "A full name has at most %(limit)s characters."
    NAME_WITHOUT_DOMAIN = "Enter a full name, with its domain."
    NAME_INVALID = "%(name)r is not a full name such as www.example.org."
    NAME_RESERVED = "This name is reserved."
    NAME_IS_REVERSE = "%(domain)s is a zone for reverse lookups. No host can be registered there."
    NAME_OF_MEMBERS = (
        "Names in %(domain)s are left to members of the Kerberos realm %(realm)s. No host can be registered there."
    )
    NAME_DENIED = "The operator of this service does not allow this name."
    NAME_TAKEN = "Host with this name and domain already exists."
    NAME_UNAVAILABLE = "The name cannot be used: %(obstacle)s."
    NAME_BELOW_FOREIGN_HOST = "This name is below a host of another user."
    NAME_ABOVE_FOREIGN_HOST = "This name is above a host of another user."
    NAME_IN_OTHER_DOMAIN = "This name is in the domain %(domain)s."
    NAME_IN_NO_DOMAIN = "The name is not in a domain that you may use."
    LABEL_EMPTY = "A label is empty."
    LABEL_TOO_LONG = "A label has at most %(limit)s characters."
    LABEL_CHARACTERS = "A label contains only letters, digits and hyphens. It begins and ends with a letter or a digit."
    NAME_BELOW_TOO_LONG = (
        "With %(prefix)s before it, the name has %(length)s characters. At most %(limit)s are allowed."
    )

    # warnings
    NAME_UNANSWERED = (
        "The wildcard *.%(host)s does not answer for %(name)s and names below it, because %(below)s is registered. "
        "If %(name)s needs an address, register it too."
    )

    # fields of a host
    ADDRESS_INVALID = "Invalid IP address: %(address)s"
    ADDRESS_UNUSABLE = "A host cannot have the address %(address)s."
    ADDRESS_OF_OTHER_FAMILY = "%(address)r is not a single IPv%(version)s address."
    ADDRESS_NOT_ACCEPTED = "%(address)s is not accepted in this domain."
    ADDRESS_COUNT = "Give 1 to %(limit)s addresses."
    ALIAS_ALONE = (
        "An alias has no addresses, no wildcard, no records and no related names. Remove them in the same change, or "
        "remove the alias."
    )
    ALIAS_ITSELF = "A host cannot be an alias of itself."
    ADDRESS_DENIED = "The operator of this service does not allow this address."
    PEER_UNKNOWN = "The address of the caller is unknown, because the reverse proxy does not send it."
    TEXT_TOO_LONG = "Ensure this value has at most %(limit)s characters."
    TEXT_LENGTH = "Enter a text of 1 to %(limit)s characters."
    NOT_PRINTABLE = "Enter only printable characters."
    TTL_OUT_OF_RANGE = "Enter a TTL from %(least)s to %(most)s seconds."
    NOT_A_CHOICE = "Choose one of %(choices)s."
    LIST_EMPTY = "Give at least one entry."
    LIST_TOO_LONG = "Give at most %(limit)s entries."
    SECRETS_WITHOUT_OWNER = "You can keep or replace secrets only when you change the owner."
    REASON_WITHOUT_BLOCK = "You can give a reason only for a host that is blocked."
    QUARANTINE_WITHOUT_BLOCK = "A host in quarantine is blocked. Remove the quarantine with the block."
    QUARANTINE_WITHOUT_ADDRESSES = "There are no addresses for quarantine. Set DDNSD_QUARANTINE_ADDRESSES."
    FIELD_CHANGED = "%(field)s is %(value)s now."

    # records and related names
    PREFIX_INVALID = (
        "%(name)r is not valid. Enter @, or labels of which the last one begins with an underscore, such as _443._tcp "
        "or sel._domainkey."
    )
    PREFIX_NOT_APEX = "%(rtype)s records are possible only at the host's own name: @."
    VALUE_COUNT = "Enter 1 to %(limit)s values."
    CHALLENGE_INVALID = "The value of an ACME challenge has 1 to 255 letters, digits, hyphens and underscores."
    VALUE_TOO_LONG = "A value has at most %(limit)s characters."
    VALUE_RELATIVE = "%(name)s is not a full name. End it with a dot: %(name)s."
    VALUE_STRING_TOO_LONG = (
        'A string has at most 255 octets. Split a longer text into several strings: "first" "second".'
    )
    VALUE_INVALID = "%(value)r is not a valid %(rtype)s value. Example: %(example)s"
    VALUES_REFUSED = "The name server refused these values: %(rcode)s."
    RECORDS_TWICE = "The RRset is named twice."
    RECORDS_WITH_RENAME = "Rename the host and change its records in two calls."
    RECORDS_TOO_MANY = "A host has at most %(limit)s sets of records."
    RECORDS_TOO_LARGE = "The host has too many records, or they are too long."
    RELATED_NOT_A_LABEL = "%(label)r is not a single label."
    RELATED_TAKEN = "%(name)s is taken."
    RELATED_WITH_RENAME = "Rename the host and change its related names in two calls."
    RELATED_TOO_MANY = "A host has at most %(limit)s related names."
    INTERFACE_ID_INVALID = "%(interface_id)r is not an interface id such as ::7."

    # users, groups, tokens, keys and identities
    USER_MISSING = "There is no user %(user)s."
    USER_EXISTS = "The user %(user)s already exists."
    USER_NAME_INVALID = "A user name has 1 to %(limit)s printable characters and no spaces."
    USER_NAME_RESERVED = "The name %(user)s is reserved."
    USER_INACTIVE = "%(user)s is disabled. Enable the user first."
    USER_OWNS = "%(user)s owns hosts or domains. Delete them first, or give them to another user."
    USER_NO_ADMINISTRATOR = "%(user)s is not an administrator."
    USER_OWNS_DOMAINS = (
        "%(user)s owns these domains: %(domains)s. Delete them first, or ask an administrator to give them to another "
        "user."
    )
    USER_HAS_BLOCKED_HOSTS = (
        "These hosts are blocked for abuse: %(hosts)s. Contact the operator of the service, who can delete the account."
    )
    LAST_ADMINISTRATOR = "You are the last active administrator. Make another user an administrator first."
    USER_NAME_NOT_CONFIRMED = "Repeat the name of your user to confirm that you want to delete it."
    USER_DELETES_SELF = "You cannot delete yourself here. Delete your account on its own page, or at /api/users/me."
    USER_DEMOTES_SELF = "You cannot change your own rights. Ask another administrator."
    REASON_OF_ACTIVE_USER = "You can give a reason only while the user is disabled."
    RECORDS_OF_ACTIVE_USER = "You can remove records only while the user is disabled."
    RIGHTS_END = (
        "Your tokens lose groups or administrator rights at %(at)s. Sign in to the portal with your identity provider "
        "before."
    )
    GROUP_INVALID = "A group name has 1 to %(limit)s printable characters."
    CREDENTIAL_EXISTS = "%(user)s already has a token named %(name)s."
    CREDENTIAL_IN_USE = "This would also delete the token of your request. Use another token."
    DOMAIN_MOVES = "%(domain)s is being moved to another primary. Finish or cancel that first."
    NAME_PATTERN_INVALID = "%(pattern)r is not a name or a pattern such as *.example.org."
    SCOPE_EXCEEDED = "You can give at most the rights of your own token: %(limit)s."
    SCOPE_ENDS_EARLIER = "Your own token expires earlier."
    EXPIRY_TOO_LATE = "The operator allows tokens for at most %(limit)s days."
    EXPIRY_INVALID = "%(value)r is not a time with a UTC offset, such as 2030-01-31T12:00:00Z."
    EXPIRY_PAST = "%(value)s is in the past."
    HOSTS_NOT_OWNED = "%(user)s has no such host: %(hosts)s."
    DHCP_KEY_NAME = "A name has 1 to 63 letters, digits and hyphens. It does not begin with k- or t-."
    DHCP_KEY_EXISTS = "There is a DHCP key named %(name)s."
    DHCP_KEYS_TOO_MANY = "%(domain)s has %(limit)s DHCP keys, which is the maximum. Remove one first."
    DHCP_KEYS_OFF = "This service has no port for DNS UPDATE, so DHCP keys cannot be used. Set DDNSD_UPDATE_LISTEN."
    DHCP_DOMAIN_NOT_OWNED = "You own no domain %(domain)s."
    FLEET_NAME = "A name has 1 to 63 letters, digits and hyphens. It begins and ends with a letter or a digit."
    FLEET_EXISTS = "There is a fleet named %(name)s."
    FLEET_PATTERN = "A pattern contains {mac} once, and is a host name with it, such as cam-{mac}."
    FLEET_DOMAIN = "No host can be registered in %(domain)s."
    FLEETS_OFF = "This service has no key to encrypt fleet keys, so there are no fleets. Set DDNSD_SECOND_FACTOR_KEY."
    MAC_INVALID = "%(mac)r is not a MAC address such as 00:11:22:aa:bb:cc."
    FACTOR_CODE_WRONG = "This is not the current code of the app. Check the clock of your telephone."
    FACTOR_FORM_INVALID = "The form is too old. Open the page again."
    FACTOR_MISSING = "There is no second factor."
    PASSKEY_INVALID = "Your browser's answer is not valid. Try again."
    PASSKEY_TAKEN = "This passkey is already in use."
    PASSKEYS_TOO_MANY = "You have %(limit)s passkeys, which is the maximum. Remove one first."
    PASSKEYS_OFF = "Passkeys cannot be used with this service."
    IDENTITY_MISSING = "There is no such identity."
    IDENTITY_TAKEN = "Another user signs in with this identity."
    IDENTITY_IS_LAST = "This is your only way to sign in. Add another one first."
    IDENTITY_UNKNOWN = "There is no user with this identity. Ask an administrator to add you."
    IDENTITY_INACTIVE = "The user is disabled. Ask an administrator."
    IDENTITY_SUSPENDED = "The user is suspended: %(reason)s"
    IDENTITY_NAME_TAKEN = "There are too many users named %(user)s. Ask an administrator to add you."
    ENROLMENT_INVALID = "The enrolment token is unknown or expired, was used with another secret, or was replaced."

    # domains and their zones
    DOMAIN_MISSING = "There is no domain %(domain)s."
    DOMAIN_EXISTS = "The domain %(domain)s already exists."
    DOMAIN_IN_USE = "%(domain)s is already in use here."
    DOMAIN_OF_OTHER_OWNER = "%(domain)s belongs to %(owner)s, not to %(user)s."
    DOMAIN_WITHOUT_DOT = "A domain has at least one dot."
    DOMAIN_TOO_LONG = "A domain has at most %(limit)s characters, because hosts need names below it."
    DOMAIN_HIDES_HOST = "The name of the host %(host)s is in %(domain)s. Rename or delete the host first."
    DOMAIN_HIDES_RELATED = "%(name)s is a related name of the host %(host)s. Remove it first."
    DOMAIN_HIDES_WILDCARD = "The wildcard of the host %(host)s answers for %(domain)s. Disable the wildcard first."
    DOMAIN_HAS_HOSTS = "%(domain)s has hosts. Delete them first."
    DOMAIN_HAS_REMOVALS = (
        "Records of deleted hosts are still in the zone of %(domain)s. Try again when its name server answers."
    )
    CATALOG_HIDES = "The catalog zone %(catalog)s cannot be created. %(reason)s"
    PRIMARY_MISSING = "Enter the address of the zone's primary name server."
    PRIMARY_INVALID = "%(primary)r is not ADDRESS:PORT. Write an IPv6 address in brackets."
    PRIMARY_UNUSABLE = "The zone cannot be used: %(cause)s."
    PRIMARY_WITHOUT_KEY = "Give both the primary and the key of an existing zone."
    KEY_INVALID = "The key cannot be used: %(cause)s."
    KEY_OF_OWN_ZONE = "The zone of %(domain)s has its own key. Do not give a key."
    POLICY_INVALID = "%(policy)r is not a valid name for a DNSSEC policy. Use letters, digits, -, _ and dots."
    POLICY_UNKNOWN = (
        'BIND does not know the DNSSEC policy %(policy)s. named.conf must contain `dnssec-policy "%(policy)s" { … };`; '
        "`default` is built in."
    )
    POLICY_OF_EXISTING_ZONE = "An existing zone is signed on its own server. Do not give a policy."
    POLICY_OF_FOREIGN_ZONE = "%(domain)s is not on the BIND of this service. Sign it on its own server."
    REALM_INVALID = "%(realm)r is not a valid Kerberos realm. Use capital letters, digits, - and dots."
    REALM_OF_EXISTING_ZONE = "Members of a realm update an existing zone by its own server. Do not give a realm."
    REALM_OF_FOREIGN_ZONE = "%(domain)s is not on the BIND of this service. Let its own server take Kerberos updates."
    REALM_BESIDE_HOSTS = (
        "%(domain)s has hosts, whose names members of a Kerberos realm could change. Remove the hosts first, or allow "
        "hosts beside members."
    )
    ZONE_NOT_PROVISIONED = "This service did not create the zone of %(domain)s."
    BIND_MISSING = (
        "The service does not control a BIND, so it cannot create a zone. Give the primary and the key of an existing "
        "zone, or set DDNSD_RNDC_KEY."
    )

    NOT_A_REVERSE_ZONE = "%(domain)s is not a zone for reverse lookups, such as 2.0.192.in-addr.arpa."
    NETWORK_MISSING = "Give the network of %(domain)s: its name does not say it."
    NETWORK_OF_OTHER_ZONE = "The names of %(network)s are not in %(domain)s."
    DOMAIN_HAS_REVERSE_NAMES = (
        "%(domain)s has reverse names of hosts. Set its option reverse to off first, and wait a moment."
    )

    # reverse names
    POINTER_WITHOUT_ZONE = "The service has no reverse zone for %(address)s."
    POINTER_ZONE_OFF = "The reverse zone %(domain)s takes no names of hosts."
    POINTER_UNPROVED = (
        "The reverse zone takes only addresses from which an update came, and %(address)s is not proved yet."
    )
    POINTER_OF_OTHER_HOST = "Another host had %(address)s first."
    POINTER_OF_HIDDEN_HOST = "The host has no records in DNS now."
    POINTER_WAITING = "DNS has not confirmed it yet."

    # domain requests
    REQUEST_EXISTS = "You have already requested %(domain)s."
    REQUESTS_TOO_MANY = "You already have %(limit)s open requests. Withdraw one first."

    # reports of abuse
    REPORTED_NAME_UNKNOWN = "%(name)s is not a name of this service."
    REPORTED_HOST_GONE = "The host %(host)s was deleted after the report. Dismiss the report."
    REPORTS_OVER_QUOTA = "Too many reports were sent. Try again in %(minutes)s minutes."
    REPORTS_TOO_MANY = "Too many reports wait for a decision. Try again later."
    REPORT_NOT_FOUND = "There is no such report."

    # deny lists
    NETWORK_INVALID = "%(network)r is not an address or a network such as 192.0.2.0/24."
    NETWORK_TOO_WIDE = "%(network)s is too large. The largest possible network is a /%(limit)s."
    AGENT_INVALID = "Enter the beginning of the user agent: 3 to 120 printable characters."
    PATTERN_INVALID = "Enter a label or a full name. It may contain * for any characters, at most %(limit)s times."
    DENIAL_TOO_LONG = "Enter 1 to %(limit)s printable characters."
    DENIAL_COMMENT_INVALID = "Enter at most %(limit)s characters, on one line."
    DENIAL_EXISTS = "%(value)s is already denied."
    DENIAL_MISSING = "%(value)s is not denied."

    # quotas
    HOSTS_OVER_QUOTA = (
        "You have reached the limit for hosts (%(limit)s): delete one first, or ask the operator for more."
    )
    HOSTS_IN_DOMAIN_OVER_QUOTA = (
        "You have reached the limit for hosts in %(domain)s (%(limit)s): delete one first, or ask the operator for "
        "more."
    )
    TOKENS_OVER_QUOTA = (
        "You have reached the limit for tokens (%(limit)s): delete one first, or ask the operator for more."
    )
    KEYS_OVER_QUOTA = "You have reached the limit for keys (%(limit)s): delete one first, or ask the operator for more."
    CHANGES_OVER_QUOTA = "The limit is %(limit)s changes of a host within an hour: try again in %(seconds)s seconds."
    RECORD_CHANGES_OVER_QUOTA = (
        "The limit is %(limit)s changes of a host's records within an hour: try again in %(seconds)s seconds."
    )
    API_WRITES_OVER_QUOTA = "The limit is %(limit)s changes within a minute: try again in %(seconds)s seconds."
    ANSWERS_OVER_QUOTA = (
        "The answers to your calls with an Idempotency-Key take %(limit)s MB, and no more are stored: send the call "
        "without this header, or ask the operator for more."
    )
    QUOTA_OF_USERS = "%(name)s is not counted by domain: set it for a user or a group."
    QUOTA_SUBJECT = "Give exactly one of user, group and domain."
    QUOTA_OUT_OF_RANGE = "Enter a number from 0 (no limit) to %(limit)s."

    # webhooks
    WEBHOOK_NOT_FOUND = "There is no such webhook."
    WEBHOOK_MESSAGE_NOT_FOUND = "There is no such message."
    WEBHOOK_URL = "Enter a URL such as https://hooks.example.org/ddns, without user name and password."
    WEBHOOK_TARGET = "Messages cannot be sent there: %(reason)s."
    WEBHOOK_OF_ALL = "Only administrators get messages about hosts of all users."
    WEBHOOK_IS_OFF = "The webhook is switched off. Switch it on first."
    WEBHOOKS_OF_LIMITED = (
        "Webhooks tell about all your hosts, but your token is limited to some domains, hosts or stacks. Use a token "
        "without such limits."
    )
    WEBHOOKS_TOO_MANY = "You have %(limit)s webhooks, which is the maximum. Remove one first."
    WEBHOOKS_OFF = (
        "This service has no key for the secrets of webhooks, so there are none. Set DDNSD_SECOND_FACTOR_KEY."
    )

    # certificates
    CSR_INVALID = "This is not a valid certificate request (CSR) in PEM."
    CSR_KEY = "The key of the request must be RSA with 2048 to 4096 bits, or of the curve P-256 or P-384."
    CSR_NAMES = "The request must have the name %(host)s or *.%(host)s, or both, and no other names."
    CSR_WILDCARD = (
        "%(host)s has no wildcard, so it cannot have a certificate for *.%(host)s. Enable the wildcard first."
    )
    CERTIFICATE_BUSY = "A certificate for %(host)s is being issued for another request. Try again in a minute."
    CERTIFICATE_MISSING = "The host has no certificate."
    CERTIFICATES_OFF = "This service issues no certificates."
    CERTIFICATE_FAILED = "No certificate was issued: %(cause)s."
    CERTIFICATE_OF_OTHER_KEY = "No certificate was issued: the authority sent one for another key."
    CERTIFICATE_TOO_LATE = "No certificate was issued: it was not finished within %(seconds)s seconds."
    CERTIFICATE_LOST = "No certificate was issued: the order that was under way did not end. Try again."
    CERTIFICATE_STOPPED = "No certificate was issued: the service is being stopped. Try again."
    CERTIFICATE_FAULT = "No certificate was issued: unexpected error of the service. The operator finds it in its log."
    CAA_FORBIDS = (
        "The CAA records of %(name)s do not allow the authority of this service (%(authority)s) to issue a certificate "
        "for %(host)s: %(records)s. Change or remove these records."
    )
    CERTIFICATES_OVER_QUOTA = (
        "The limit is %(limit)s certificates for %(host)s within a week: try again in %(minutes)s minutes, or use the "
        "last one."
    )
    CERTIFICATES_OF_DOMAIN_OVER_QUOTA = (
        "The limit is %(limit)s certificates in %(domain)s within a week: try again in %(minutes)s minutes."
    )
    CERTIFICATE_TRIES_OVER_QUOTA = (
        "%(limit)s orders of certificates for %(host)s failed within an hour: repair the cause, and try again in "
        "%(minutes)s minutes. The last problem: %(problem)s"
    )
    AUTHORITY_OVER_QUOTA = "The authority accepts no more orders now: %(cause)s."

    # stacks
    STACK_NOT_FOUND = "There is no such stack."
    STACK_EXISTS = "The stack %(stack)s already exists."
    STACK_PROTECTED = (
        "The stack %(stack)s is protected, so no host can be deleted or leave it. Take the protection away first."
    )
    HOST_PROTECTED = "%(host)s is protected, so it cannot be deleted. Take the protection away first."
    HOST_NOT_GIVEN = (
        "%(host)s belongs to the stack %(stack)s, which does not give it to %(other)s. First declare that it does."
    )
    BEYOND_STACKS = "Your token is limited to other stacks."
    STACK_IS_WHOLE = "This is for a whole stack, but your token is limited to some domains or hosts."
    STACK_LEASED = "%(stack)s is being applied by %(holder)s since %(seconds)s s."
    STACKS_TOO_MANY = "You have reached the limit for stacks (%(limit)s): delete one first."
    LEASE_LOST = "The lease has expired, or was taken away. Nothing was changed."

    # not about a single field
    HOST_MISSING = "There is no host %(host)s."
    RELATED_MISSING = "%(name)s is not a related name."
    HOST_NOT_FOUND = "There is no such host."
    HOST_STATIC = "The host is an alias or has several addresses, so updates do not change it."
    DOMAIN_NOT_FOUND = "There is no such domain."
    REQUEST_NOT_FOUND = "There is no such request."
    CREDENTIAL_NOT_FOUND = "There is no such token or key."
    USER_NOT_FOUND = "There is no such user."
    DENIAL_NOT_FOUND = "There is no deny entry with this id or value."
    FIELDS_OF_ADMINISTRATORS = "Only an administrator can change %(fields)s."
    FIELD_OF_ADMINISTRATORS = "Only an administrator can change this."
    HOST_OF_OTHERS = (
        "Another user owns this host. As the owner of its domain, you can see its addresses and state, block it and "
        "remove it."
    )
    DOMAIN_OF_OTHERS = "Only the owner or an administrator can change a domain."
    CREDENTIAL_EXCEEDS = "That token has more rights than yours."
    CREDENTIAL_IS_LIMITED = "Your token is limited to other domains, or to some hosts."
    HOST_BLOCKED = "The host is flagged or blocked for abuse. Contact the operator of the service."
    STALE = "It was changed after you read it. Read it again and repeat your change."
    OTHER_CHANGE_FAILED = "Nothing was changed, because another change of this atomic call failed."
    IDEMPOTENCY_KEY_REUSED = "This Idempotency-Key was used with another body. Use a new one."
    NOT_PUBLISHED = "Nothing was changed: %(cause)s."
    HOST_REFUSED = "Nothing was changed: the name server refused this host: %(cause)s."
    UNCONFIRMED = "The change is kept and will be applied: %(cause)s."
    SCHEMA = "%(text)s"


Parameter = Union[str, int, Obstacle, "Reason"]


@dataclass(frozen=True, init=False)
class Reason:
    """A code with its parameters; `str()` is the English message."""

    code: Code
    parameters: Mapping[str, Parameter]

    def __init__(self, code: Code, **parameters: Parameter) -> None:
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "parameters", parameters)

    def __str__(self) -> str:
        return self.code.value % self.parameters


class RegistryError(Exception):
    """An error of the registry; `str()` is the English message."""

    code: ClassVar[Code]
    """The default code."""

    def __init__(self, code: Code | None = None, **parameters: Parameter) -> None:
        super().__init__()
        self._reason = Reason(code or self.code, **parameters)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """A single reason, or one per field."""
        return (self._reason,)

    def __str__(self) -> str:
        return " ".join(map(str, self.reasons))


class InvalidAddress(RegistryError, ValueError):
    """An address that does not parse, or that no host may have."""

    def __init__(self, text: str) -> None:
        super().__init__(Code.ADDRESS_INVALID, address=text)


class UnknownPeer(RegistryError):
    """The caller's address is not known, because the front (reverse proxy) does not send it."""

    code = Code.PEER_UNKNOWN


class DeniedAddress(RegistryError):
    """The operator denies the address."""

    code = Code.ADDRESS_DENIED


class NoRequest(RegistryError):
    """There is no such request."""

    code = Code.REQUEST_NOT_FOUND


class NoReport(RegistryError):
    """There is no such report of abuse."""

    code = Code.REPORT_NOT_FOUND


class NoDenial(RegistryError):
    """There is no deny entry of that id or value."""

    code = Code.DENIAL_NOT_FOUND


class NoDomain(RegistryError):
    """There is no such domain."""

    code = Code.DOMAIN_NOT_FOUND


class NoHost(RegistryError):
    """There is no such host."""

    code = Code.HOST_NOT_FOUND


class Static(NoHost):
    """Updates cannot change the host: it is an alias, or has several addresses of a family."""

    code = Code.HOST_STATIC


class NoCredential(RegistryError):
    """There is no such token or key."""

    code = Code.CREDENTIAL_NOT_FOUND


class NoWebhook(RegistryError):
    """There is no such webhook, or no such message of it."""

    code = Code.WEBHOOK_NOT_FOUND


class NoUser(RegistryError):
    """There is no such user."""

    code = Code.USER_NOT_FOUND


class NoFactor(RegistryError):
    """The user has no second factor."""

    code = Code.FACTOR_MISSING


class NotPermitted(RegistryError):
    """The caller may not do this."""

    def __init__(self, code: Code, **parameters: Parameter) -> None:
        super().__init__(code, **parameters)


class NotEnrolled(RegistryError):
    """The enrolment token cannot be used."""

    code = Code.ENROLMENT_INVALID


class NotAdmitted(RegistryError):
    """The identity has no active user here."""

    code = Code.IDENTITY_UNKNOWN


class Blocked(RegistryError):
    """The host is blocked for abuse."""

    code = Code.HOST_BLOCKED


class Invalid(RegistryError):
    """Some fields are not valid; `fields` has the reason for each."""

    def __init__(self, **fields: Reason) -> None:
        Exception.__init__(self)
        self.fields = fields

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return tuple(self.fields.values())


class Taken(Invalid):
    """The name is taken."""


class Stale(RegistryError):
    """It has changed since the caller read it."""

    code = Code.STALE


class Differs(Stale):
    """A field does not have the expected value; `fields` has the reason."""

    code = Code.FIELD_CHANGED

    def __init__(self, field: str, now: Any) -> None:
        super().__init__(field=field, value=json.dumps(now))
        self.fields = {field: self.reasons[0]}


class OtherFailed(RegistryError):
    """Another change of the atomic call failed, so nothing was changed."""

    code = Code.OTHER_CHANGE_FAILED


class OverQuota(RegistryError):
    """The owner has as much as the operator allows. `retry_after` are the seconds until more is possible, if ever."""

    def __init__(self, code: Code, retry_after: int | None = None, /, **parameters: Parameter) -> None:
        super().__init__(code, **parameters)
        self.retry_after = retry_after


class KeyReused(RegistryError):
    """The Idempotency-Key was used with another body."""

    code = Code.IDEMPOTENCY_KEY_REUSED


class NotEmpty(RegistryError):
    """Something still depends on it."""

    def __init__(self, code: Code, **parameters: Parameter) -> None:
        super().__init__(code, **parameters)


class NoStack(RegistryError):
    """No stack of the caller has this name."""

    code = Code.STACK_NOT_FOUND


class Protected(RegistryError):
    """The stack of the host is protected."""

    def __init__(self, stack: str) -> None:
        super().__init__(Code.STACK_PROTECTED, stack=stack)


class HostProtected(Protected):
    """The host is protected."""

    def __init__(self, host: str) -> None:
        RegistryError.__init__(self, Code.HOST_PROTECTED, host=host)


class NotGiven(Protected):
    """The host belongs to a stack that does not give it to the other one."""

    def __init__(self, host: str, stack: str, other: str) -> None:
        RegistryError.__init__(self, Code.HOST_NOT_GIVEN, host=host, stack=stack, other=other)


class Leased(RegistryError):
    """Somebody applies the stack."""

    def __init__(self, stack: str, lease: Lease) -> None:
        super().__init__(Code.STACK_LEASED, stack=stack, holder=lease.holder, seconds=lease.seconds)
        self.lease = lease


class LeaseLost(RegistryError):
    """The lease has expired, or was taken away."""

    code = Code.LEASE_LOST


class CertificateBusy(RegistryError):
    """A certificate for the host is being issued for another request."""

    code = Code.CERTIFICATE_BUSY

    def __init__(self, host: str) -> None:
        super().__init__(host=host)


class NoCertificate(RegistryError):
    """The host has no certificate."""

    code = Code.CERTIFICATE_MISSING


class NotIssued(RegistryError):
    """The authority, or a record in DNS, does not allow the certificate. A repetition changes nothing."""

    code = Code.CERTIFICATE_FAILED


class AuthorityDown(NotIssued):
    """The authority could not issue the certificate now, or the service has none."""


class NoBind(RegistryError):
    """The service controls no BIND."""

    code = Code.BIND_MISSING


class NotPublished(RegistryError):
    """The name server did not confirm the change; `cause` is the text of its answer, or an obstacle."""

    code = Code.NOT_PUBLISHED

    def __init__(self, cause: str | Obstacle) -> None:
        super().__init__(cause=cause)
        self.cause = cause


class HostRefused(NotPublished):
    """The name server refused the new host."""

    code = Code.HOST_REFUSED


class Unconfirmed(NotPublished):
    """The change is kept; the name server did not confirm it in time."""

    code = Code.UNCONFIRMED


class Held(Unconfirmed):
    """The change is kept; a foreign record in the zone has the name."""
