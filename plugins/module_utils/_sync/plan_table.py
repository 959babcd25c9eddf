# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a plan as lines, text, JSON values, Markdown, or Ansible's diff, without secrets and colours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Mapping

from . import records, saved
from .changes import Action, Change
from .model import CERTIFICATE_FIELDS, DOMAIN_FIELDS, HOST_FIELDS, KEY_FIELDS, STACK_FIELDS
from .plan import Plan

SYMBOLS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.DELETE: "-",
    Action.REPLACE: "-/+",
    Action.MOVE: ">",
    Action.ADOPT: "@",
    Action.ROTATE: "!",
}
MARKDOWN_LENGTH = 60000
"""The most characters; forges refuse comments of more than 65 536."""

_LONG = 20
_PARTIAL: dict[str, Callable[[Any, Any], Iterable[str]]] = {
    "records": records.details,
    "related": records.related_details,
}
_FIELDS = {
    "host": (*HOST_FIELDS, "owner"),
    "domain": DOMAIN_FIELDS,
    "key": KEY_FIELDS,
    "stack": STACK_FIELDS,
    "certificate": CERTIFICATE_FIELDS,
}
_PLAIN = re.compile(r"[\w.:/@+-]+", re.ASCII)


@dataclass(frozen=True)
class Line:
    """One change: its symbol, its name, and its details, such as `ipv4: 192.0.2.1 → 192.0.2.2`."""

    symbol: str
    text: str
    details: tuple[str, ...]
    change: Change


def lines(plan: Plan) -> list[Line]:
    """The changes in the order of the plan. All characters are printable."""
    return [Line(SYMBOLS[c.action], _visible(_subject(c)), tuple(map(_visible, _details(c))), c) for c in plan.changes]


def _subject(change: Change) -> str:
    return _prefix(change) + (f"{change.source} → {change.name}" if change.source else change.name)


def _prefix(change: Change) -> str:
    return "" if change.kind == "host" else f"{change.kind} "


def title(change: Change) -> str:
    """A change in a few words, such as `create key router`; of a host, without its kind."""
    return f"{change.action.value} {_prefix(change)}{change.name}"


def _details(change: Change) -> list[str]:
    fields = _FIELDS[change.kind]
    found = [f"({change.reason})"] if change.reason else []
    if change.kind == "stack" and "hosts" in change.before:
        found.append(f"(its {change.before['hosts']} hosts keep everything else)")
    for name in fields:
        if name in _PARTIAL:
            found += _PARTIAL[name](change.before.get(name) or {}, change.after.get(name) or {})
        elif detail := _detail(change, name):
            found.append(detail)
    if change.makes_secret:
        found.append(_secret(change))
    if change.removes:
        found.append(f"also removed: {_removed(change)}")
    return found


def _removed(change: Change) -> str:
    """What else a deletion removes, at most `_LONG` records."""
    more = len(change.removes) - _LONG
    return ", ".join(change.removes[:_LONG]) + (f" and {more} more" if more > 0 else "")


def _detail(change: Change, name: str) -> str:
    before, after = change.before.get(name), change.after.get(name)
    if change.action is Action.DELETE:
        return f"{name}: {_shown(before)}" if before else ""
    if change.action is Action.CREATE:
        return f"{name}: {_shown(after)}" if name in change.after else ""
    if name not in change.after or (name in change.before and before == after):
        return ""
    return f"{name}: {_shown(before) if name in change.before else 'unknown'} → {_shown(after)}"


