# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows as JSON text, without objects in between, so that a list of 10 000 hosts does not delay other requests."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, TypeVar

from fastapi import Response

from ddnsd.dns import conflicts
from ddnsd.registry import record_sets
from ddnsd.registry.host_lists import Notices
from ddnsd.registry.moments import moment as moment
from ddnsd.registry.related_labels import label_of
from ddnsd.registry.rows import Happened, OwnedHost, Page, RRset
from ddnsd.web.api.errors import NOT_KEPT

T = TypeVar("T")


def json_response(text: str, status: int = 200, **headers: str) -> Response:
    """An answer with JSON text as its body; `_` in a header's name becomes `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(text, status, NOT_KEPT | named, "application/json")


def answer(content: Any, status: int = 200, **headers: str) -> Response:
    """An answer with a small JSON body."""
    return json_response(json.dumps(content), status, **headers)


def page(items: Iterable[str], following: int | None) -> Response:
    """A page of a list; `following` is the cursor of the next one."""
    cursor = "null" if following is None else f'"{following}"'
    return json_response(f'{{"items":[{",".join(items)}],"next":{cursor}}}')


def listing(found: Page[T], shown: Callable[[T], dict[str, Any]]) -> Response:
    """A page of a list; `shown` returns the object of an item."""
    return page((json.dumps(shown(item)) for item in found.items), found.next)


def event(happened: Happened) -> dict[str, Any]:
    """An event of the audit log, as an object."""
    return happened._asdict() | {"id": str(happened.id), "at": moment(happened.at)}


def host_json(
    owned: OwnedHost,
    dns: str,
    secret: str | None = None,
    notices: Notices | None = None,
    *,
    records: bool = True,
    tsig: Mapping[str, Any] | None = None,
) -> str:
    """A host as JSON text. `dns` is the result of `DnsState.of`; `secret` is a new secret, shown only once.

    `tsig` has further fields for the answer with the secret. Lists have no `notices`, and `records` only on request.
    """
    h = owned.host
    return (
        f'{{"fqdn":"{h.fqdn}","name":"{h.name}","domain":"{h.domain}","owner":{quoted(owned.owner)},'
        f'"ipv4":{_addresses(h.ipv4)},"ipv6":{_addresses(h.ipv6)},"alias":{_text(h.alias)},"wildcard":{_flag(h.wildcard)},"comment":{_text(h.comment)},'
        f'"ttl":{"null" if h.ttl is None else h.ttl},"stack":{_text(h.stack)},'
        f'"protect":{_flag(h.protect)},"ptr":{_flag(h.ptr)},"labels":{h.labels},'
        f'"available":{_flag(h.available)},"abuse":{_flag(h.abuse)},"abuse_blocked":{_flag(h.abuse_blocked)},'
        f'"block_reason":{_text(h.block_reason)},"blocked_by_domain":{_flag(h.blocked_by_domain)},"quarantined":{_flag(h.quarantined)},'
        f'"client_faults":{h.client_faults},"server_faults":{h.server_faults},'
        f'"updated_ipv4":{_text(moment(h.updated_ipv4))},"tls_ipv4":{_flag(h.tls_ipv4)},'
        f'"updated_ipv6":{_text(moment(h.updated_ipv6))},"tls_ipv6":{_flag(h.tls_ipv6)},'
        f'"created":{_text(moment(h.created))},"dns":"{dns}","conflict":{_text(conflicts.sentence(h.conflict))},'
        f'"rrsets":{len(owned.rrsets)}'
        + (_records(owned.rrsets) + _related(owned) if records else "")
        + ("" if notices is None else _notices(notices))
        + (f',"secret":"{secret}"' if secret else "")
        + "".join(f",{quoted(name)}:{json.dumps(value)}" for name, value in (tsig or {}).items())
        + "}"
    )


def _records(found: Sequence[RRset]) -> str:
    shown = {
        record_sets.key_of(one.place): record_sets.shown(one.ttl, one.data)
        | {"conflict": conflicts.sentence(one.conflict)}
        for one in found
    }
    return f',"records":{json.dumps(shown)}'


def _related(owned: OwnedHost) -> str:
    shown = {label_of(name.fqdn, owned.host.fqdn): name.interface_id for name in owned.related}
    return f',"related":{json.dumps(shown)}'


def addresses(text: str | None) -> str | list[str] | None:
    """The addresses of one family: one as a text, several as a list."""
    return text.split() if text and " " in text else text


def _addresses(text: str | None) -> str:
    return json.dumps(addresses(text)) if text and " " in text else _text(text)


def _notices(notices: Notices) -> str:
    warnings = json.dumps([str(reason) for reason in notices.warnings])
    pointers = json.dumps(
        [one._asdict() | {"reason": None if one.reason is None else str(one.reason)} for one in notices.pointers]
    )
    return f',"warnings":{warnings},"flapping_since":{_text(moment(notices.flapping_since))},"pointers":{pointers}'


def _text(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def _flag(value: object) -> str:
    return "true" if value else "false"
