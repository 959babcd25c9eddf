# SPDX-License-Identifier: GPL-3.0-or-later
"""The DS records of a zone and of its parent, for the API, the portal and the commands."""

from typing import Any

from ddnsd.dns import ds_records
from ddnsd.dns.ds_records import Comparison, ParentState


def as_json(found: Comparison) -> dict[str, Any]:
    """The fields of the API: records as values in presentation format, and what the parent has."""
    published, delegation = found.published, found.delegation
    return {
        "signed": bool(published.keys),
        "source": ("cds" if published.cds else "dnskey") if published.keys else None,
        "records": ds_records.texts(published.records),
        "lines": ds_records.lines(published.zone, published.records),
        "state": found.state.value,
        "parent": delegation.parent,
        "parent_records": None if delegation.problem else ds_records.texts(delegation.found),
        "problem": delegation.problem or None,
    }


def in_words(found: Comparison) -> str:
    """What the parent of a signed zone has, and the next step."""
    published, parent = found.published, found.delegation
    where = f"the parent {parent.parent}" if parent.parent else "the parent"
    match found.state:
        case ParentState.UNKNOWN:
            return f"{where} was not compared: {parent.problem}"
        case ParentState.MATCHING:
            return f"matching: {where} has exactly these DS records"
        case ParentState.MISSING:
            return f"missing: {where} has no DS record. {_step(found)}"
    missing, old = published.records - parent.found, parent.found - published.records
    parts = [f"it lacks key {_tags(missing)}"] if missing else []
    parts += [f"its records of key {_tags(old)} are old"] if old else []
    return f"outdated: {where} has other DS records: {', '.join(parts)}. {_step(found)}"


def unsigned(found: Comparison) -> str:
    """Why a zone has no DS records, and the next step."""
    zone, there = found.published.zone, found.delegation.found
    if not found.published.keys:
        text = f"{zone} is not signed"
        step = f"Sign it with `ddnsd domain set {zone} --dnssec-policy default`"
    else:
        text, step = f"{zone} asks its parent to remove its DS records (CDS)", "Its signatures end afterwards"
    if not there:
        return f"{text}. {step}"
    return f"{text}, but its parent has DS records (key {_tags(there)}). Remove them there"


def _step(found: Comparison) -> str:
    if found.published.cds:
        if found.delegation.parent:
            return "The service corrects this within seconds"
        return "Replace them by these" if found.delegation.found else "Add these"
    if found.delegation.parent is None:
        return (
            "Add these. The zone publishes no CDS records: if it was signed just now, wait until the TTL of its "
            "records has passed"
        )
    return "The service adds them when the zone publishes CDS records"


def _tags(records: frozenset[Any]) -> str:
    return ", ".join(str(tag) for tag in sorted({one.key_tag for one in records}))
