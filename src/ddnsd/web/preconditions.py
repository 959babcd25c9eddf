# SPDX-License-Identifier: GPL-3.0-or-later
"""Entity tags: what a client must have seen of a host, a domain or a user to change it.

A tag covers what callers can set. Counters, and whether DNS follows, do not change it.
"""

import hashlib
import re
from collections.abc import Iterable

from ddnsd.db.rows import Domain, Host, User
from ddnsd.registry.errors import Stale

_TAG = re.compile(r'(W/)?"([^"]*)"')


def host_tag(host: Host) -> str:
    """The ETag of a host."""
    flags = (bool(host.wildcard), bool(host.available), bool(host.abuse_blocked))
    return _tag(
        host.id, host.owner_id, host.fqdn, host.ipv4, host.ipv6, flags, host.comment, host.ttl, host.stack, host.labels
    )


def domain_tag(domain: Domain) -> str:
    """The ETag of a domain."""
    flags = (bool(domain.public), bool(domain.available))
    return _tag(
        domain.id, domain.owner_id, flags, domain.comment, domain.ttl, domain.group, domain.stack, domain.primary
    )


def user_tag(user: User, groups: Iterable[str] = ()) -> str:
    """The ETag of a user, with the groups that are shown and set beside."""
    return _tag(user.id, user.name, bool(user.admin), bool(user.active), bool(user.withdrawn), *groups)


def _tag(*values: object) -> str:
    return f'"{hashlib.sha256(repr(values).encode()).hexdigest()[:32]}"'


def check_match(if_match: str | None, tag: str) -> None:
    """Whether the `If-Match` header, if any, names the tag. Raises Stale."""
    if if_match is None or if_match.strip() == "*":
        return
    if not any(not weak and f'"{value}"' == tag for weak, value in _TAG.findall(if_match)):
        raise Stale
