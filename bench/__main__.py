# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the speed claims and print them; a full run of everything also writes bench/RESULTS.md."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # for tests/support, the servers that the tests start as well

from bench import (  # noqa: E402
    against,
    capacity,
    ceiling,
    declared,
    dns_update,
    large,
    machine,
    many,
    million,
    nodes,
    pointers,
    portal,
    rules,
    updates,
    zones,
)
from bench.figure import Section, missed  # noqa: E402
from bench.plan import LONG_NAMES, NAMES, Plan  # noqa: E402
from bench.report import markdown  # noqa: E402

ALL = (*NAMES, *LONG_NAMES)
WITHOUT = f"all but {', '.join(LONG_NAMES)}"
DATABASES = ("SQLite", "PostgreSQL")


def main() -> None:
    """Parse, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(ALL)}; without one, {WITHOUT}")
    parser.add_argument("--quick", action="store_true", help="one short round, for a look; writes no results")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ALL):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ctrl-C: every server is ended, every file removed
    # /var/tmp is on a disk where /tmp may be memory: on that, durability would cost nothing
    directory = Path(tempfile.mkdtemp(prefix="ddnsd-bench-", dir="/var/tmp"))
    directory.chmod(0o711)  # PostgreSQL runs as its own user
    tempfile.tempdir = str(directory)
    try:
        _run(directory, frozenset(options.names or NAMES), quick=options.quick)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(directory: Path, names: frozenset[str], *, quick: bool) -> None:
    begin = time.monotonic()
    plan = Plan(
        names,
        rounds=1 if quick else 5,
        seconds=0.5 if quick else 3,
        many=12_000 if quick else 100_000,
        large=20_000 if quick else 200_000,
        million=50_000 if quick else 1_000_000,
        directory=directory,
    )
    described = machine.describe(directory)
    sections = list(_sections(plan))
    report = markdown(described, sections, plan.rounds)
    print(f"\n{report}\nmeasured in {time.monotonic() - begin:.0f} s")
    if not quick and names == frozenset(NAMES):
        (ROOT / "bench" / "RESULTS.md").write_text(report)
        print("written to bench/RESULTS.md")
    for name in missed(sections):
        print(f"below what is required: {name.strip('*')}")
    if stale := [figure.name for section in sections for figure in section.figures if figure.broken]:
        sys.exit(f"wrong: {', '.join(name.strip('*') for name in stale)}")


def _sections(plan: Plan) -> Iterator[Section]:
    yield ceiling.section(plan)
    if plan.has("changed", "nochg"):
        for database in DATABASES:
            yield updates.section(plan, database)
    if plan.has("rules"):
        yield rules.section(plan)
    if plan.has("reverse"):
        yield pointers.section(plan)
    if plan.has("dns-update"):
        yield dns_update.section(plan)
    if plan.has("nodes"):
        yield nodes.section(plan)
    if plan.has("upstream"):
        yield against.section(plan)
    if plan.has("declared"):
        yield declared.section(plan)
    if plan.has("declared-many"):
        yield declared.many_section(plan)
    if plan.has("hosts"):
        yield many.list_section(plan)
    if plan.has("pages"):
        yield portal.section(plan)
    if plan.has("memory"):
        yield many.memory_section(plan)
    if plan.has("large"):
        for database in DATABASES:
            yield large.section(plan, database)
    if plan.has("million"):
        for database in DATABASES:
            yield million.section(plan, database)
    if plan.has("capacity"):
        yield capacity.section(plan)
    if plan.has("zones"):
        yield zones.speed_section(plan)
    if plan.has("signed"):
        yield zones.signed_section(plan)
    if plan.has("idle"):
        yield zones.idle_section(plan)


if __name__ == "__main__":
    main()
