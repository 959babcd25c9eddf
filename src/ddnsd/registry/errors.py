# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the registry does not do what it is asked: codes with parameters. Each door renders them.

RegistryError
  InvalidAddress      an address that does not parse or that no host may have
  UnknownPeer         the caller's own address is asked for, and is not known: the front's fault, not the caller's
  DeniedAddress       an address on the operator's deny list
  NoRequest           unknown, or not the caller's
  NoDenial            nothing of that id or value is denied
  NoDomain            unknown, not usable by the caller, or not available: one answer for all three
  NoHost              unknown, or not the caller's
  NoCredential        a token or key that is unknown, or not visible to the caller
  NoUser              no user of that name
  NotPermitted        the caller sees it, and may not do this
  NotEnrolled         an enrolment token that is unknown, expired, spent or replaced: one answer for all four
  NotAdmitted         somebody whom a provider knows is no user here, or no active one
  Blocked             blocked for abuse
  Invalid             fields with their reasons; `__all__` for the whole
    Taken             somebody has the name, in the registry or in the zone
  Stale               it is not as the caller has seen it
    Differs           likewise, and the caller said what it expects of a field
  OtherFailed         another change of the call fails
  KeyReused           an Idempotency-Key came with two bodies
  NotEmpty            something still depends on it
  NoBind              a zone is wanted, and the service controls no BIND
  NotPublished        the name server did not answer
    HostRefused       it does not take the new host
    Unconfirmed       likewise, but the change is kept and will be carried out
      Held            a foreign record in the zone has the name; carried out once that has gone

Errors of the database. Web imports them from here:

StoreDown           the database cannot be used now; nothing is kept
  OutcomeUnknown    the connection was lost during the commit; the change may be kept
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, ClassVar, Union

from ddnsd.db.base import OutcomeUnknown as OutcomeUnknown
from ddnsd.db.base import StoreDown as StoreDown


