# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m load`: send changes to a service and record them (`run`), time them (`lag`), look for them (`check`)."""

import argparse
import json
import sys
import time
from pathlib import Path

from . import record
from .client import Client
from .sender import Load
from .servers import lag, lost

TICK_SECONDS = 0.2


def arguments() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="load", description="Clients of a Dynamic DNS service under test.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("run", "send changes until --stop exists"), ("lag", "how soon name servers answer a change")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--hosts", type=Path, required=True, help="JSON: the secret of each host, by full name")
        command.add_argument("--address", action="append", required=True, help="address[:port] that answers HTTPS")
        command.add_argument("--record", type=Path, required=True, help="what was sent and acknowledged, of all runs")
        if name == "run":
            command.add_argument("--stop", type=Path, required=True, help="a file; the load ends when it is there")
            command.add_argument("--seconds", type=float, default=600, help="it ends after so long at the latest")
            command.add_argument("--counts", type=Path, required=True, help="where the counts stand while it runs")
            command.add_argument("--careful", action="store_true", help="half of the hosts stop at their first failure")
        else:
            command.add_argument("--times", type=int, default=9)
            command.add_argument("--server", action="append", required=True, help="address of a name server")
    command = commands.add_parser("check", help="print hosts that are not where they were acknowledged; then exit 1")
    command.add_argument("--record", type=Path, required=True)
    command.add_argument("--server", action="append", required=True, help="address of a name server")
    return parser


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole: a reader finds the former text or the new one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def run(given: argparse.Namespace) -> int:
    """Send changes; print the counts."""
    secrets = json.loads(given.hosts.read_text())
    hosts = record.read(given.record, secrets)
    load = Load(hosts, secrets, given.address, careful=given.careful)
    end = time.monotonic() + given.seconds
    load.start()
    while not given.stop.exists() and time.monotonic() < end and not load.alone():
        _replace(given.counts, json.dumps(load.counts().describe()))
        time.sleep(TICK_SECONDS)
    load.stop()
    record.write(given.record, hosts)
    print(json.dumps({**load.counts().describe(), "stopped": load.stopped()}))
    return 0


def measure(given: argparse.Namespace) -> int:
    """Print the seconds that each of several changes took to all servers, null for one that did not get there."""
    secrets = json.loads(given.hosts.read_text())
    hosts = record.read(given.record, secrets)
    client = Client(given.address, hosts[0].name, secrets[hosts[0].name], kept=True)
    print(json.dumps([lag(hosts[0], client, given.server) for _turn in range(given.times)]))
    client.close()
    record.write(given.record, hosts)
    return 0


def check(given: argparse.Namespace) -> int:
    """Print what is lost."""
    hosts = record.read(given.record)
    lines = [line for server in given.server for line in lost(server, hosts)]
    print("\n".join(lines))
    return 1 if lines else 0


def main() -> int:
    """Run the command line; the exit status."""
    given = arguments().parse_args()
    return {"run": run, "lag": measure, "check": check}[given.command](given)


if __name__ == "__main__":
    sys.exit(main())
