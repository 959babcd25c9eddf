# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m machines`: machines for scenarios, from the command line. Exit status 77: this host cannot run any."""

import argparse
import json
import os
import re
import signal
import sys
from pathlib import Path
from types import FrameType

from .host import Failure, missing
from .image import image
from .scenario import Scenario, scenarios

UNABLE = 77
HOME = Path(__file__).parents[3] / ".cache" / "machines"


def arguments() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="machines", description="Systemd machines without a container engine.")
    parser.add_argument("--home", type=Path, default=HOME, help="where they are kept (default: .cache/machines)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="whether this host can run machines")
    command = commands.add_parser("image", help="make the image that machines lie on, if there is none")
    command.add_argument("--suite", default="", help="a suite that image.toml names")
    command = commands.add_parser("up", help="make and boot the machines of a scenario; print what `show` prints")
    command.add_argument("--suite", default="", help="a suite that image.toml names")
    command.add_argument("scenario")
    command.add_argument(
        "host",
        nargs="+",
        type=machine,
        metavar="HOST[:WIRE,…]",
        help="its name; for each wire, which joins machines to each other alone, it has an interface of that name",
    )
    command = commands.add_parser("down", help="remove whatever exists of scenarios")
    command.add_argument("--all", action="store_true", help="all scenarios in --home")
    command.add_argument("scenario", nargs="*")
    command = commands.add_parser("show", help="print a scenario's addresses and its ssh configuration as JSON")
    command.add_argument("scenario")
    for name, text in (("kill", "cut a machine's power"), ("boot", "power on a machine that is off")):
        command = commands.add_parser(name, help=text)
        command.add_argument("scenario")
        command.add_argument("host")
    return parser


def machine(text: str) -> tuple[str, list[str]]:
    """A machine's name, and the wires that it is on."""
    host, *rest = text.split(":", 1)
    wires = rest[0].split(",") if rest and rest[0] else []
    if not all(re.fullmatch("[a-z]{1,10}", wire) for wire in wires):
        raise argparse.ArgumentTypeError("the name of a wire has one to ten letters, all small")
    return host, wires


def execute(given: argparse.Namespace) -> None:
    """Do what the command says."""
    home = given.home.resolve()
    match given.command:
        case "image":
            print(image(home / "images", given.suite))
        case "up":
            scenario = Scenario(home, given.scenario)
            scenario.up(dict(given.host), given.suite)
            print(json.dumps(scenario.describe(), indent=2))
        case "down":
            named = [Scenario(home, name) for name in given.scenario]
            for scenario in scenarios(home) if given.all else named:
                scenario.down()
        case "show":
            print(json.dumps(Scenario(home, given.scenario).describe(), indent=2))
        case "kill":
            Scenario(home, given.scenario).kill(given.host)
        case "boot":
            Scenario(home, given.scenario).boot(given.host)


def main() -> int:
    """Run the command line; the exit status."""
    given = arguments().parse_args()
    reason = missing()
    if reason:
        print(f"No machines on this host: {reason}.", file=sys.stderr)
        return UNABLE
    os.umask(0o022)
    signal.signal(signal.SIGTERM, _stop)
    try:
        execute(given)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def _stop(number: int, _frame: FrameType | None) -> None:
    """Let what was begun be undone before the end."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