@unique
class Code(Enum):
    """What is wrong. The value is the English sentence for the API, the commands and the log, with its parameters."""

    # names
    NAME_MISSING = "A name is needed."
    NAME_TOO_LONG = "A full name has at most %(limit)s characters."
    NAME_WITHOUT_DOMAIN = "Enter a full name, with its domain."
    NAME_RESERVED = "This name is reserved."
    NAME_DENIED = "The operator of this service does not allow this name."
    NAME_TAKEN = "Host with this name and domain already exists."
    NAME_UNAVAILABLE = "Not available: %(obstacle)s."
    NAME_BELOW_FOREIGN_HOST = "This name lies below a host of another user."
    NAME_IN_OTHER_DOMAIN = "This name lies in the domain %(domain)s."
    NAME_IN_NO_DOMAIN = "The name lies in no domain that you may use."
    LABEL_EMPTY = "A label is empty."
    LABEL_TOO_LONG = "A label has at most %(limit)s characters."
    LABEL_CHARACTERS = "A label has letters, digits and hyphens, and begins and ends with a letter or a digit."
    NAME_BELOW_TOO_LONG = (
        "With %(prefix)s before it, the name has %(length)s characters: at most %(limit)s are possible."
    )

    # fields of a host
    ADDRESS_INVALID = "Invalid IP address: %(address)s"
    ADDRESS_UNUSABLE = "%(address)r is not an address that a host may have."
    ADDRESS_OF_OTHER_FAMILY = "%(address)r is not one IPv%(version)s address."
    ADDRESS_NOT_ACCEPTED = "%(address)s is not accepted in this domain."
    ADDRESS_DENIED = "the operator denies this address"
    PEER_UNKNOWN = "the caller's address is unknown: the reverse proxy does not send it"
    TEXT_TOO_LONG = "Ensure this value has at most %(limit)s characters."
    TEXT_LENGTH = "Enter a text of 1 to %(limit)s characters."
    NOT_PRINTABLE = "Enter printable characters."
    TTL_OUT_OF_RANGE = "Give seconds, from %(least)s to %(most)s."
    NOT_A_CHOICE = "Choose one of %(choices)s."
    SECRETS_WITHOUT_OWNER = "Secrets are kept or replaced only with a new owner."
    FIELD_CHANGED = "%(field)s is %(value)s now."

    # records and related names
    PREFIX_INVALID = "%(name)r is neither @ nor labels with an underscore each, such as _443._tcp."
    PREFIX_NOT_APEX = "%(rtype)s records are possible only at the host's own name: @."
    VALUE_COUNT = "Give 1 to %(limit)s values."
    VALUE_TOO_LONG = "A value has at most %(limit)s characters."
    VALUE_RELATIVE = "%(name)s is not a full name: end it with a dot, as in %(name)s."
    VALUE_STRING_TOO_LONG = 'A string has at most 255 octets; a longer text is several strings: "first" "second".'
    VALUE_INVALID = "%(value)r is no %(rtype)s value such as %(example)s"
    VALUES_REFUSED = "The name server does not take these values: %(rcode)s."
    RECORDS_TOO_MANY = "A host has at most %(limit)s sets of records."
    RECORDS_TOO_LARGE = "The host has too many records, or they are too long."
    RELATED_NOT_A_LABEL = "%(label)r is more than a label."
    RELATED_TAKEN = "%(name)s is taken."
    RELATED_TOO_MANY = "A host has at most %(limit)s related names."
    INTERFACE_ID_INVALID = "%(interface_id)r is not an interface id such as ::7."

    # users, groups, tokens, keys and identities
    USER_MISSING = "there is no user %(user)r"
    USER_EXISTS = "there is a user %(user)s already"
    USER_NAME_INVALID = "a user name has 1 to %(limit)s printable characters and no blanks"
    USER_NAME_RESERVED = "the name %(user)s is reserved"
    USER_INACTIVE = "%(user)s is switched off: switch on the user first"
    USER_OWNS = "%(user)s owns hosts or domains: delete them or give them to another user first"
    USER_NO_ADMINISTRATOR = "%(user)s is no administrator"
    USER_DELETES_SELF = "you cannot delete yourself: ask another administrator"
    USER_DEMOTES_SELF = "you cannot change your own rights: ask another administrator"
    RECORDS_OF_ACTIVE_USER = "Records can be removed only while the user is switched off."
    GROUP_INVALID = "a group has 1 to %(limit)s printable characters"
    CREDENTIAL_EXISTS = "%(user)s has a token named %(name)r already"
    SCOPE_EXCEEDED = "more than your own token allows: %(limit)s"
    SCOPE_ENDS_EARLIER = "your own token expires earlier"
    EXPIRY_INVALID = "%(value)r is not a time with its offset, such as 2030-01-31T12:00:00Z"
    EXPIRY_PAST = "%(value)s is in the past"
    HOSTS_NOT_OWNED = "%(user)s has no host %(hosts)s"
    IDENTITY_MISSING = "there is no such identity"
    IDENTITY_TAKEN = "Another user signs in with this identity."
    IDENTITY_IS_LAST = "This is your only way to sign in: add another one first."
    IDENTITY_UNKNOWN = "there is no user with this identity, and only an administrator adds users"
    IDENTITY_INACTIVE = "the user is not active"
    IDENTITY_NAME_TAKEN = "there are too many users named %(user)s"
    ENROLMENT_INVALID = "the enrolment token is unknown or expired, was used with another secret, or was replaced"

    # domains and their zones
    DOMAIN_MISSING = "there is no domain %(domain)s"
    DOMAIN_EXISTS = "the domain %(domain)s exists already"
    DOMAIN_IN_USE = "%(domain)s is in use here already."
    DOMAIN_OF_OTHER_OWNER = "%(domain)s belongs to %(owner)s, not to %(user)s"
    DOMAIN_WITHOUT_DOT = "A domain has at least one dot."
    DOMAIN_TOO_LONG = "A domain has at most %(limit)s characters: hosts lie below it."
    DOMAIN_HIDES_HOST = "the host %(host)s lies in %(domain)s already: rename or delete it first"
    DOMAIN_HIDES_RELATED = "%(name)s is a related name of the host %(host)s: remove it first"
    DOMAIN_HIDES_WILDCARD = (
        "the host %(host)s has a wildcard, which answers for %(domain)s: switch the wildcard off first"
    )
    DOMAIN_HAS_HOSTS = "%(domain)s has hosts: delete them first"
    DOMAIN_HAS_REMOVALS = (
        "records of deleted hosts are still in the zone of %(domain)s: try again when its name server answers"
    )
    CATALOG_HIDES = "the catalog zone %(catalog)s cannot be made: %(reason)s"
    PRIMARY_MISSING = "Enter the address of the zone's primary name server."
    PRIMARY_INVALID = "%(primary)r is not ADDRESS:PORT (write an IPv6 address in brackets)"
    PRIMARY_UNUSABLE = "%(cause)s"
    PRIMARY_WITHOUT_KEY = "primary and key belong together: send both for a zone that exists already"
    KEY_INVALID = "The key cannot be used: %(cause)s."
    KEY_OF_OWN_ZONE = "the zone of %(domain)s was made with a key of its own: leave the key out"
    POLICY_INVALID = "%(policy)r cannot name a dnssec-policy: use letters, digits, -, _ and ."
    POLICY_OF_EXISTING_ZONE = "a zone that exists already is signed on its own server: leave the policy out"
    POLICY_OF_FOREIGN_ZONE = "%(domain)s is not on the BIND of this service: sign it on its own server"
    ZONE_NOT_PROVISIONED = "the zone of %(domain)s was not made on the BIND of this service"
    BIND_MISSING = (
        "the service controls no BIND: name the primary of an existing zone and its key, or set DDNSD_RNDC_KEY"
    )

    # domain requests
    REQUEST_EXISTS = "You have asked for %(domain)s already."
    REQUESTS_TOO_MANY = "%(limit)s of your requests are open already: withdraw one first."

    # what administrators deny
    NETWORK_INVALID = "%(network)r is not an address or a network such as 192.0.2.0/24."
    NETWORK_TOO_WIDE = "%(network)s is too large: the prefix has at least %(limit)s bits."
    AGENT_INVALID = "Enter 3 to 120 printable characters, with which the user agent begins."
    PATTERN_INVALID = "Enter a label or a full name, with at most %(limit)s times * for any characters."
    DENIAL_TOO_LONG = "Enter 1 to %(limit)s printable characters."
    DENIAL_COMMENT_INVALID = "Enter at most %(limit)s characters, on one line."
    DENIAL_EXISTS = "%(value)s is denied already"
    DENIAL_MISSING = "%(value)s is not denied"

    # about the whole
    HOST_MISSING = "there is no host %(host)s"
    RELATED_MISSING = "%(name)s is no related name"
    HOST_NOT_FOUND = "no such host"
    DOMAIN_NOT_FOUND = "no such domain"
    REQUEST_NOT_FOUND = "no such request"
    CREDENTIAL_NOT_FOUND = "no such token or key"
    USER_NOT_FOUND = "no such user"
    DENIAL_NOT_FOUND = "nothing of that id or value is denied"
    FIELDS_OF_ADMINISTRATORS = "Only an administrator changes %(fields)s."
    DOMAIN_OF_OTHERS = "Only its owner or an administrator changes a domain."
    CREDENTIAL_EXCEEDS = "That token can do more than yours."
    CREDENTIAL_IS_LIMITED = "Your token is limited to other domains, or to hosts."
    HOST_BLOCKED = "The host is flagged or blocked for abuse: write to the operator."
    STALE = "It has changed since you read it. Read it again and repeat the change."
    OTHER_CHANGE_FAILED = "Nothing was changed: another change of this call fails, and it is atomic."
    IDEMPOTENCY_KEY_REUSED = "this Idempotency-Key was used with another body; take a new one"
    NOT_PUBLISHED = "Nothing was changed: %(cause)s."
    HOST_REFUSED = "Nothing was changed: the name server does not take this host: %(cause)s."
    UNCONFIRMED = "The change is kept and will be applied: %(cause)s."
    SCHEMA = "%(text)s"


