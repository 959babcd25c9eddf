# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/operations.md beside a service, in their order; only addresses of name servers are replaced."""

import shlex
from pathlib import Path

from support import programs
from support.machines.follow import shows
from support.pages import DOCS, blocks, commands
from support.servers.service import dev
from support.servers.two_primaries import two_binds

ELSEWHERE = "/etc/ddnsd/ddnsd.toml"
"""The role's file, which is on a machine only."""


def test_the_commands_work_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    with two_binds(tmp_path) as (old, new), dev(tmp_path / "service") as service:
        places = {"192.0.2.54": old.address, "192.0.2.55": new.address, ELSEWHERE: "empty.toml"}
        for bind, key in ((old, "lab.key"), (new, "new.key")):
            bind.make_zone("lab.example.org").rename(tmp_path / key)
        for _, block in blocks(DOCS / "operations.md"):
            if not block.tried_here:
                continue
            for command in commands(block):
                text = command.text
                for written, real in places.items():
                    text = text.replace(written, real)
                done = programs.invoke(shlex.split(text, comments=True), service.env, cwd=tmp_path)
                assert done.returncode == 0, (block.place, text, done.stdout, done.stderr)
                if "output varies" not in block.notes:
                    assert shows(done.stdout, command.output), (block.place, text, done.stdout)
