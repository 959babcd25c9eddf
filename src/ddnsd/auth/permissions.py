# SPDX-License-Identifier: GPL-3.0-or-later
"""Permissions of callers: one function decides for all paths."""

import re
from enum import Enum
from fnmatch import fnmatchcase

from ddnsd.auth.caller import Caller, Kind
from ddnsd.db.domain_requests import DomainRequest
from ddnsd.db.rows import Domain, Host, ListedHost


class Action(Enum):
    """An action and the scope that a token needs for it."""

    UPDATE = "write", "change a host's addresses"
    EDIT = "write", "change a host's, a domain's or a request's other fields"
    DELETE = "write", "unregister a host, remove a domain"
    ROTATE = "write", "make a new secret for a host"
    REGISTER = "write", "register a host in a domain"
    LIST = "read", "see a host, a domain or a request"
    OVERSEE = "read", "see a host without the notes of its owner, or all names in a domain"
    BLOCK = "write", "block and unblock a host"
    ADMINISTER = "admin", "change users, add domains, decide on requests, deny: what no pattern limits"

    @property
    def scope(self) -> str:
        return self.value[0]


class Whole(Enum):
    """The service as a whole; tokens with patterns have no access."""

    SERVICE = "the service"


SERVICE = Whole.SERVICE

Subject = Host | ListedHost | Domain | DomainRequest | Whole

OF_DOMAIN_OWNERS = frozenset({Action.OVERSEE, Action.BLOCK, Action.DELETE})
"""What the owner of a domain may do to hosts in it."""

_LITERAL_END = re.compile(r"[^*?\]]*$")


def can(caller: Caller, action: Action, subject: Subject) -> bool:
    """Whether the caller may do this to the subject.

    Credentials of a host or a key can only change the addresses of their own hosts. A user can manage their own hosts
    and domains, and see and use domains that are public or their group's, within the scopes and patterns of the token.
    The owner of a domain can also see, block and remove the hosts of others in it, but not change them.
    An administrator can manage those of all users, within the patterns, and without patterns the whole service.
    """
    if caller.kind is not Kind.USER:
        return action is Action.UPDATE and any(h.id == subject.id for h in caller.hosts if isinstance(subject, Host))
    if action.scope not in caller.scopes and "admin" not in caller.scopes:
        return False
    match subject:
        case Whole():
            return action is Action.ADMINISTER and not is_limited(caller)
        case Host() if subject.reverse_of is not None:
            return False  # the service alone changes it
        case Host() | ListedHost():
            return _has_rights(caller, action, subject) and _covers(caller, action, subject)
        case DomainRequest():
            overseen = caller.admin and action is Action.LIST
            return (overseen or subject.user_id == caller.user_id) and covers_domain(caller, subject.name)
    mine = caller.admin or subject.owner_id == caller.user_id
    if action in (Action.EDIT, Action.DELETE):
        covered = not caller.host_patterns and _within(caller.domains, subject.name)
        return mine and covered and covers_stack(caller, subject.stack)
    usable = mine or (action is not Action.OVERSEE and (subject.public or subject.group in caller.groups))
    return usable and _within(caller.domains, subject.name) and _may_hold(subject.name, caller.host_patterns)


def _has_rights(caller: Caller, action: Action, host: Host | ListedHost) -> bool:
    """Whether the user may do this to the host, apart from the limits of the token."""
    if caller.admin or (host.owner_id == caller.user_id and action is not Action.BLOCK):
        return True
    return action in OF_DOMAIN_OWNERS and isinstance(host, Host) and host.domain_owner_id == caller.user_id


def _covers(caller: Caller, action: Action, host: Host | ListedHost) -> bool:
    """Whether the limits of the token allow this. It may see hosts that are given to one of its stacks."""
    if covers_host(caller, host.fqdn, host.domain, host.stack):
        return True
    shown = action in (Action.LIST, Action.OVERSEE) and host.fqdn in caller.given
    return shown and _within_patterns(caller, host.fqdn, host.domain)


def may_take(caller: Caller, host: Host, stack: str) -> bool:
    """Whether the caller's limited token may take its own host, which is given to the stack, into the stack."""
    own = caller.kind is Kind.USER and "write" in caller.scopes and host.owner_id == caller.user_id
    covered = covers_stack(caller, stack) and host.fqdn in caller.given
    return own and covered and _within_patterns(caller, host.fqdn, host.domain)


def acts_for_domain(caller: Caller, host: Host) -> bool:
    """Whether the user has rights on the host of another user only as the owner of its domain."""
    owns = host.domain_owner_id == caller.user_id != host.owner_id
    return caller.kind is Kind.USER and not caller.admin and owns


def visible(caller: Caller, host: Host) -> Host:
    """The host as the caller may see it."""
    return without_notes(host) if acts_for_domain(caller, host) else host


def without_notes(host: Host) -> Host:
    """The host as the owner of its domain sees it: `comment`, `stack` and `labels` are the host's owner's."""
    return host._replace(comment=None, stack=None, labels="{}")


def is_limited(caller: Caller) -> bool:
    """Whether patterns of domains, hosts or stacks limit the caller's token."""
    return bool(caller.domains or caller.host_patterns or caller.stacks)


def has_whole_stacks(caller: Caller) -> bool:
    """Whether no pattern of domains or hosts limits the caller's token to a part of a stack."""
    return not (caller.domains or caller.host_patterns)


def is_name_allowed(caller: Caller, fqdn: str) -> bool:
    """Whether the token's host patterns allow the registration of this name."""
    return _within(caller.host_patterns, fqdn)


def covers_domain(caller: Caller, name: str) -> bool:
    """Whether the token's patterns allow the whole domain of this name, whatever its stack."""
    return not caller.host_patterns and not caller.stacks and _within(caller.domains, name)


def covers_host(caller: Caller, fqdn: str, domain: str, stack: str | None) -> bool:
    """Whether the token's patterns allow a host of this name, domain and stack, also of another user."""
    return _within_patterns(caller, fqdn, domain) and covers_stack(caller, stack)


def covers_stack(caller: Caller, stack: str | None) -> bool:
    """Whether the token's patterns allow hosts of this stack; None: of no stack."""
    return not caller.stacks or (stack is not None and _within(caller.stacks, stack))


def _within_patterns(caller: Caller, fqdn: str, domain: str) -> bool:
    return _within(caller.domains, domain) and _within(caller.host_patterns, fqdn)


def _within(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _may_hold(domain: str, patterns: tuple[str, ...]) -> bool:
    """Whether a host that matches a pattern may be in the domain, by the literal end of the pattern."""
    ends = (_literal_end(pattern) for pattern in patterns)
    return not patterns or any(f".{domain}".endswith(end) or end.endswith(f".{domain}") for end in ends)


def _literal_end(pattern: str) -> str:
    found = _LITERAL_END.search(pattern)
    return found[0] if found else ""