Parameter = Union[str, int, "Reason"]


@dataclass(frozen=True, init=False)
class Reason:
    """A code with its parameters; `str()` is the English sentence."""

    code: Code
    parameters: Mapping[str, Parameter]

    def __init__(self, code: Code, **parameters: Parameter) -> None:
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "parameters", parameters)

    def __str__(self) -> str:
        return self.code.value % self.parameters


class RegistryError(Exception):
    """The registry refuses; `str()` is in English."""

    code: ClassVar[Code]
    """The code unless another one is given."""

    def __init__(self, code: Code | None = None, **parameters: Parameter) -> None:
        super().__init__()
        self._reason = Reason(code or self.code, **parameters)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, or one for each field."""
        return (self._reason,)

    def __str__(self) -> str:
        return "; ".join(map(str, self.reasons))


class InvalidAddress(RegistryError, ValueError):
    """An address that does not parse, or that no host may have."""

    def __init__(self, text: str) -> None:
        super().__init__(Code.ADDRESS_INVALID, address=text)


class UnknownPeer(RegistryError):
    """The caller's address is not known: the front in between does not tell it."""

    code = Code.PEER_UNKNOWN


class DeniedAddress(RegistryError):
    """The operator denies the address."""

    code = Code.ADDRESS_DENIED


