# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the registry does not do what it is asked.

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
  NotEnrolled         an enrolment token that is unknown, expired, spent or void: one answer for all four
  NotAdmitted         somebody whom a provider knows is no user here, or no active one
  Blocked             blocked for abuse
  Invalid             fields with their reasons; `__all__` for the whole
    Taken             somebody has the name, in the registry or in the zone
  Stale               it is not as the caller has seen it
  NotEmpty            something still depends on it
  NoBind              a zone is wanted, and the service controls no BIND
  NotPublished        the name server did not answer
    Unconfirmed       likewise, but the change is kept and will be carried out
      Held            a foreign record in the zone has the name; carried out once that has gone

Errors of the database. Web imports them from here:

StoreDown           the database cannot be used now; nothing is kept
  OutcomeUnknown    the connection was lost during the commit; the change may be kept
"""

from ddnsd.db.base import OutcomeUnknown as OutcomeUnknown
from ddnsd.db.base import StoreDown as StoreDown


class RegistryError(Exception):
    """registry error"""


class InvalidAddress(RegistryError, ValueError):
    """not an address that a host may have"""

    def __init__(self, text: str) -> None:
        super().__init__(f"Invalid IP address: {text}")


class UnknownPeer(RegistryError):
    """the caller's address is not known: the front in between does not tell it"""


class DeniedAddress(RegistryError):
    """the operator denies this address"""


class NoRequest(RegistryError):
    """no such request"""


class NoDenial(RegistryError):
    """nothing of that id or value is denied"""


class NoDomain(RegistryError):
    """no such domain"""


class NoHost(RegistryError):
    """no such host"""


class NoCredential(RegistryError):
    """no such token or key"""


class NoUser(RegistryError):
    """no such user"""


class NotPermitted(RegistryError):
    """the caller may not do this"""


class NotEnrolled(RegistryError):
    """the enrolment token is unknown or expired, was used with another secret, or is void"""


class NotAdmitted(RegistryError):
    """nobody who may sign in here"""


class Blocked(RegistryError):
    """the host is blocked for abuse"""


class Invalid(RegistryError):
    """some fields are not acceptable"""

    def __init__(self, **fields: str) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = {name: [text] for name, text in fields.items()}


class Taken(Invalid):
    """the name is taken"""


class Stale(RegistryError):
    """it has changed meanwhile"""


class NotEmpty(RegistryError):
    """something still depends on it"""


class NoBind(RegistryError):
    """the service controls no BIND: name the primary of an existing zone and its key, or set DDNSD_RNDC_KEY"""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class NotPublished(RegistryError):
    """the name server did not confirm the change"""


class Unconfirmed(NotPublished):
    """the change is kept; the name server did not confirm it in time"""


class Held(Unconfirmed):
    """the change is kept; a foreign record in the zone has the name"""
