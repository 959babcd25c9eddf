# SPDX-License-Identifier: GPL-3.0-or-later
"""Database side of a call: read the rows of all changes in one step, and write the valid changes in one step."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection

from ddnsd.db import bulk_hosts, host_edits, pointers, queries, stacks
from ddnsd.db import records as rrsets
from ddnsd.db.bulk_hosts import NewRemoval
from ddnsd.db.history import SERVICE, Author, Entry
from ddnsd.db.host_updates import HostUpdate, write_host_update
from ddnsd.db.rows import Domain, Host, Related, RRset, endings, name_below, reversed_name
from ddnsd.db.wildcards import wildcard_name
from ddnsd.dns.conflicts import UNMANAGED
from ddnsd.dns.records import leaving, owned_names
from ddnsd.dns.writer import Place
from ddnsd.registry import history, host_columns, names, names_around, record_sets, transfers
from ddnsd.registry.related_labels import label_of
from ddnsd.registry.validation import Change, ChangeValidator, HostDiff, Result, Snapshot, Status, Verb, moved

OF_DOMAIN = (
    "domain",
    "domain_owner_id",
    "domain_available",
    "domain_ttl",
    "query_credentials",
    "private_addresses",
    "dns_updates",
)
OF_OWNER = ("owner_active", "withdrawn")
KEPT = frozenset(
    {
        "id",
        "version",
        "reverse_of",
        "claimed",
        "conflict",
        "has_rrsets",
        "created",
        "pending_since",
        *OF_DOMAIN,
        *OF_OWNER,
    }
)
COLUMNS = tuple(name for name in Host._fields if name not in KEPT)
"""Columns that a change may set."""

DEFAULTS = ("available", "abuse", "abuse_blocked", "block_reason", "blocked_by_domain", *host_columns.QUARANTINE)
NEW_COLUMNS = ("fqdn", "has_rrsets", *(name for name in COLUMNS if name not in ("fqdn", *DEFAULTS)))
"""Columns of a new host; the others have their defaults."""


RESTORED = (
    "fqdn",
    "name",
    "domain_id",
    "owner_id",
    "wildcard",
    "comment",
    "ttl",
    "stack",
    "protect",
    "ptr",
    "labels",
    "available",
    "abuse",
    "abuse_blocked",
    "block_reason",
    "blocked_by_domain",
    *host_columns.QUARANTINE,
    "secret_hash",
)
"""Columns that an undone rename restores, each one only if nobody changed it meanwhile."""

ADDRESSES = (
    "ipv4",
    "ipv6",
    "alias",
    "prefix",
    "interface_id",
    "inferred",
    "updated_ipv4",
    "tls_ipv4",
    "updated_ipv6",
    "tls_ipv6",
    "proved_ipv4",
    "proved_ipv6",
)
"""Columns that an undone rename restores together, and only if no update changed them meanwhile."""


@dataclass(frozen=True)
class Written:
    """The results of a written call, the hosts to send to DNS by domain id, and the names to remove from DNS."""

    results: list[Result]
    follow: Mapping[int, Sequence[int]]
    left: Mapping[Place, Collection[str]]


def places(row: HostDiff) -> dict[Place, Collection[str]]:
    """The names of the host to remove from zones, by domain id and name of the host."""
    return {(domain_id, row.before.fqdn): names for domain_id, names in row.left.items() if names} if row.before else {}


# ---- reading


def read(
    connection: Connection, changes: Sequence[Change], outside: Snapshot, user_id: int, *, lock: bool = False
) -> Snapshot:
    """Read all rows that the changes of this user name, and add them to `outside`. With `lock`, lock these rows."""
    named, new = bulk_hosts.aside(connection, lambda: _names(changes))
    around = bulk_hosts.aside(connection, lambda: {ending for fqdn in named | new for ending in endings(fqdn)})
    if lock:
        bulk_hosts.lock_users(
            connection, {str(change.values["owner"]) for change in changes if "owner" in change.values}
        )
        bulk_hosts.hold_domains(connection, around)
        bulk_hosts.lock_hosts(connection, named)
    hosts = {host.fqdn: host for host in bulk_hosts.hosts_named(connection, around)}
    related = bulk_hosts.related_of(connection, [hosts[fqdn].id for fqdn in named if fqdn in hosts])
    wanted_related = _names_of_related(changes)
    below = (_moved(changes, hosts, related) | wanted_related) - around
    hosts |= {host.fqdn: host for host in bulk_hosts.hosts_named(connection, below)}
    wild = {change.rename or change.fqdn for change in changes if change.verb is Verb.UPDATE and _may_claim(change)}
    sets = rrsets.of_hosts(connection, [hosts[fqdn] for fqdn in named if fqdn in hosts])
    claimed = new | below | set(map(wildcard_name, wild)) | _sets_moved(changes, hosts, sets) | _names_of_sets(changes)
    claimed |= {change.fqdn for change in changes if change.values.get("alias")}
    users = _users(connection, changes, hosts.values())
    above = bulk_hosts.aside(connection, lambda: _with_owners(changes, new, hosts, user_id))
    above |= _related_with_owners(changes, hosts, user_id)
    return replace(
        outside,
        hosts=hosts,
        domains={domain.name: domain for domain in bulk_hosts.domains_named(connection, around | below)},
        related=related,
        rrsets=sets,
        above_others=bulk_hosts.names_above_others(connection, above, hosts.keys()),
        related_names=bulk_hosts.related_named(connection, new | below),
        names_in_removal=bulk_hosts.names_being_removed(connection, claimed),
        reverse_zones=pointers.reverse_zones(connection).domains if _wants_pointers(changes, hosts) else (),
        users={user.name: user.id for user in users},
        inactive=frozenset(user.id for user in users if not user.active),
        **_rules(connection, _left_stacks(changes, hosts)),
    )


def _wants_pointers(changes: Iterable[Change], hosts: Mapping[str, Host]) -> bool:
    """Whether one of the hosts wants the reverse names of its addresses."""
    return any(change.values.get("ptr") or (change.fqdn in hosts and hosts[change.fqdn].ptr) for change in changes)


def _rules(connection: Connection, named: Collection[tuple[int, str]]) -> dict[str, Any]:
    rules = stacks.rules(connection, named)
    return {
        "protected": frozenset(key for key, rule in rules.items() if rule.protect),
        "gives": {key: rule.gives for key, rule in rules.items() if rule.gives},
    }


def _left_stacks(changes: Iterable[Change], hosts: Mapping[str, Host]) -> set[tuple[int, str]]:
    """(owner's id, name) of the stacks whose hosts are deleted, or get another stack."""
    leaving = (c.fqdn for c in changes if c.verb is Verb.DELETE or "stack" in c.values)
    found = (hosts[fqdn] for fqdn in leaving if fqdn in hosts)
    return {(host.owner_id, host.stack) for host in found if host.stack is not None}


def _users(connection: Connection, changes: Iterable[Change], hosts: Iterable[Host]) -> list[bulk_hosts.NamedUser]:
    """The users whom the changes name and the owners of the hosts; no users if the changes name none."""
    names = {str(values["owner"]) for c in changes for values in (c.values, c.expected) if "owner" in values}
    return bulk_hosts.users_known(connection, names, {host.owner_id for host in hosts}) if names else []


def takes_names(changes: Sequence[Change]) -> bool:
    """Whether one of the changes may give a host a new name."""
    return any(
        change.verb is Verb.CREATE or change.rename is not None or bool(change.values.get("related"))
        for change in changes
    )


def domains_around(connection: Connection, changes: Sequence[Change]) -> list[Domain]:
    """The domains that may contain the new names of the changes."""
    _, new = bulk_hosts.aside(connection, lambda: _names(changes))
    new |= _names_of_related(changes)
    return bulk_hosts.domains_named(connection, {ending for fqdn in new for ending in endings(fqdn)})


def _names(changes: Iterable[Change]) -> tuple[set[str], set[str]]:
    """(names of hosts that may exist, new names) of the changes, without malformed names."""
    named: set[str] = set()
    new: set[str] = set()
    for change in changes:
        (new if change.verb is Verb.CREATE else named).add(change.fqdn)
        if change.rename is not None:
            new.add(change.rename)
    return {n for n in named if names.problem(n) is None}, {n for n in new if names.problem(n) is None}


def _may_claim(change: Change) -> bool:
    """Whether the change may give an existing host another name."""
    return change.rename is not None or bool(change.values.get("wildcard"))


def _with_owners(
    changes: Iterable[Change], new: Set[str], hosts: Mapping[str, Host], user_id: int
) -> set[tuple[str, int]]:
    """(name, owner's id) of the `new` names, and of the hosts that may get a wildcard."""
    found: set[tuple[str, int]] = set()
    for change in changes:
        if change.verb is Verb.CREATE:
            found.add((change.fqdn, user_id))
        elif _may_claim(change) and change.fqdn in hosts:
            found.add((change.rename or change.fqdn, hosts[change.fqdn].owner_id))
    return {(name, owner_id) for name, owner_id in found if name in new or name in hosts}


def _moved(changes: Iterable[Change], hosts: Mapping[str, Host], related: Mapping[int, Sequence[Related]]) -> set[str]:
    """The related names of renamed hosts, as they would be after the renames."""
    return {
        moved(name, change.fqdn, change.rename).fqdn
        for change in changes
        if change.rename is not None and change.fqdn in hosts
        for name in related.get(hosts[change.fqdn].id, ())
    }


def _sets_moved(changes: Iterable[Change], hosts: Mapping[str, Host], sets: Mapping[int, Sequence[RRset]]) -> set[str]:
    """The names of RRsets of renamed hosts, as they would be after the renames."""
    return {
        one.name(change.rename)
        for change in changes
        if change.rename is not None and change.fqdn in hosts
        for one in sets.get(hosts[change.fqdn].id, ())
    }


def _names_of_sets(changes: Iterable[Change]) -> set[str]:
    """The names of RRsets that the changes set, without malformed names."""
    return {
        name_below(prefix, change.fqdn)
        for change in changes
        for prefix, _ in map(record_sets.split, change.values.get("records") or ())
        if record_sets.is_prefix(prefix) and names.problem(change.fqdn) is None
    }


def _names_of_related(changes: Iterable[Change]) -> set[str]:
    """The related names that the changes set, without malformed names."""
    found = {
        f"{names.fold(label)}.{change.fqdn}"
        for change in changes
        for label, interface_id in (change.values.get("related") or {}).items()
        if interface_id is not None
    }
    return {name for name in found if names.problem(name) is None}


def _related_with_owners(changes: Iterable[Change], hosts: Mapping[str, Host], user_id: int) -> set[tuple[str, int]]:
    """(related name that a change sets, id of its host's owner)."""
    return {
        (name, hosts[change.fqdn].owner_id if change.fqdn in hosts else user_id)
        for change in changes
        for name in _names_of_related([change])
    }


# ---- writing


def write(
    connection: Connection,
    validator: ChangeValidator,
    results: list[Result],
    actor: str,
    client_ip: str | None,
    author: Author,
) -> Written:
    """Write the changes that the validator accepted. Results that wait for DNS become pending.

    Raises IntegrityError if a name was taken meanwhile, and NamesChanged if one above or below it was.
    """
    rows = validator.rows
    _hold_above(connection, validator)
    names_in_removal = bulk_hosts.aside(
        connection, lambda: [name for row in rows for name in _removals(row, validator.snapshot)]
    )
    bulk_hosts.delete_hosts(connection, [row.before.id for row in rows if row.before and row.now is None])
    bulk_hosts.add_removals(connection, names_in_removal)
    rrsets.recall(connection, names_in_removal)
    arrived, wild = _arrived(rows), list(_new_wildcards(rows))
    taken = [host.fqdn for host in arrived] + [wildcard_name(host.fqdn) for host in wild]
    ours = bulk_hosts.reclaim(connection, taken + [new.fqdn for row in rows for new in row.related.values() if new])
    _update(connection, rows, ours, validator.snapshot)
    known = validator.snapshot.hosts.keys() | {host.fqdn for host in arrived}
    above = list(names_around.free_above(connection, arrived, known))
    _insert(connection, [row for row in rows if row.before is None and row.now], ours, above)
    _write_rrsets(connection, rows, validator.snapshot)
    _write_related(connection, rows, validator.snapshot)
    names_around.check_below(connection, {(host.fqdn, host.owner_id) for host in (*arrived, *wild)}, known)
    bulk_hosts.add_events(connection, actor, client_ip, validator.events)
    bulk_hosts.add_history(connection, bulk_hosts.aside(connection, lambda: list(_entries(validator, author))))
    for result in results:
        if result.follow and result.status is Status.APPLIED:
            result.status = Status.PENDING
    left = {place: names for row in rows for place, names in places(row).items()}
    follow: dict[int, dict[int, None]] = {}
    for result in results:
        if result.follow and result.row and (host := result.row.now):
            follow.setdefault(host.domain_id, {})[host.id] = None
    return Written(results, {d: list(ids) for d, ids in follow.items()}, left)


def _arrived(rows: Iterable[HostDiff]) -> list[Host]:
    """The hosts with a new name."""
    return [row.now for row in rows if row.now and (row.before is None or row.before.fqdn != row.now.fqdn)]


def _hold_above(connection: Connection, validator: ChangeValidator) -> None:
    """Keep the hosts above new names, apart from those whose names the call itself takes away."""
    kept = {row.before.fqdn: row.before for row in validator.rows if row.before and row.now}
    names_around.hold_above(connection, _arrived(validator.rows), kept)


def _entries(validator: ChangeValidator, author: Author) -> Iterable[Entry]:
    """The history entries of the call: per host one for all its edits, one for a new secret, one for its deletion."""
    for row in validator.rows:
        before, now = row.before, row.now
        if now is before:
            continue
        if now is None:
            assert before is not None
            yield history.end(before, _without_origin(author) if validator.acts_for_domain(before) else author)
            continue
        if before is None:
            yield history.beginning(now, author)
            if row.rrsets:
                yield _entry_of_rrsets(row, now, validator.snapshot, author)
            if row.related:
                yield _entry_of_related(row, now, validator.snapshot, author)
            continue
        by = _without_origin(author) if validator.acts_for_domain(before) else author
        changed = {name for name in ("owner_id", "secret_hash") if getattr(now, name) != getattr(before, name)}
        if entry := history.edit(before, now, by, validator.owners, transfers.note(changed)):
            yield entry
        if row.rrsets:
            yield _entry_of_rrsets(row, now, validator.snapshot, by)
        if row.related:
            yield _entry_of_related(row, now, validator.snapshot, by)
        if changed == {"secret_hash"}:
            yield history.rotation(now, author)


def _entry_of_rrsets(row: HostDiff, host: Host, snapshot: Snapshot, author: Author) -> Entry:
    """One history entry for all RRsets of the host that the call changes."""
    was, now = (
        {record_sets.key_of(place): one and record_sets.shown(one.ttl, one.data) for place, one in found.items()}
        for found in ({place: _present(row, snapshot).get(place) for place in row.rrsets}, row.rrsets)
    )
    return history.of_records(host, author, was, now)


def _entry_of_related(row: HostDiff, host: Host, snapshot: Snapshot, author: Author) -> Entry:
    """One history entry for all related names of the host that the call changes."""
    had = _present_related(row, snapshot)
    was = {label: one.interface_id if (one := had.get(label)) else None for label in row.related}
    return history.of_related(
        host, author, was, {label: new and new.interface_id for label, new in row.related.items()}
    )


def _present_related(row: HostDiff, snapshot: Snapshot) -> dict[str, Related]:
    """The related names of the host before the call, by label."""
    before = row.before
    return {label_of(one.fqdn, before.fqdn): one for one in snapshot.related.get(before.id, ())} if before else {}


def _present(row: HostDiff, snapshot: Snapshot) -> dict[record_sets.Place, RRset]:
    """The RRsets of the host before the call."""
    return {one.place: one for one in snapshot.rrsets.get(row.before.id, ())} if row.before else {}


def _without_origin(author: Author) -> Author:
    """The author as another user may see them: the host's owner reads the entry."""
    return Author(author.actor, via=author.via)


def _removals(row: HostDiff, snapshot: Snapshot) -> Iterable[NewRemoval]:
    """The names to remove from the zone because the host no longer has them."""
    host = row.before
    if host is None or row.now is host:
        return
    if row.now is not None and host.conflict is not None and not host.claimed:
        return  # it has no records in the zone
    published_names = leaving(host, snapshot.related.get(host.id, ()))
    left = row.left.setdefault(host.domain_id, set())
    if row.now is None or row.now.fqdn != host.fqdn:
        sets = list(rrsets.new_removals(host, snapshot.rrsets.get(host.id, ())))
        left.update(one.fqdn for one in sets)
        yield from sets
    if row.now is not None and row.now.fqdn == host.fqdn:
        gone = [one for place, one in _present(row, snapshot).items() if row.rrsets.get(place, one) is None]
        sets = list(rrsets.new_removals(host, gone))
        left.update(one.fqdn for one in sets)
        yield from sets
        gone_names = {f"{label}.{host.fqdn}" for label, new in row.related.items() if new is None}
        gone_names |= set() if row.now.wildcard else {wildcard_name(host.fqdn)}
        published_names = [name for name in published_names if name.fqdn in gone_names]
    for name in published_names:
        left.add(name.fqdn)
        yield NewRemoval(host.domain_id, *name, exact=not host.claimed)


def _new_wildcards(rows: Iterable[HostDiff]) -> Iterable[Host]:
    return (r.now for r in rows if r.before and r.now and r.now.wildcard and not r.before.wildcard)


def _update(connection: Connection, rows: Iterable[HostDiff], ours: Mapping[str, bool], snapshot: Snapshot) -> None:
    shown: dict[int, dict[str, Any]] = {}
    others: dict[int, dict[str, Any]] = {}
    for row in rows:
        before, now = row.before, row.now
        if before is None or now is None or now is before:
            continue
        values = {name: getattr(now, name) for name in COLUMNS if getattr(now, name) != getattr(before, name)}
        if "fqdn" in values:
            aliased = now.alias is not None or ours.get(now.fqdn, False)
            values |= {"claimed": now.fqdn in ours, "conflict": None, "reversed_name": _reversed_name(now)}
            values["aliased"] = aliased
        if any(new and ours.get(new.fqdn) for new in row.related.values()):
            values["aliased"] = True
        if row.rrsets:
            values["has_rrsets"] = now.has_rrsets
        (shown if row.related or host_columns.is_shown(before, values) else others)[before.id] = values
        if "fqdn" in values and snapshot.related.get(before.id):
            host_edits.rename_related(connection, before.id, before.fqdn, now.fqdn)
    rrsets.claim_at_new_names(connection, [r.now for r in rows if r.before and r.now and r.before.fqdn != r.now.fqdn])
    unclaimed = [row.before.id for row in rows if row.before and not row.before.claimed and row.before.id in shown]
    bulk_hosts.update_hosts(connection, shown, unclaimed)
    bulk_hosts.set_hosts(connection, {host_id: values for host_id, values in others.items() if values})
    bulk_hosts.leave_keys_of_others(
        connection, [i for i, values in (shown | others).items() if "secret_hash" in values]
    )


def _insert(connection: Connection, rows: Sequence[HostDiff], ours: Mapping[str, bool], above: Sequence[Host]) -> None:
    """Insert the new hosts in the order of names, with those of `above`, which are deleted again."""
    new = [*(row.now for row in rows if row.now), *above]
    values = bulk_hosts.aside(
        connection, lambda: [(*_new_values(_at(host, ours)), host.fqdn in ours, _reversed_name(host)) for host in new]
    )
    ids = bulk_hosts.insert_hosts(connection, (*NEW_COLUMNS, "claimed", "reversed_name"), values)
    for row in rows:
        if row.now is not None:
            row.now = row.now._replace(id=ids[row.now.fqdn])
    if above:
        bulk_hosts.delete_hosts(connection, [ids[host.fqdn] for host in above])


def _write_rrsets(connection: Connection, rows: Iterable[HostDiff], snapshot: Snapshot) -> None:
    """Write the changed RRsets; the removals of those that go are already there."""
    for row in rows:
        if row.now is None or not row.rrsets:
            continue
        present = _present(row, snapshot)
        if row.before and row.before.fqdn != row.now.fqdn:  # claimed anew at the new name
            present = {one.place: one for one in rrsets.of_host(connection, row.now.id)}
        rrsets.delete_rows(connection, [one.id for place, one in present.items() if row.rrsets.get(place, one) is None])
        for place, new in row.rrsets.items():
            if new is not None:
                rrsets.put(connection, row.now, present.get(place), place, new.ttl, new.data)


def _write_related(connection: Connection, rows: Iterable[HostDiff], snapshot: Snapshot) -> None:
    """Write the changed related names; the removals of those that go are already there."""
    for row in rows:
        if row.now is None or not row.related:
            continue
        present = _present_related(row, snapshot)
        for label, new in row.related.items():
            one = present.get(label)
            if one is None and new is not None:
                host_edits.add_related(connection, row.now.id, new.fqdn, new.interface_id)
            elif one is not None and new is not None:
                host_edits.set_related(connection, one.id, new.interface_id)
            elif one is not None:
                host_edits.delete_related(connection, one.id)


def _at(host: Host, ours: Mapping[str, bool]) -> Host:
    """The new host; a CNAME record of ours may still be at its name."""
    return host._replace(aliased=True) if ours.get(host.fqdn) else host


def _reversed_name(host: Host) -> str | None:
    """The column of the host, which only hosts with several labels within the domain have."""
    return reversed_name(host.fqdn) if "." in host.name else None


_new_values = attrgetter(*NEW_COLUMNS)


# ---- undoing


def take_back(connection: Connection, created: Mapping[int, bool]) -> set[int]:
    """Delete new hosts that DNS does not have. Returns the ids of the domains with names to remove.

    These are names that were already being removed when the hosts took them, and the names of hosts that are True in
    `created`: an abandoned message may still add these to the zone.
    """
    left = [host for host in queries.hosts_by_id(connection, created) if host.claimed or created[host.id]]
    sets = rrsets.of_hosts(connection, left)
    related = queries.related_of(connection, [host.id for host in left])
    for host in left:
        rrsets.leave(connection, host, sets.get(host.id, ()))
        names = leaving(host, related.get(host.id, ()))
        queries.add_removals(connection, names, domain_id=host.domain_id, exact=not host.claimed)
    bulk_hosts.delete_hosts(connection, created)
    return {host.domain_id for host in left}


def undo_rename(connection: Connection, old: Host, new: Host) -> bool:
    """Restore the host's old name, and the values that were changed with it.

    Returns False if the host no longer has the new name, or cannot have the old one again. Raises IntegrityError or
    NamesChanged if the name, or one above or below it, was taken meanwhile.
    """
    bulk_hosts.hold_domains(connection, endings(old.fqdn))
    current = host_edits.locked_host(connection, new.fqdn)
    if current is None or current.id != old.id:
        return False
    values = {name: getattr(old, name) for name in RESTORED if getattr(current, name) == getattr(new, name)}
    if all(getattr(current, name) == getattr(new, name) for name in ADDRESSES):  # no update came meanwhile
        values |= {name: getattr(old, name) for name in ADDRESSES}
    back = current._replace(fqdn=old.fqdn, name=old.name, owner_id=values.get("owner_id", current.owner_id))
    above = {host.fqdn: host for host in queries.hosts_named(connection, names_around.names_above(back))}
    if not _may_return(connection, current, old) or not _is_among_own(connection, back, above):
        return False
    names_around.hold_above(connection, [back], above)
    ours = bulk_hosts.reclaim(connection, [old.fqdn])
    values |= {"claimed": old.fqdn in ours, "conflict": None, "reversed_name": _reversed_name(old)}
    values["aliased"] = ours.get(old.fqdn, False) or values.get("alias", current.alias) is not None
    write_host_update(connection, HostUpdate(old.id, values))
    _insert(connection, [], {}, list(names_around.free_above(connection, [back], above)))
    names_around.check_below(connection, {(back.fqdn, back.owner_id)}, frozenset())
    host_edits.rename_related(connection, old.id, current.fqdn, old.fqdn)
    rrsets.claim_at_new_names(connection, [current._replace(fqdn=old.fqdn, domain_id=old.domain_id)])
    detail = f"back from {current.fqdn}: {UNMANAGED}"
    history.edited(connection, current, values, SERVICE, str(UNMANAGED))
    queries.add_event(connection, "ddnsd", "host.rename", old.fqdn, None, detail, owner_id=old.owner_id)
    return True


def _is_among_own(connection: Connection, host: Host, above: Mapping[str, Host]) -> bool:
    """Whether all hosts above and below this one belong to its owner."""
    if any(other.owner_id != host.owner_id for other in above.values()):
        return False
    return not bulk_hosts.names_above_others(connection, [(host.fqdn, host.owner_id)], ())


def _may_return(connection: Connection, host: Host, old: Host) -> bool:
    closest = queries.closest_domain(connection, old.fqdn)
    if queries.taken(connection, old.fqdn) or closest is None or closest.id != old.domain_id:
        return False
    related = queries.related_of(connection, [host.id]).get(host.id, ())
    sets = rrsets.of_hosts(connection, [host]).get(host.id, ())
    below = [moved(name, host.fqdn, old.fqdn) for name in related]
    return names.owned_problem(old.fqdn, owned_names(host._replace(fqdn=old.fqdn), below, sets)) is None
