# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints plans, results and errors. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ddnsctl.sync.errors import Problem
    from ddnsctl.sync.plan import Plan
    from ddnsctl.sync.plan_table import Line

COLOURS = {"+": "green", "~": "yellow", "-": "red", "-/+": "magenta", ">": "cyan", "@": "cyan", "!": "yellow"}
MEANINGS = {
    "-/+": "registered again, with a new secret",
    ">": "renamed",
    "@": "adopted",
    "!": "new secret",
}
FORMATS = ("text", "json", "ndjson", "markdown")


def wants_colour() -> bool | None:
    """Whether NO_COLOR or FORCE_COLOR asks for colours (https://no-color.org); None: if it is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def error(text: str, details: Iterable[Problem] = ()) -> None:
    """Print `error: …`, and one line per problem."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {text}", err=True, color=wants_colour())
    for problem in details:
        place = click.style(f"{problem.where}: ", bold=True) if problem.where else ""
        hint = click.style(f" ({problem.hint})", dim=True) if problem.hint else ""
        click.echo(f"  {place}{problem.text}{hint}", err=True, color=wants_colour())


def warning(text: str) -> None:
    """Print `warning: …`."""
    click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {text}", err=True, color=wants_colour())


def remark(text: str) -> None:
    """Print a remark."""
    click.echo(text, err=True, color=wants_colour())


def failure(raised: Exception) -> int:
    """Print an error that ends the command. Returns the exit code."""
    found = problems(raised)
    if len(found) == 1 and not found[0].where:
        error(str(found[0]))
    elif found:
        error(f"{_headline(raised)} ({len(found)} {'problem' if len(found) == 1 else 'problems'})", found)
    elif isinstance(raised, OSError) and raised.filename is not None:
        error(f"{raised.filename}: {describe(raised)}")
    else:
        error(str(raised) or type(raised).__name__)
    return getattr(raised, "exit_code", 1)


def problems(raised: Exception) -> list[Problem]:
    """The problems of an error, in the order of their places; none if it has only a text."""
    return sorted(getattr(raised, "problems", ()), key=_place)


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.where or ("", 0, 0)


def _headline(raised: Exception) -> str:
    headlines = {
        "DeclarationError": "the declaration is not valid",
        "Conflicts": "some declared names are already registered",
        "NotApplicable": "the plan would be refused, so nothing has been changed",
        "NotSupported": "the server does not support everything that is declared",
        "Stale": "the plan is stale, so nothing has been changed",
    }
    return headlines.get(type(raised).__name__, str(raised))


def describe(error: OSError) -> str:
    """An operating system error in words: `does not exist` for a missing file."""
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    return (error.strerror or str(error)).lower()


def plan(planned: Plan, form: str, *, url: str = "") -> None:
    """Print a plan in one of FORMATS."""
    from ddnsctl.sync import plan_table

    if form == "json":
        click.echo(json.dumps({"url": url, **plan_table.as_dict(planned)}, indent=2))
    elif form == "ndjson":
        for record in _records(plan_table.as_dict(planned), url):
            click.echo(json.dumps(record))
    elif form == "markdown":
        click.echo(plan_table.markdown(planned, url), nl=False)
    else:
        click.echo("\n".join(_text(planned, url)), color=wants_colour())


@contextmanager
def refused_plans(url: str, form: str = "text") -> Iterator[None]:
    """Print the plan of an error that refuses it, before the error."""
    from ddnsctl.sync.errors import SyncError

    try:
        yield
    except SyncError as raised:
        if raised.plan is not None:
            plan(raised.plan, form, url=url)
        raise


def _records(content: Mapping[str, Any], url: str) -> Iterator[dict[str, Any]]:
    yield {"type": "plan", "url": url, "server": content["server"], "stack": content["stack"]}
    types = {"changes": "change", "drift": "drift", "notes": "note", "refusals": "refusal"}
    for kind, of_one in types.items():
        for item in content[kind]:
            typed = {"type": of_one}
            yield {**typed, **item}
    yield {"type": "summary", **content["summary"]}


def _text(planned: Plan, url: str) -> Iterator[str]:
    from ddnsctl.sync import plan_table

    style = click.style if _in_colour() else _unstyled
    of_stack = f", stack {style(planned.stack, bold=True)}" if planned.stack else ""
    yield f"{style(url or planned.server, bold=True)}{f' ({planned.server})' if url else ''}{of_stack}"
    lines = plan_table.lines(planned)
    used = dict.fromkeys(line.symbol for line in lines if line.symbol in MEANINGS)
    if used:
        yield "  ".join(f"{style(symbol, fg=COLOURS[symbol])} {style(MEANINGS[symbol], dim=True)}" for symbol in used)
    yield ""
    for line in lines:
        yield from _change(line, f"stack: {planned.stack}", style)
    remarks = plan_table.remarks(planned)
    for text in remarks:
        mark, _, rest = text.partition(": ")
        yield f"{style(mark + ':', fg='yellow')} {rest}"
    if remarks:
        yield ""
    yield _summary(planned, style)


def _in_colour() -> bool:
    wanted = wants_colour()
    return sys.stdout.isatty() if wanted is None else wanted


def _unstyled(text: str, **_style: Any) -> str:
    return text


_ALONE = frozenset("(+~-")
"""The first characters of details that are not in columns: remarks, and RRsets."""


def _change(line: Line, of_all: str, style: Callable[..., str]) -> Iterator[str]:
    """A change and its details, without the stack that is common to all and in the plan's first line."""
    colour = COLOURS[line.symbol]
    yield f"{style(f'{line.symbol:>4}', fg=colour, bold=True)} {style(line.text, bold=True)}"
    details = [detail.partition(": ") for detail in line.details if detail != of_all]
    width = max((len(name) for name, _, _ in details if name[:1] not in _ALONE), default=0)
    for name, colon, value in details:
        if name.startswith("("):
            yield f"         {style((name + colon + value)[1:-1], dim=True)}"
            continue
        before, arrow, after = value.partition(" → ")
        shown = f"{style(before, dim=True)} → {after}" if arrow else before
        subject = f"{name}: " if name[:1] in _ALONE else f"{name:<{width}}  "
        yield f"         {style(subject, fg=colour)}{shown}"
    yield ""


def _summary(planned: Plan, style: Callable[..., str]) -> str:
    from ddnsctl.sync import plan_table

    if planned.changes:
        return style(plan_table.summary_line(planned), bold=True)
    return style(f"No changes{_matching(planned)}.", fg="green", bold=True)


def _matching(planned: Plan) -> str:
    """`: 40 hosts match`, or nothing if nothing is declared."""
    domains = planned.unchanged_domains
    hosts = planned.unchanged - domains
    counts = [f"{n} {noun}{'s' * (n != 1)}" for n, noun in ((hosts, "host"), (domains, "domain")) if n]
    return f": {' and '.join(counts)} match{'es' * (planned.unchanged == 1)}" if counts else ""


def is_terminal() -> bool:
    """Whether a user can answer questions and see progress."""
    return sys.stdin.isatty() and sys.stderr.isatty()
