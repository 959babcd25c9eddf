# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the registry does not do what it is asked.

RegistryError
  InvalidAddress      an address that does not parse or that no host may have
  DeniedAddress       an address on the operator's deny list
  NoDomain            unknown, not usable by the caller, or not available: one answer for all three
  NoHost              unknown, or not the caller's
  Blocked             blocked for abuse
  Invalid             fields with their reasons; `__all__` for the whole
  NotPublished        the name server did not answer
"""


class RegistryError(Exception):
    """registry error"""


class InvalidAddress(RegistryError, ValueError):
    """not an address that a host may have"""

    def __init__(self, text: str) -> None:
        super().__init__(f"Invalid IP address: {text}")


class DeniedAddress(RegistryError):
    """the operator denies this address"""


class NoDomain(RegistryError):
    """no such domain"""


class NoHost(RegistryError):
    """no such host"""


class Blocked(RegistryError):
    """the host is blocked for abuse"""


class Invalid(RegistryError):
    """some fields are not acceptable"""

    def __init__(self, **fields: str) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = {name: [text] for name, text in fields.items()}


class NotPublished(RegistryError):
    """the name server did not confirm the change"""
