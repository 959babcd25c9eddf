# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks whether a plan still matches the server, and what an interrupted run has left to do.

What is left of a change depends on its state in the journal:

    done         nothing
    refused      nothing, if its preconditions do not hold now; otherwise the unchanged change
    uncertain    if its call can be replayed, within a day and with the same token: that call; its answer has the
                 secrets of the first one
                 otherwise, depending on what is registered now:

    create   absent: the change · ours: the fields that differ, then a new secret instead of the first one, unless
             that was written · another user's: the change, which the server refuses
    update   its values are set: nothing · otherwise: the change, with its preconditions (adopt likewise)
    delete   absent: nothing · otherwise: the change
    rotate   the change
    replace  absent: a create with its values · its fixed fields are set: as a create that is ours
             · otherwise: the change
    key      a create: another one instead of the first, unless its secret was written · otherwise: the change
    certificate   the change: it orders nothing if the files are as planned
    move     a rename: the change, unless it is done · a new registration: as a create, and the old name's deletion
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Mapping, Sequence, Tuple

from . import records
from .api import Server
from .changes import Action, Change
from .errors import Problem
from .journal import Call, State
from .model import Domain, Host, Registered, Sentinel
from .stack_changes import after_rename

ADDRESSES = ("ipv4", "ipv6")
REPLAYED = 23 * 3600
"""Seconds during which a call is replayed. Services keep answers for a day; an hour is for clocks that differ."""

Steps = Tuple[Change, ...]


@dataclass(frozen=True)
class Rest:
    """The work that is left of a plan, by the indexes of its changes."""

    work: Mapping[int, Steps]
    """The steps of changes that are sent again: usually the change itself."""
    replays: tuple[Call, ...] = ()
    """Calls that are repeated unchanged."""
    replayed: frozenset[int] = frozenset()
    """The changes that need the answers of these calls."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Changes that stay refused, with the reason."""

    def changes(self, planned: Sequence[Change]) -> tuple[Change, ...]:
        """The work to show to the user: planned changes, or the steps that are left of them."""
        shown = {index: (planned[index],) for index in self.replayed}
        return tuple(change for _index, steps in sorted({**shown, **self.work}.items()) for change in steps)


def remaining(changes: Sequence[Change], state: State, server: Server, *, same_token: bool = True) -> Rest:
    """The work for a resumed run. Reads from the server if necessary. Raises ServerError.

    `same_token`: this run has the same token as the run that wrote the journal. Otherwise calls cannot be replayed.
    """
    fresh = time.time() - REPLAYED
    again = same_token and server.capabilities.replays
    replays = tuple(call for call in state.calls if again and call.at > fresh)
    replayed = frozenset(index for call in replays for index in call.indexes) & state.uncertain
    looked = (state.uncertain - replayed) | state.refused
    work: dict[int, Steps] = {i: (c,) for i, c in enumerate(changes) if i not in state.done | replayed}
    refused: dict[int, str] = {}
    if looked:
        registered = after_rename(changes, server.registered(names_of(changes[index] for index in looked)))
        for index in looked:
            if index in state.uncertain:
                work[index] = remaining_work(changes[index], registered, kept=index in state.kept)
            elif problems := moved(changes[index], registered):
                refused[index] = "; ".join(map(str, problems))
    left = {index: steps for index, steps in work.items() if steps and index not in refused}
    return Rest(left, replays, replayed, refused)


def names_of(changes: Iterable[Change]) -> list[str]:
    """The names of the hosts in the changes, including former names."""
    return sorted({name for c in changes if c.kind == "host" for name in (c.name, c.source) if name})


def check(changes: Sequence[Change], registered: Registered) -> tuple[Problem, ...]:
    """All preconditions of the changes that no longer hold."""
    problems: list[Problem] = []
    registered = after_rename(changes, registered)
    judged: set[tuple[str, str]] = set()
    for change in changes:
        if (change.kind, change.name) not in judged:  # a second change of a host depends on the first one
            problems += moved(change, registered)
        judged.add((change.kind, change.name))
    return tuple(problems)