def _secret(change: Change) -> str:
    text = "new secret, replaces the present one" if change.action is Action.ROTATE else "new secret"
    return f"({text} → {change.secret})" if change.secret else f"({text})"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, str) and (value in ("none", "true", "false") or not _PLAIN.fullmatch(value)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _visible(text: str) -> str:
    """The text with escapes instead of characters that are not printable."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def summary(plan: Plan) -> dict[str, int]:
    """The number of changes of each kind. A move that registers the host again counts as a move."""
    counts = dict.fromkeys(("add", "change", "replace", "delete", "move", "adopt", "rotate"), 0)
    words = {Action.CREATE: "add", Action.UPDATE: "change"}
    for change in plan.changes:
        counts[words.get(change.action, change.action.value)] += 1
    return {**counts, "unchanged": plan.unchanged}


def summary_line(plan: Plan) -> str:
    """`Plan: 3 to add, 1 to change, 0 to replace, 2 to delete, 9 unchanged.`; rare kinds only if they occur."""
    counts = summary(plan)
    shown = [f"{counts[word]} to {word}" for word in ("add", "change", "replace", "delete")]
    shown += [f"{counts[word]} to {word}" for word in ("move", "adopt", "rotate") if counts[word]]
    return f"Plan: {', '.join(shown)}, {plan.unchanged} unchanged."


def remarks(plan: Plan) -> list[str]:
    """Drift and notes, one line each. Refusals are errors, and not here."""
    drift = [f"{drift.kind} drift: {drift.name}: {drift.text}" for drift in plan.drift]
    return [_visible(text) for text in [*drift, *(f"note: {note}" for note in plan.notes)]]


def text(plan: Plan) -> str:
    """The plan in full, with a newline at the end."""
    shown: list[str] = []
    for line in lines(plan):
        shown.append(f"{line.symbol:>3} {line.text}")
        shown += [f"      {detail}" for detail in line.details]
    blocks = [shown, remarks(plan), [summary_line(plan)]]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def as_dict(plan: Plan) -> dict[str, Any]:
    """JSON values: `server`, `stack`, `changes`, `drift`, `notes`, `refusals`, `summary`."""
    return {
        "server": plan.server,
        "stack": plan.stack,
        "changes": [saved.change_dict(change) for change in plan.changes],
        "drift": [saved.drift_dict(drift) for drift in plan.drift],
        "notes": [saved.note_dict(note) for note in plan.notes],
        "refusals": [saved.note_dict(refusal) for refusal in plan.refusals],
        "summary": summary(plan),
    }


def markdown(plan: Plan, url: str) -> str:
    """Markdown for a pull request: summary, server and stack, changes as a diff, remarks.

    A long diff is folded, then cut.
    """
    of_stack = f", stack: {_escaped(plan.stack)}" if plan.stack else ""
    heading = f"### {summary_line(plan)}\n\nServer: {_escaped(url)}{of_stack}"
    said = [*(f"refused: {_visible(str(refusal))}" for refusal in plan.refusals), *remarks(plan)]
    notes = "\n".join(f"- {_escaped(text)}" for text in said[:_LONG])
    shown, left_out = _fitting(_diff_lines(plan), MARKDOWN_LENGTH - len(heading) - len(notes))
    if not shown:
        return "\n\n".join(part for part in (heading, notes) if part) + "\n"
    longest = max((len(run) for run in re.findall("`+", "\n".join(shown))), default=0)
    fence = "`" * max(3, longest + 1)
    diff = "\n".join([f"{fence}diff", *shown, fence])
    if len(shown) > _LONG:
        diff = f"<details><summary>{len(plan.changes)} changes</summary>\n\n{diff}\n\n</details>"
    cut = f"{left_out} more lines are left out." if left_out else ""
    return "\n\n".join(part for part in (heading, diff, cut, notes) if part) + "\n"


def _diff_lines(plan: Plan) -> list[str]:
    shown = []
    for line in lines(plan):
        mark = line.symbol if line.symbol in "+-" else f"! {line.symbol}"
        shown += [f"{mark} {line.text}", *(f"{mark[0]}     {detail}" for detail in line.details)]
    return shown


def _fitting(shown: list[str], room: int) -> tuple[list[str], int]:
    """The lines that fit into `room` characters, and the number of lines that do not."""
    used = 200  # for the text around them
    for number, line in enumerate(shown):
        used += len(line) + 1
        if used > room:
            return shown[:number], len(shown) - number
    return shown, 0


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_<>&#\[\]|~])", r"\\\1", text)


def diff(plan: Plan, url: str) -> dict[str, str]:
    """Ansible's diff: the changed fields of each host, before and after. It is the same in check mode.

    `url` is the server's URL.
    """
    before: list[str] = []
    after: list[str] = []
    for change in plan.changes:
        before += _block(change, change.source or change.name, change.before, after=False)
        after += _block(change, change.name, change.after, after=True)
    return {
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
        "before_header": f"registered at {url}",
        "after_header": f"declared by stack {plan.stack}" if plan.stack else "declared",
    }


def _block(change: Change, subject: str, values: Mapping[str, Any], *, after: bool) -> Iterable[str]:
    absent = Action.DELETE if after else Action.CREATE
    if change.action is absent:
        return []
    fields = _FIELDS[change.kind]
    shown = []
    for name in fields:
        if name in _PARTIAL:
            had = values.get(name) or {}
            for key in sorted(change.after.get(name) or {}):
                of_records = f"{records.place(key)}: {records.shown(had.get(key))}" if name == "records" else ""
                shown.append(of_records or f"related {key}: {_shown(had.get(key))}")
        elif _detail(change, name):
            shown.append(f"{name}: {_shown(values.get(name)) if name in values else 'unknown'}")
    if change.makes_secret:
        shown.append(f"secret: {_secret(change) if after else 'the current one'}")
    if change.kind == "certificate":
        shown.append(f"certificate: ({'new' if after else change.reason})")
    if change.removes and not after:
        shown.append(f"also removed: {_removed(change)}")
    return [_visible(f"{_prefix(change)}{subject}:"), *(f"  {_visible(line)}" for line in shown)]
