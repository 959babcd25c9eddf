# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `ddnsd` of the server role runs in a sandbox: files of the caller are opened before it."""

import os
import subprocess
from pathlib import Path

import pytest
from support import programs
from support.servers import front

# Options of systemd-run, then the program with its arguments. A sandbox shows no files of the caller.
SYSTEMD_RUN = """#!/bin/sh
for arg do
  case $arg in --*) echo "$arg" >>{folder}/options; shift ;; *) break ;; esac
done
cd / && shift && exec {program} "$@"
"""


class Command:
    """The command in a folder, with a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rendered = front.render(folder, {"ddns_server_primary": True, "ddns_server_node": True}, ddnsd="ddnsd.sh.j2")
        self.file = folder / "ddnsd"
        self.file.write_text(rendered["ddnsd"])
        (folder / "bin").mkdir()
        fake = folder / "bin" / "systemd-run"
        fake.write_text(SYSTEMD_RUN.format(folder=folder, program=programs.FOLDER / "ddnsd"))
        fake.chmod(0o755)
        self.here = folder / "here"
        self.here.mkdir()

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "DDNSD_DATABASE_URL": f"sqlite:///{self.folder}/ddnsd.db",
        }
        return subprocess.run(
            ["sh", str(self.file), *words],
            input=stdin,
            env=environment,
            cwd=self.here,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    command = Command(tmp_path_factory.mktemp("command"))
    assert command.run("db", "upgrade").returncode == 0
    assert command.run("user", "add", "alice").returncode == 0
    return command


def test_a_private_tmp_loses_no_files(command: Command) -> None:
    options = (command.folder / "options").read_text().splitlines()
    tmp = [option for option in options if option.startswith("--property=PrivateTmp=")]
    assert tmp[-1] == "--property=PrivateTmp=no", "the last one counts"
    assert "--property=ProtectSystem=strict" in options, "a file that the sandbox opens in /tmp is an error"


def test_an_export_is_written_where_the_caller_is(command: Command) -> None:
    for name in ("x.json", "with a space.json", str(command.here / "absolute.json")):
        done = command.run("export", name)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        file = command.here / name
        assert '"alice"' in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
    (command.here / "x.json").chmod(0o644)
    assert command.run("export", "x.json").returncode == 0
    assert (command.here / "x.json").stat().st_mode & 0o777 == 0o600
    assert '"alice"' in command.run("export").stdout
    assert '"alice"' in command.run("export", "-").stdout
    assert command.run("export", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()
    assert '"alice"' in command.run("user", "export", "alice").stdout


def test_an_export_that_fails_leaves_the_former_file(command: Command) -> None:
    (command.here / "kept.json").write_text("kept")
    before = sorted(command.here.iterdir())
    assert command.run("export", "--nothing").returncode == 2
    assert command.run("export", "kept.json", "too-much").returncode == 2
    assert command.run("export", "missing/x.json").returncode == 1
    assert sorted(command.here.iterdir()) == before
    assert (command.here / "kept.json").read_text() == "kept"


def test_an_import_reads_a_file_of_the_caller(command: Command) -> None:
    assert command.run("export", "all.json").returncode == 0
    refused = command.run("import", "all.json")
    assert refused.returncode == 1
    assert "not empty" in refused.stderr, "it was read"
    missing = command.run("import", "missing.json")
    assert missing.returncode != 0
    assert "missing.json" in missing.stderr


def test_settings_and_keys_are_read_from_files_of_the_caller(command: Command) -> None:
    (command.here / "new.toml").write_text("nochg_per_hours = 5\n")
    done = command.run("settings", "--check", "new.toml")
    assert done.returncode == 1
    assert "NOCHG_PER_HOURS: no such setting" in done.stderr
    (command.here / "new.toml").write_text("nochg_per_hour = 5\n")
    assert command.run("settings", "--check", "new.toml").stdout == ""
    (command.here / "lab.key").write_text("not a key")
    add = ["domain", "add", "lab.example.org", "--owner", "alice", "--primary", "127.0.0.1:1", "--key-file", "lab.key"]
    done = command.run(*add, "--check")
    assert done.returncode == 2
    assert "Invalid value for --key-file: " in done.stderr
    assert "No such file" not in done.stderr