def moved(change: Change, registered: Registered) -> list[Problem]:
    """The preconditions of one change that do not hold. Those of other things are checked when they are changed."""
    if change.kind not in ("host", "domain"):
        return []
    things: Mapping[str, Host | Domain] = registered.hosts if change.kind == "host" else registered.domains
    problems = []
    if change.action in (Action.CREATE, Action.MOVE) and change.name in things:
        problems.append(f"{change.name} is now registered")
    old = change.source or change.name
    if change.action is not Action.CREATE:
        if old not in things:
            problems.append(f"{old} is no longer registered")
        else:
            problems += differences(old, change.before, things[old])
            problems += [] if "owner" in change.before else _of_others(things[old])
    return [Problem(text, hint="make a new plan") for text in problems]


def _of_others(thing: Host | Domain) -> list[str]:
    return [f"{thing.fqdn} belongs to the user {thing.owner}"] if isinstance(thing, Host) and not thing.own else []


def differences(name: str, before: Mapping[str, Any], thing: Host | Domain) -> list[str]:
    """The values that have changed since they were read, in words."""
    return [
        f"{name}: {field} was {_text(value)} and is now {_text(plain(thing, field, value))}"
        for field, value in before.items()
        if plain(thing, field, value) != value
    ]


def plain(thing: Host | Domain, field: str, like: Any = None) -> Any:
    """A registered field as a JSON value, as in `Change.before`; of `records` and `related` only what is in `like`."""
    value = getattr(thing, field, None)
    if field in ("records", "related"):
        return None if value is None else records.chosen(value, like or {})
    if isinstance(value, Sentinel):
        return value.value
    return dict(value) if isinstance(value, Mapping) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def remaining_work(change: Change, registered: Registered, *, kept: bool = False) -> tuple[Change, ...]:
    """The steps that are left of an uncertain change; see the module.

    `kept`: its new secret was written.
    """
    if change.kind == "key":  # a second key would have the same name
        again = replace(change, action=Action.REPLACE) if change.makes_secret else change
        return () if kept else (again,)
    if change.kind in ("stack", "certificate"):
        return (change,)
    if change.kind == "domain":
        return _of_a_domain(change, registered.domains.get(change.name))
    host = registered.hosts.get(change.name)
    if change.action in (Action.UPDATE, Action.ADOPT):
        return () if host and not _differing(change, host) else (change,)
    if change.action is Action.DELETE:
        return (change,) if host else ()
    if change.action is Action.ROTATE:
        return (change,)
    if change.action is Action.MOVE:
        return _of_a_move(change, host, registered.hosts.get(change.source or ""), kept=kept)
    if host is None:
        return (_create(change),)
    return _finished(change, host, kept=kept) if _ours(change, host) else (change,)


def _of_a_domain(change: Change, domain: Domain | None) -> tuple[Change, ...]:
    if change.action is Action.DELETE:
        return (change,) if domain else ()
    return (change,) if domain is None or _differing(change, domain) else ()


def _of_a_move(change: Change, host: Host | None, old: Host | None, *, kept: bool) -> tuple[Change, ...]:
    if not change.makes_secret:
        return () if host and not old else (change,)
    if host is None:
        return (change,) if old else (_create(change),)
    if not _ours(change, host):
        return (change,)
    deletion = Change(Action.DELETE, "host", change.source or "", before=change.before)
    return _finished(change, host, kept=kept) + ((deletion,) if old else ())


def _ours(change: Change, host: Host) -> bool:
    """Whether the change registered this host. Its addresses may still be missing, all other fields are set."""
    return host.own and not set(_differing(change, host)) - (set(ADDRESSES) if "stack" in change.after else set())


def _differing(change: Change, thing: Host | Domain) -> dict[str, Any]:
    return {field: value for field, value in change.after.items() if plain(thing, field, value) != value}


def _create(change: Change) -> Change:
    """A creation with the values of the change."""
    after = {field: value for field, value in change.after.items() if value}
    return replace(change, action=Action.CREATE, before={}, after=after, source=None, reason="")


def _finished(change: Change, host: Host, *, kept: bool) -> tuple[Change, ...]:
    before = {"stack": host.stack} if "stack" in change.after else {}
    rotation = replace(change, action=Action.ROTATE, before=before, after={}, source=None, reason="")
    secret = () if kept else (rotation,)
    missing = _differing(change, host)
    if not missing:
        return secret
    observed = {field: plain(host, field, value) for field, value in missing.items()}
    return (replace(rotation, action=Action.UPDATE, before={**before, **observed}, after=missing), *secret)
