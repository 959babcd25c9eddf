# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows as JSON text, without objects in between: a list of 10 000 hosts is not to hold up anybody."""

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from fastapi import Response

from ddnsd.db.paging import OwnedHost
from ddnsd.db.rows import Domain, Host, User
from ddnsd.dns.writer import Writer
from ddnsd.registry.errors import Stale
from ddnsd.web.api.errors import NOT_KEPT

_TAG = re.compile(r'(W/)?"([^"]*)"')


def json_response(text: str, status: int = 200, **headers: str) -> Response:
    """An answer whose body is JSON text already; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(text, status, NOT_KEPT | named, "application/json")


def answer(content: Any, status: int = 200, **headers: str) -> Response:
    """An answer with a small JSON body."""
    return json_response(json.dumps(content), status, **headers)


def page(items: Iterable[str], following: int | None) -> Response:
    """A page of a list; `following` is the cursor of the next one."""
    cursor = "null" if following is None else f'"{following}"'
    return json_response(f'{{"items":[{",".join(items)}],"next":{cursor}}}')


def moment(microseconds: int | None) -> str | None:
    """RFC 3339, UTC."""
    if microseconds is None:
        return None
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest:06}Z"


class Seen:
    """What DNS is known to hold of the rows that are read after this was made."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._before = writer, writer.confirmed_versions()

    def dns(self, host: Host) -> str:
        """`current`: it holds this row; `pending`: it follows; `conflict`: a foreign record has the name."""
        if host.conflict is not None:
            return "conflict"
        held = self._before.get(host.id) == host.version or self._writer.is_published(host)
        return "current" if held else "pending"


def host_json(owned: OwnedHost, dns: str, secret: str | None = None) -> str:
    """A host as `/api` shows it, with what `Seen.dns` says of it; with a secret, which is shown once."""
    h = owned.host
    return (
        f'{{"fqdn":"{h.fqdn}","name":"{h.name}","domain":"{h.domain}","owner":{quoted(owned.owner)},'
        f'"ipv4":{_text(h.ipv4)},"ipv6":{_text(h.ipv6)},"wildcard":{_flag(h.wildcard)},"comment":{_text(h.comment)},'
        f'"ttl":{"null" if h.ttl is None else h.ttl},"stack":{_text(h.stack)},"labels":{h.labels},'
        f'"available":{_flag(h.available)},"abuse":{_flag(h.abuse)},"abuse_blocked":{_flag(h.abuse_blocked)},'
        f'"client_faults":{h.client_faults},"server_faults":{h.server_faults},'
        f'"updated_ipv4":{_text(moment(h.updated_ipv4))},"tls_ipv4":{_flag(h.tls_ipv4)},'
        f'"updated_ipv6":{_text(moment(h.updated_ipv6))},"tls_ipv6":{_flag(h.tls_ipv6)},'
        f'"created":{_text(moment(h.created))},"dns":"{dns}","conflict":{_text(h.conflict)}'
        + (f',"secret":"{secret}"}}' if secret else "}")
    )


def _text(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def _flag(value: object) -> str:
    return "true" if value else "false"


# ---- entity tags: of what callers can set; counters, and whether DNS follows, do not make them stale


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
