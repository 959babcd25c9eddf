# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup, restore and keys of BIND do not follow names that the service's user can create."""

import io
import os
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ddnsd.checks import backup
from ddnsd.checks.backup import Report
from ddnsd.dns.tsig import TsigKey

PROGRAM = Path(__file__).parents[3] / "roles" / "ddns_server" / "files" / "ddnsd-files"
SECRET = "never-to-be-read"
DNSSEC = "Kdyn.example.org.+013+12345"
DNSSEC_FILES = ("key", "private", "state")
DIG = """#!/bin/sh
echo "$@" >>{asked}
cat "$3" >>{asked}
echo "$5. 60 IN SOA ns. hostmaster. 1 2 3 4 5"
"""


class Machine:
    """A server's folders: those of BIND with the zone dyn.example.org, an export, and one for archives."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bind, self.archives = folder, folder / "bind", folder / "archives"
        self.export, self.settings, self.asked = (
            folder / "cache" / "store.json",
            folder / "ddnsd.toml",
            folder / "asked",
        )
        for name in ("keys", "zones", "dnssec"):
            (self.bind / name).mkdir(parents=True)
        for made in (self.archives, self.export.parent, folder / "bin", folder / "named"):
            made.mkdir()
        self.key = TsigKey.generate("ddnsd.dyn.example.org")
        self.key_file.write_text(self.key.to_text())
        for kind in DNSSEC_FILES:
            (self.bind / "dnssec" / f"{DNSSEC}.{kind}").write_text(f"{kind} key")
        self.export.write_text('{"tables": {}}')
        self.settings.write_text("dir = 1\n")
        self.secret = folder / "secret"
        self.secret.write_text(SECRET)
        (folder / "bin" / "dig").write_text(DIG.format(asked=self.asked))
        (folder / "bin" / "dig").chmod(0o755)

    @property
    def key_file(self) -> Path:
        return self.bind / "keys" / "dyn.example.org.key"

    @property
    def installed(self) -> Path:
        """The file that named includes."""
        return self.folder / "named" / "keys.conf"

    def run(self, *words: object, archive: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        with (archive or Path(os.devnull)).open("rb") as given:
            return subprocess.run(
                [PROGRAM, *map(str, words)], stdin=given, env=environment, capture_output=True, text=True, check=False
            )

    def back_up(self, tls: Path | None = None, keep: int = 3) -> subprocess.CompletedProcess[str]:
        where = ["--to", self.archives, "--export", self.export, "--settings", self.settings, "--bind", self.bind]
        return self.run("backup", "--keep", keep, *where, *(["--tls", tls] if tls else []))

    def install_keys(self, *more: object) -> subprocess.CompletedProcess[str]:
        return self.run("keys", "--from", self.bind / "keys", "--to", self.installed, *more)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_backup_is_written_and_restored(machine: Machine) -> None:
    done = machine.back_up()
    assert done.returncode == 0, done.stderr
    (archive,) = machine.archives.iterdir()
    assert done.stdout.strip() == str(archive)
    assert archive.stat().st_mode & 0o777 == 0o600
    asked = machine.asked.read_text()
    assert "-q dyn.example.org -t AXFR" in asked
    assert machine.key.to_text() in asked
    assert machine.run("store", archive=archive).stdout == machine.export.read_text()
    (machine.bind / "dnssec" / f"{DNSSEC}.private").write_text("another")
    (machine.bind / "dnssec" / f"{DNSSEC}.state").unlink()
    done = machine.run("zones", machine.bind, archive=archive)
    assert done.returncode == 0, done.stderr
    for kind in DNSSEC_FILES:
        assert (machine.bind / "dnssec" / f"{DNSSEC}.{kind}").read_text() == f"{kind} key"
    zone = machine.bind / "zones" / "dyn.example.org.zone"
    assert zone.read_text().startswith("dyn.example.org. 60 IN SOA")
    assert zone.stat().st_mode & 0o777 == 0o660
    assert [file.name for file in zone.parent.iterdir()] == [zone.name]


def report(machine: Machine, result: str) -> Report:
    """What the service reads after systemd has run the program that reports."""
    to = machine.folder / "report.json"
    command: list[str | Path] = [PROGRAM, "report", "--backups", machine.archives, "--to", to]
    subprocess.run(command, env={**os.environ, "SERVICE_RESULT": result}, check=True)
    assert to.stat().st_mode & 0o777 == 0o644, "another user reads it"
    assert not list(machine.folder.glob("tmp*"))
    found = backup.examine(backup.Job("backup", "ddnsd-backup", to, 36), time.time()).report
    assert found is not None
    return found


def test_the_service_reads_how_the_last_backup_ended(machine: Machine) -> None:
    failed = report(machine, "exit-code")
    assert (failed.problem, failed.succeeded, failed.size) == ("the backup ended with exit-code", None, None)
    assert machine.back_up().returncode == 0
    (archive,) = machine.archives.iterdir()
    good = report(machine, "success")
    assert (good.problem, good.succeeded, good.size) == ("", int(archive.stat().st_mtime), archive.stat().st_size)
    assert good.finished is not None
    assert abs(good.finished - time.time()) < 600
    assert report(machine, "timeout").size == archive.stat().st_size, "that of the last good one"


def test_the_self_signed_certificate_is_backed_up_and_restored(machine: Machine) -> None:
    tls, restored = machine.folder / "tls", machine.folder / "restored"
    for made in (tls, restored):
        made.mkdir()
    names = ("self-signed.pem", "self-signed.key")
    assert machine.back_up(tls).returncode == 0, "a machine with another certificate has none"
    (first,) = machine.archives.iterdir()
    first.rename(machine.archives / "ddnsd-20010102T030405Z.tar.gz")
    for name in (*names, "given.key"):
        (tls / name).write_text(name)
    assert machine.back_up(tls).returncode == 0
    for archive, wanted in zip(sorted(machine.archives.iterdir()), ([], names), strict=True):
        done = machine.run("tls", restored, archive=archive)
        assert done.returncode == 0, done.stderr
        assert {file.name: file.read_text() for file in restored.iterdir()} == {name: name for name in wanted}
        assert machine.run("zones", machine.bind, archive=archive).returncode == 0
    assert {file.stat().st_mode & 0o777 for file in restored.iterdir()} == {0o640}


def test_only_the_newest_are_kept_and_no_other_file_is_removed(machine: Machine) -> None:
    for year in (2001, 2002, 2003):
        (machine.archives / f"ddnsd-{year}0102T030405Z.tar.gz").touch()
    (machine.archives / "ddnsd-mine.tar.gz").touch()
    assert machine.back_up(keep=2).returncode == 0
    names = sorted(file.name for file in machine.archives.iterdir())
    assert len(names) == 3
    assert {"ddnsd-20030102T030405Z.tar.gz", "ddnsd-mine.tar.gz"} < set(names)


def links_key(machine: Machine) -> None:
    machine.key_file.unlink()
    machine.key_file.symlink_to(machine.secret)


def links_key_hard(machine: Machine) -> None:
    machine.key_file.unlink()
    machine.key_file.hardlink_to(machine.secret)


def makes_key_a_pipe(machine: Machine) -> None:
    machine.key_file.unlink()
    os.mkfifo(machine.key_file)


def links_keys(machine: Machine) -> None:
    (machine.bind / "keys").rename(machine.folder / "elsewhere")
    (machine.bind / "keys").symlink_to(machine.folder / "elsewhere")


def names_an_option(machine: Machine) -> None:
    machine.key_file.rename(machine.bind / "keys" / "-f secret.key")


def names_a_server(machine: Machine) -> None:
    machine.key_file.rename(machine.bind / "keys" / "@192.0.2.1.key")


def adds_a_statement(machine: Machine) -> None:
    machine.key_file.write_text(machine.key.to_text() + 'include "/etc/passwd";\n')


def adds_in_a_comment(machine: Machine) -> None:
    machine.key_file.write_text(machine.key.to_text() + "/* */ logging { };\n")


def adds_in_the_name(machine: Machine) -> None:
    machine.key_file.write_text('key "a" { algorithm hmac-sha256; secret "YQ=="; }; options { x "y"; };\n')


def adds_a_key(machine: Machine) -> None:
    machine.key_file.write_text(machine.key.to_text() * 2)


def makes_it_large(machine: Machine) -> None:
    machine.key_file.write_text(machine.key.to_text() + " " * 5000)


KEYS: list[Callable[[Machine], None]] = [
    links_key,
    links_key_hard,
    makes_key_a_pipe,
    links_keys,
    names_an_option,
    names_a_server,
    adds_a_statement,
    adds_in_a_comment,
    adds_in_the_name,
    adds_a_key,
    makes_it_large,
]


def links_dnssec(machine: Machine) -> None:
    file = machine.bind / "dnssec" / f"{DNSSEC}.key"
    file.unlink()
    file.symlink_to(machine.secret)


def links_dnssec_folder(machine: Machine) -> None:
    (machine.bind / "dnssec").rename(machine.folder / "elsewhere")
    (machine.bind / "dnssec").symlink_to(machine.folder / "elsewhere")


def links_bind(machine: Machine) -> None:
    machine.bind.rename(machine.folder / "elsewhere")
    machine.bind.symlink_to(machine.folder / "elsewhere")


def links_export(machine: Machine) -> None:
    machine.export.unlink()
    machine.export.symlink_to(machine.secret)


def links_export_folder(machine: Machine) -> None:
    machine.export.parent.rename(machine.folder / "elsewhere")
    machine.export.parent.symlink_to(machine.folder / "elsewhere")


@pytest.mark.parametrize(
    "attack", [*KEYS, links_dnssec, links_dnssec_folder, links_bind, links_export, links_export_folder]
)
def test_a_backup_follows_no_name(machine: Machine, attack: Callable[[Machine], None]) -> None:
    attack(machine)
    done = machine.back_up()
    assert done.returncode == 1
    assert str(machine.folder) in done.stderr, "the file is named"
    assert SECRET not in done.stdout + done.stderr
    assert list(machine.archives.iterdir()) == []


@pytest.mark.parametrize("attack", KEYS)
def test_named_gets_nothing_but_keys(machine: Machine, attack: Callable[[Machine], None]) -> None:
    done = machine.install_keys()
    assert (done.returncode, done.stdout) == (0, "ok: installed\n")
    assert machine.installed.read_text() == machine.key.to_text()
    attack(machine)
    done = machine.install_keys()
    assert done.returncode == 1
    assert str(machine.bind) in done.stdout, "the service is told which file"
    assert SECRET not in done.stdout + done.stderr
    assert machine.installed.read_text() == machine.key.to_text(), "the former keys stay"


def test_each_algorithm_of_a_domain_is_a_key(machine: Machine) -> None:
    for n, algorithm in enumerate(("hmac-md5", "hmac-sha1", "hmac-sha384-192", "hmac-sha512")):
        key = TsigKey(f"key-{n}", algorithm=algorithm, secret="YWJj" * (n + 1) + "YQ==")
        (machine.bind / "keys" / f"{n}.example.org.key").write_text(key.to_text())
    assert machine.install_keys("--check", "/bin/true").returncode == 0
    assert machine.installed.read_text().count("secret") == 5
    assert machine.install_keys("--check", "/bin/false").stdout == "ok\n", "the same keys need no check"


def test_keys_that_named_would_refuse_are_not_installed(machine: Machine) -> None:
    """Such as one with the name of another key in `named.conf`: named would not start with it."""
    assert machine.install_keys().returncode == 0
    (machine.bind / "keys" / "a.example.org.key").write_text(machine.key.to_text())
    program = machine.folder / "bin" / "checkconf"
    program.write_text(
        f'#!/bin/sh\ntest "$(grep -c secret {machine.installed})" = 1 && exit\necho "key redefined"; exit 1\n'
    )
    program.chmod(0o755)
    done = machine.install_keys("--check", program)
    assert (done.returncode, done.stdout) == (1, "the keys were not installed: key redefined\n")
    assert machine.installed.read_text() == machine.key.to_text()


def tampered(archive: Path, *entries: tuple[str, bytes, str]) -> Path:
    """An archive with a store and these entries: name, type, target of a link."""
    with tarfile.open(archive, "w:gz") as tar:
        for name, kind, target in [("store.json", tarfile.REGTYPE, ""), *entries]:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            tar.addfile(entry, io.BytesIO())
    return archive


@pytest.mark.parametrize(
    "entry",
    [
        ("zones/a.zone", tarfile.SYMTYPE, "/etc/shadow"),
        ("dnssec/Ka.+013+1.key", tarfile.LNKTYPE, "/etc/shadow"),
        ("zones", tarfile.SYMTYPE, "/etc"),
        ("zones/a.zone", tarfile.FIFOTYPE, ""),
        ("zones/a.zone", tarfile.CHRTYPE, ""),
        ("zones/../../a.zone", tarfile.REGTYPE, ""),
        ("/etc/cron.d/a", tarfile.REGTYPE, ""),
        ("keys/a.key", tarfile.REGTYPE, ""),
        ("store.json", tarfile.REGTYPE, ""),
    ],
)
def test_a_tampered_archive_is_refused_as_a_whole(machine: Machine, entry: tuple[str, bytes, str]) -> None:
    archive = tampered(machine.folder / "a.tar.gz", ("zones/good.zone", tarfile.REGTYPE, ""), entry)
    for command in (["zones", machine.bind], ["store"]):
        done = machine.run(*command, archive=archive)
        assert done.returncode == 1
        assert "not a backup" in done.stderr
    assert list((machine.bind / "zones").iterdir()) == []


def test_archives_of_former_releases_are_read(machine: Machine) -> None:
    """They have their folders as entries."""
    folders = [(name, tarfile.DIRTYPE, "") for name in ("zones", "dnssec")]
    archive = tampered(machine.folder / "a.tar.gz", *folders, ("zones/a.zone", tarfile.REGTYPE, ""))
    assert machine.run("zones", machine.bind, archive=archive).returncode == 0
    assert (machine.bind / "zones" / "a.zone").exists()


def test_a_restore_writes_through_no_link(machine: Machine) -> None:
    archive = tampered(machine.folder / "a.tar.gz", ("zones/a.zone", tarfile.REGTYPE, ""))
    for name in ("a.zone", ".a.zone.restore"):
        (machine.bind / "zones" / name).symlink_to(machine.secret)
    assert machine.run("zones", machine.bind, archive=archive).returncode == 0
    assert machine.secret.read_text() == SECRET
    assert not (machine.bind / "zones" / "a.zone").is_symlink()
    (machine.bind / "zones").rename(machine.folder / "elsewhere")
    (machine.bind / "zones").symlink_to(machine.folder / "elsewhere")
    refused = machine.run("zones", machine.bind, archive=archive)
    assert refused.returncode == 1
    assert "is a link" in refused.stderr
