# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of a host that its owner or an administrator can set, as columns of its row."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ddnsd.db import queries
from ddnsd.db.rows import Host, addresses_of
from ddnsd.dns import rdata
from ddnsd.registry.addresses import Address, AddressUpdate, ipv6_columns, parse_address
from ddnsd.registry.errors import Code, DeniedAddress, Invalid, InvalidAddress, Reason
from ddnsd.registry.policy import Policy

FAMILIES = {"ipv4": 4, "ipv6": 6}
PLAIN = ("wildcard", "comment", "ttl", "stack", "protect", "ptr", "available", "owner_id")
COMMENT_LENGTH = 255
ALIAS_LENGTH = 255
MOST_ADDRESSES = 16
"""Maximum number of addresses of one family."""

QUARANTINE = ("quarantine_ipv4", "quarantine_ipv6")
BLOCKING = (*QUARANTINE, "blocked_by_domain")
RELEASED = dict.fromkeys(QUARANTINE)
UNBLOCKED = {
    "abuse_blocked": False,
    "block_reason": None,
    "blocked_by_domain": False,
    "abuse": False,
    "client_faults": 0,
    "server_faults": 0,
    **RELEASED,
}

SHOWN_BY_DNS = frozenset(
    {"fqdn", "ipv4", "ipv6", "alias", "prefix", "wildcard", "ttl", "abuse_blocked", "has_rrsets", *QUARANTINE}
)
"""Columns whose changes must be sent to DNS."""


def is_shown(host: Host, values: Mapping[str, Any]) -> bool:
    """Whether a change of these columns must be sent to DNS. A new owner restores removed records."""
    return bool(SHOWN_BY_DNS & values.keys()) or (host.withdrawn and "owner_id" in values)


def _address(field: str, text: str) -> Address:
    """An address for the field `ipv4` or `ipv6`. Raises Invalid for this field."""
    try:
        parsed = parse_address(text)
    except InvalidAddress:
        raise Invalid(**{field: Reason(Code.ADDRESS_UNUSABLE, address=text)}) from None
    if parsed.version != FAMILIES[field] or "/" in text:
        raise Invalid(**{field: Reason(Code.ADDRESS_OF_OTHER_FAMILY, address=text, version=FAMILIES[field])})
    return parsed


def addresses(field: str, texts: Sequence[str]) -> str:
    """The column `ipv4` or `ipv6` for these addresses, in numeric order. Raises Invalid for this field."""
    if not 1 <= len(texts) <= MOST_ADDRESSES:
        raise Invalid(**{field: Reason(Code.ADDRESS_COUNT, limit=MOST_ADDRESSES)})
    found = {_address(field, text) for text in texts}
    return " ".join(str(one) for one in sorted(found, key=int))


def alias(text: str) -> str:
    """The canonical target of an alias. Raises Invalid for the field `alias`."""
    try:
        target = rdata.canonical("CNAME", text)
    except rdata.RelativeName as error:
        raise Invalid(alias=Reason(Code.VALUE_RELATIVE, name=str(error))) from None
    except rdata.BadValue:
        target = ""
    if not 1 < len(target) <= ALIAS_LENGTH:
        raise Invalid(alias=Reason(Code.VALUE_INVALID, value=text, rtype="CNAME", example="front.example.net."))
    return target


def check_values(policy: Policy, values: Mapping[str, Any], *, domain_takes_private: bool) -> None:
    """Check the length of the comment, and the addresses against the policy. Raises Invalid for the field."""
    if len(values.get("comment") or "") > COMMENT_LENGTH:
        raise Invalid(comment=Reason(Code.TEXT_TOO_LONG, limit=COMMENT_LENGTH))
    for field in FAMILIES:
        for text in addresses_of(values.get(field)):
            try:
                update = AddressUpdate(ipv4=text) if field == "ipv4" else AddressUpdate(ipv6=text)
                policy.check(update, domain_takes_private=domain_takes_private)
            except (DeniedAddress, InvalidAddress):
                raise Invalid(**{field: Reason(Code.ADDRESS_NOT_ACCEPTED, address=text)}) from None


def check_block_reason(host: Host, values: Mapping[str, Any]) -> None:
    """Check that a reason for a block is given only for a host that is blocked, or will be. Raises Invalid."""
    if values.get("block_reason") and not values.get("abuse_blocked", host.abuse_blocked):
        raise Invalid(block_reason=Reason(Code.REASON_WITHOUT_BLOCK))


def with_quarantine(policy: Policy, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values with the columns for `quarantined`: true also blocks the host, false leaves it blocked.

    Raises Invalid if the operator has configured no addresses, or if the values remove the block.
    """
    if "quarantined" not in values:
        return values
    others = {name: value for name, value in values.items() if name != "quarantined"}
    if not values["quarantined"]:
        return others | RELEASED
    if policy.quarantine == (None, None):
        raise Invalid(quarantined=Reason(Code.QUARANTINE_WITHOUT_ADDRESSES))
    if others.get("abuse_blocked") is False:
        raise Invalid(quarantined=Reason(Code.QUARANTINE_WITHOUT_BLOCK))
    return others | {"abuse_blocked": True} | dict(zip(QUARANTINE, policy.quarantine, strict=True))


_LABELS = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as stored: JSON, sorted, ASCII."""
    return _LABELS.encode(dict(labels))


def columns(host: Host, values: Mapping[str, Any], *, tls: bool) -> dict[str, Any]:
    """The columns that `values` change, with their new values; {} if they change nothing.

    `values` may hold `ipv4`, `ipv6`, `alias`, `labels` (a mapping), `abuse_blocked`, `block_reason` and those of
    `BLOCKING` and `PLAIN`. Addresses are canonical text. None removes a value.
    """
    wanted = {name: values[name] for name in ("ipv4", *PLAIN) if name in values}
    if "alias" in values:
        wanted |= {"alias": values["alias"]} | ({"aliased": True} if values["alias"] else {})
    if "ipv6" in values and (values["ipv6"] is None or values["ipv6"] != host.ipv6):
        wanted |= ipv6_columns(values["ipv6"]) if values["ipv6"] else {"ipv6": None, "prefix": None}
    if "labels" in values:
        wanted["labels"] = labels_text(values["labels"])
    if "abuse_blocked" in values:
        wanted |= {"abuse_blocked": True} if values["abuse_blocked"] else UNBLOCKED
    wanted |= {name: values[name] for name in BLOCKING if name in values and name not in wanted}
    if "block_reason" in values:
        wanted["block_reason"] = values["block_reason"] or None
    changed = {name: value for name, value in wanted.items() if getattr(host, name) != value}
    if changed.keys() <= {"client_faults", "server_faults"}:
        return {}
    return changed | _of_update(host, changed, tls)


def _of_update(host: Host, changed: Iterable[str], tls: bool) -> dict[str, Any]:
    """Time and TLS flag of the changed addresses. A changed address is no longer a guess."""
    families = [family for family in FAMILIES if family in changed]
    stamps: dict[str, Any] = {}
    for family in families:
        stamps |= {f"updated_{family}": queries.now(), f"tls_{family}": tls}
    return stamps | ({"inferred": None} if host.inferred in families else {})