class NoRequest(RegistryError):
    """There is no such request."""

    code = Code.REQUEST_NOT_FOUND


class NoDenial(RegistryError):
    """Nothing of that id or value is denied."""

    code = Code.DENIAL_NOT_FOUND


class NoDomain(RegistryError):
    """There is no such domain."""

    code = Code.DOMAIN_NOT_FOUND


class NoHost(RegistryError):
    """There is no such host."""

    code = Code.HOST_NOT_FOUND


class NoCredential(RegistryError):
    """There is no such token or key."""

    code = Code.CREDENTIAL_NOT_FOUND


class NoUser(RegistryError):
    """There is no such user."""

    code = Code.USER_NOT_FOUND


class NotPermitted(RegistryError):
    """The caller may not do this."""

    def __init__(self, code: Code, **parameters: Parameter) -> None:
        super().__init__(code, **parameters)


class NotEnrolled(RegistryError):
    """The enrolment token cannot be used."""

    code = Code.ENROLMENT_INVALID


class NotAdmitted(RegistryError):
    """Nobody who may sign in here."""

    code = Code.IDENTITY_UNKNOWN


class Blocked(RegistryError):
    """The host is blocked for abuse."""

    code = Code.HOST_BLOCKED


class Invalid(RegistryError):
    """Some fields are not acceptable; `fields` has the reason of each."""

    def __init__(self, **fields: Reason) -> None:
        Exception.__init__(self)
        self.fields = fields

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return tuple(self.fields.values())


class Taken(Invalid):
    """The name is taken."""


class Stale(RegistryError):
    """It has changed meanwhile."""

    code = Code.STALE


class Differs(Stale):
    """A field is not as the change expects it; `fields` has the reason."""

    code = Code.FIELD_CHANGED

    def __init__(self, field: str, now: Any) -> None:
        super().__init__(field=field, value=json.dumps(now))
        self.fields = {field: self.reasons[0]}


class OtherFailed(RegistryError):
    """Another change of the call fails, so nothing was changed."""

    code = Code.OTHER_CHANGE_FAILED


class KeyReused(RegistryError):
    """The Idempotency-Key was used with another body."""

    code = Code.IDEMPOTENCY_KEY_REUSED


class NotEmpty(RegistryError):
    """Something still depends on it."""

    def __init__(self, code: Code, **parameters: Parameter) -> None:
        super().__init__(code, **parameters)


class NoBind(RegistryError):
    """The service controls no BIND."""

    code = Code.BIND_MISSING


class NotPublished(RegistryError):
    """The name server did not confirm the change; `cause` is what it answers, in its own words."""

    code = Code.NOT_PUBLISHED

    def __init__(self, cause: str) -> None:
        super().__init__(cause=cause)
        self.cause = cause


class HostRefused(NotPublished):
    """The name server does not take the new host."""

    code = Code.HOST_REFUSED


class Unconfirmed(NotPublished):
    """The change is kept; the name server did not confirm it in time."""

    code = Code.UNCONFIRMED


class Held(Unconfirmed):
    """The change is kept; a foreign record in the zone has the name."""
