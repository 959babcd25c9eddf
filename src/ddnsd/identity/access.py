# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller may do: one function decides for every door."""

from enum import Enum
from fnmatch import fnmatchcase

from ddnsd.identity.caller import Caller, Kind
from ddnsd.store.rows import Domain, Host


class Action(Enum):
    """An action and the scope that a token needs for it."""

    UPDATE = "write", "change a host's addresses"
    EDIT = "write", "change a host's or a domain's other fields"
    DELETE = "write", "unregister a host, remove a domain"
    ROTATE = "write", "make a new secret for a host"
    REGISTER = "write", "register a host in a domain"
    LIST = "read", "see a host or a domain"

    @property
    def scope(self) -> str:
        return self.value[0]


def can(caller: Caller, action: Action, subject: Host | Domain) -> bool:
    """Whether the caller may do this to the host or domain.

    Credentials of a host or a key change the addresses of their own hosts and do nothing else. A user acts on their own
    hosts and domains, sees and registers in those that are public or their group's, within the scopes and patterns of
    their token. An administrator acts on everybody's, within the patterns.
    """
    if caller.kind is not Kind.USER:
        return action is Action.UPDATE and any(h.id == subject.id for h in caller.hosts if isinstance(subject, Host))
    if action.scope not in caller.scopes and "admin" not in caller.scopes:
        return False
    mine = caller.admin or subject.owner_id == caller.user_id
    if isinstance(subject, Host):
        return mine and _within(caller.domains, subject.domain) and _within(caller.host_patterns, subject.fqdn)
    if action in (Action.EDIT, Action.DELETE):
        return mine and _within(caller.domains, subject.name)
    return (mine or subject.public or subject.group in caller.groups) and _within(caller.domains, subject.name)


def may_name(caller: Caller, fqdn: str) -> bool:
    """Whether the token's host patterns let the caller register this name."""
    return _within(caller.host_patterns, fqdn)


def _within(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
