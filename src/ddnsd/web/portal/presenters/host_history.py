# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of a host's history, as texts in the user's language."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ddnsd.registry.rows import HistoryEntry
from ddnsd.web.portal.i18n import N_, Language

KINDS = {
    "register": N_("added"),
    "update": N_("address"),
    "edit": N_("edited"),
    "secret": N_("new secret"),
    "block": N_("blocked"),
    "unblock": N_("block lifted"),
    "flag": N_("flagged"),
    "limit": N_("too many changes"),
    "held": N_("name in use"),
    "resumed": N_("name free again"),
    "flapping": N_("flapping"),
    "repaired": N_("repaired in DNS"),
    "issued": N_("certificate"),
    "expiring": N_("certificate ends soon"),
    "delete": N_("deleted"),
}

FIELDS = {
    "fqdn": N_("Name"),
    "ipv4": N_("IPv4"),
    "ipv6": N_("IPv6"),
    "alias": N_("Alias of"),
    "prefix": N_("IPv6 prefix"),
    "wildcard": N_("Wildcard"),
    "comment": N_("Comment"),
    "ttl": N_("TTL"),
    "stack": N_("Stack"),
    "protect": N_("Protected from deletion"),
    "ptr": N_("Reverse names"),
    "labels": N_("Labels"),
    "related": N_("Related names"),
    "records": N_("Records"),
    "zone": N_("In the zone"),
    "available": N_("Updates are accepted"),
    "owner": N_("Owner"),
    "abuse": N_("Flagged"),
    "abuse_blocked": N_("Blocked for abuse"),
    "block_reason": N_("Reason of the block"),
    "blocked_by_domain": N_("Blocked by the owner of the domain"),
    "quarantined": N_("In quarantine"),
}

VIA = {
    "host": N_("with its secret"),
    "key": N_("with a key"),
    "device": N_("with its device's key"),
    "token": N_("with a token"),
    "user": N_("in the portal"),
    "enrolment": N_("at its first boot"),
    "service": N_("by a rule of the service"),
}


class FieldChange(NamedTuple):
    """A changed field, and its values as text; "" for no value."""

    name: str
    before: str
    after: str


class HistoryView(NamedTuple):
    """An entry with its texts: `kind` says what was done, `via` with which credentials."""

    entry: HistoryEntry
    kind: str
    fields: list[FieldChange]
    via: str

    @classmethod
    def of(cls, language: Language, entry: HistoryEntry) -> "HistoryView":
        """The view of an entry in that language."""
        before, after = entry.before or {}, entry.after or {}
        fields = [
            FieldChange(language.gettext(text), _text(language, before, name), _text(language, after, name))
            for name, text in FIELDS.items()
            if name in before or name in after
        ]
        kind, via = KINDS.get(entry.kind, entry.kind), VIA.get(entry.via, entry.via)
        return cls(entry, language.gettext(kind), fields, language.gettext(via))


def _text(language: Language, values: Mapping[str, Any], name: str) -> str:
    match values.get(name):
        case None:
            return ""
        case True:
            return language.gettext("yes")
        case False:
            return language.gettext("no")
        case list() as several:
            return " ".join(map(str, several))
        case dict() as members:
            there = {key: value for key, value in sorted(members.items()) if value is not None and value != []}
            return ", ".join(f"{key}={_member(value)}" for key, value in there.items())
        case value:
            return str(value)


def _member(value: Any) -> str:
    """A related name's interface id, a label's value, an RRset, or values in the zone."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if not isinstance(value, Mapping):
        return str(value)
    ttl = f" ({value['ttl']} s)" if value["ttl"] else ""
    return " ".join(value["values"]) + ttl
