# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl check`"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ddnsctl import options, output

if TYPE_CHECKING:
    from ddnsctl.loader import Sources
    from ddnsctl.sync.errors import Problem
    from ddnsctl.sync.plan import Plan

DIFFERS = 2
WAIT = 5.0


@click.command("check")
@options.sources()
@options.pruning_only
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", metavar="FORMAT", help="text or json."
)
@click.option(
    "--wait",
    metavar="SECONDS",
    type=float,
    default=WAIT,
    callback=options.seconds,
    help=f"How long name servers may take to answer as registered; {WAIT:g} by default.",
)
@click.option(
    "--dns",
    metavar="HOST:PORT",
    multiple=True,
    help="Ask this name server instead of those in the domains' NS records. Repeatable.",
)
@options.connection
def command(
    sources: Sources, connection: options.Connection, prune: bool, form: str, wait: float, dns: tuple[str, ...]
) -> int:
    """Check that the server, the stored secrets and DNS are as declared. This command changes nothing.

    \b
      plan     what `apply` would change, and hosts that are not in DNS yet or refused by the name server
      secrets  files of `secret:` that are missing, or whose secret no longer works
      DNS      name servers that do not answer with the registered addresses of the declared hosts

    Exit code: 0 if everything is as declared, 2 if anything is not. Run it on a schedule. Secrets are sent to the
    server to be checked, as an updater does. EGI's service cannot check them, so only missing files are found there.
    """
    from ddnsctl import loader, secret_checks, session
    from ddnsctl.dns import verify
    from ddnsctl.sync.plan import Options
    from ddnsctl.sync.policy import Limits

    declared = loader.load_any(sources)
    chosen = Options(prune=prune, limits=Limits(percent=None, count=None))
    opened = session.open_for(connection, declared, chosen)
    with output.refused_plans(opened.url, form):
        plan = opened.plan(declared, chosen, sources.vault)
    hosts = {name: opened.registered.hosts[name] for name in declared.hosts if name in opened.registered.hosts}
    broken = secret_checks.problems(declared, hosts, opened.server, sources.vault)
    wrong = verify.differences(verify.registered(hosts), opened.server, dns, wait)
    report = _json if form == "json" else _text
    report(plan, opened.url, broken, wrong)
    return DIFFERS if plan.changes or plan.drift or broken or wrong else 0


def _json(plan: Plan, url: str, broken: list[Problem], wrong: list[str]) -> None:
    from ddnsctl.sync import plan_table, saved

    content = {
        "url": url,
        "plan": plan_table.as_dict(plan),
        "secrets": [saved.note_dict(problem) for problem in broken],
        "dns": wrong,
    }
    click.echo(json.dumps(content, indent=2))


def _text(plan: Plan, url: str, broken: list[Problem], wrong: list[str]) -> None:
    output.plan(plan, "text", url=url)
    for title, texts in (("secrets", list(map(str, broken))), ("DNS", wrong)):
        mark = click.style(f"{title}:", fg="yellow" if texts else "green")
        for text in texts or ["as declared"]:
            click.echo(f"{mark} {text}", color=output.wants_colour())
