# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m support.machines.follow`: do what a page says, block after block, on the machines of a scenario.

Commands after `$` run on the machine `laptop`, in one session; those after `#` as root where the laptop signs in by
--root. A block that begins with the name of a file is written to it: an absolute path on root's machine, any other on
the laptop. Variables of a file in `group_vars` join those that it has.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from support.pages import DOCS, REPOSITORY, Block, Command, blocks, commands

LAPTOP = "laptop"
SECONDS = 1200
SESSION = """\
cd "$(cat ~/.session.folder 2>/dev/null || echo ~)"
if [ -e ~/.session ]; then . ~/.session; fi
set -eo pipefail
{command}
export -p >~/.session
pwd >~/.session.folder
"""
"""Shows what a terminal would: exported variables and the folder stay."""


class Failure(Exception):
    """Something does not work as it is written."""


class Follower:
    """Follows pages on the machines of a scenario."""

    def __init__(self, scenario: str, root: str) -> None:
        self.root = root
        config = REPOSITORY / ".cache" / "machines" / "scenarios" / scenario / "ssh_config"
        self._ssh = ["ssh", "-F", str(config), "-T"]

    def do_page(self, page: Path, begin: str | None, end: str | None) -> int:
        """The number of blocks from one heading (or the first) to before another (or the end)."""
        count, begun = 0, begin is None
        for heading, block in blocks(page):
            begun = begun or heading == begin
            if heading == end:
                break
            if begun and block.tried_here:
                self._try(block)
                count += 1
        return count

    def _try(self, block: Block) -> None:
        if block.language == "console":
            for command in commands(block):
                self._run(block, command)
        elif block.file is None:
            raise Failure(f"{block.place}: the block names no file")
        else:
            print(f"{block.place} {block.file}", flush=True)
            self._write(block.file, block.text, self.root if block.file.startswith("/") else None)

    def _run(self, block: Block, command: Command) -> None:
        print(f"{block.place} {f'{self.root} #' if command.root else '$'} {command.text}", flush=True)
        done = self._bash(self.root if command.root else None, SESSION.format(command=command.text))
        print(done.stdout, end="", flush=True)
        if done.returncode:
            raise Failure(f"{block.place}: {command.text!r} ends with {done.returncode}")
        if "output varies" not in block.notes and not shows(done.stdout, command.output):
            raise Failure(f"{block.place}: {command.text!r} prints something else than the page shows")

    def _write(self, file: str, text: str, account: str | None) -> None:
        if "group_vars/" in file:
            former = (
                yaml.safe_load(self._bash(account, SESSION.format(command=f"cat {file} 2>/dev/null || true")).stdout)
                or {}
            )
            text = yaml.safe_dump(former | yaml.safe_load(text), sort_keys=False)
        command = f"mkdir -p $(dirname {file}) && printf %s {shlex.quote(text)} >{file}"
        done = self._bash(account, SESSION.format(command=command))
        if done.returncode:
            raise Failure(f"{file}: {done.stdout}")

    def _bash(self, account: str | None, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script on the laptop, or with an account's `sudo`: a firewall lets in the laptop alone."""
        command = f"bash -c {shlex.quote(script)}"
        if account:
            command = f"ssh -n {account} {shlex.quote(f'sudo -H {command}')}"
        return subprocess.run(
            [*self._ssh, LAPTOP, command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )


def shows(printed: str, expected: list[str]) -> bool:
    """Whether the expected lines are there in their order, `…` for anything."""
    lines = iter(printed.splitlines())
    patterns = [re.escape(line).replace("…", ".*") for line in expected if line.strip("… ")]
    return all(any(re.fullmatch(pattern, line) for line in lines) for pattern in patterns)


def main() -> int:
    """Follow the page of the command line."""
    parser = argparse.ArgumentParser(prog="follow", description=__doc__)
    parser.add_argument("--scenario", required=True)
    parser.add_argument("--root", required=True, help="ACCOUNT@ADDRESS of commands after #")
    parser.add_argument("--begin", metavar="HEADING", help="the first one")
    parser.add_argument("--end", metavar="HEADING", help="the first one that is left out")
    parser.add_argument("page", help="a file in docs")
    given = parser.parse_args()
    try:
        count = Follower(given.scenario, given.root).do_page(DOCS / given.page, given.begin, given.end)
    except Failure as failure:
        print(failure, flush=True)
        return 1
    print(f"{count} blocks of {given.page} work as they are written")
    return int(count == 0)


if __name__ == "__main__":
    sys.exit(main())
