# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of a host that its owner or an administrator sets, as columns of its row."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ddnsd.db import queries
from ddnsd.db.rows import Host
from ddnsd.registry.addresses import AddressUpdate, ipv6_columns, parse_address
from ddnsd.registry.errors import Code, DeniedAddress, Invalid, InvalidAddress, Reason
from ddnsd.registry.policy import Policy

FAMILIES = {"ipv4": 4, "ipv6": 6}
PLAIN = ("wildcard", "comment", "ttl", "stack", "available", "owner_id")
COMMENT_LENGTH = 255
UNBLOCKED = {"abuse_blocked": False, "abuse": False, "client_faults": 0, "server_faults": 0}

SHOWN_BY_DNS = frozenset({"fqdn", "ipv4", "ipv6", "prefix", "wildcard", "ttl", "abuse_blocked"})
"""Columns whose change DNS has to follow."""


def is_shown(host: Host, values: Mapping[str, Any]) -> bool:
    """Whether DNS has to follow a change of these columns; a new owner brings back records that were removed."""
    return bool(SHOWN_BY_DNS & values.keys()) or (host.withdrawn and "owner_id" in values)


def address(field: str, text: str) -> str:
    """The canonical text of an address for the field `ipv4` or `ipv6`. Raises Invalid, naming it."""
    try:
        parsed = parse_address(text)
    except InvalidAddress:
        raise Invalid(**{field: Reason(Code.ADDRESS_UNUSABLE, address=text)}) from None
    if parsed.version != FAMILIES[field] or "/" in text:
        raise Invalid(**{field: Reason(Code.ADDRESS_OF_OTHER_FAMILY, address=text, version=FAMILIES[field])})
    return str(parsed)


def check_values(policy: Policy, values: Mapping[str, Any], *, domain_takes_private: bool) -> None:
    """Whether the comment has room, and the operator takes the addresses. Raises Invalid, naming the field."""
    if len(values.get("comment") or "") > COMMENT_LENGTH:
        raise Invalid(comment=Reason(Code.TEXT_TOO_LONG, limit=COMMENT_LENGTH))
    for field in FAMILIES:
        if text := values.get(field):
            try:
                policy.check(AddressUpdate(**{field: text}), domain_takes_private=domain_takes_private)
            except (DeniedAddress, InvalidAddress):
                raise Invalid(**{field: Reason(Code.ADDRESS_NOT_ACCEPTED, address=text)}) from None


_LABELS = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as they are stored: JSON, sorted, ASCII."""
    return _LABELS.encode(dict(labels))


def columns(host: Host, values: Mapping[str, Any], *, tls: bool) -> dict[str, Any]:
    """The columns that `values` change: `ipv4`, `ipv6`, `labels` (a mapping), `abuse_blocked` and those of `PLAIN`.

    {} when they change nothing. Addresses are canonical text; None clears.
    """
    wanted = {name: values[name] for name in ("ipv4", *PLAIN) if name in values}
    if "ipv6" in values and (values["ipv6"] is None or values["ipv6"] != host.ipv6):
        wanted |= ipv6_columns(values["ipv6"]) if values["ipv6"] else {"ipv6": None, "prefix": None}
    if "labels" in values:
        wanted["labels"] = labels_text(values["labels"])
    if "abuse_blocked" in values:
        wanted |= {"abuse_blocked": True} if values["abuse_blocked"] else UNBLOCKED
    changed = {name: value for name, value in wanted.items() if getattr(host, name) != value}
    if changed.keys() <= {"client_faults", "server_faults"}:
        return {}
    return changed | _of_update(host, changed, tls)


def _of_update(host: Host, changed: Iterable[str], tls: bool) -> dict[str, Any]:
    """When a family was changed, and that nothing about it is a guess any more."""
    families = [family for family in FAMILIES if family in changed]
    stamps: dict[str, Any] = {}
    for family in families:
        stamps |= {f"updated_{family}": queries.now(), f"tls_{family}": tls}
    return stamps | ({"inferred": None} if host.inferred in families else {})
