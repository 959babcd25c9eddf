# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of backups by restic, and the test of a restore, of a real service."""

import gzip
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers.recovery import PASSWORD, Recovery, rewrite
from support.servers.service import DOMAIN, Service, dev

DAY = 86400


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("ddnsd") / "ddnsd") as running:
        for number in range(1, 13):
            running.register(f"vm-{number}", ip=f"192.0.2.{number}")
        yield running


@pytest.fixture
def recovery(tmp_path: Path, service: Service) -> Recovery:
    return Recovery(service, tmp_path / "machine")


def test_a_copy_is_encrypted_and_restored(recovery: Recovery) -> None:
    archive = recovery.back_up()
    done = recovery.job("offsite", "--keep-daily", 3)
    assert done.returncode == 0, done.stderr
    known = recovery.known("offsite")
    assert (known["problem"], known["archive"]) == ("", archive.name)
    assert [one["short_id"] for one in recovery.snapshots()] == [known["snapshot"]]
    for file in recovery.repository.rglob("*"):
        assert file.is_dir() or DOMAIN.encode() not in file.read_bytes()

    archive.unlink()
    done = recovery.job("test", "--offsite")
    assert done.returncode == 0, done.stderr
    tested = recovery.known("restore-test")
    assert (tested["problem"], tested["snapshot"]) == ("", known["snapshot"])
    assert tested["made"] == known["made"]
    assert {name: tested[name] for name in ("domains", "hosts", "zones")} == {"domains": 1, "hosts": 12, "zones": 1}

    said = recovery.arguments.read_text()
    assert "restic backup" in said
    for secret in (PASSWORD, str(recovery.repository)):
        assert secret not in said


def test_records_can_be_read_by_everybody_and_have_no_secrets(recovery: Recovery) -> None:
    recovery.back_up()
    for command in (["offsite"], ["test", "--offsite"]):
        assert recovery.job(*command).returncode == 0
    files = sorted((recovery.folder / "state").iterdir())
    assert [file.name for file in files] == ["offsite.json", "restore-test.json"]
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o644
        assert PASSWORD not in file.read_text()
        assert str(recovery.repository) not in file.read_text()


def test_without_a_repository_the_newest_archive_is_tested(recovery: Recovery) -> None:
    recovery.back_up(made=time.time() - DAY)
    archive = recovery.back_up()
    done = recovery.job("test")
    assert done.returncode == 0, done.stderr
    assert recovery.known("restore-test")["archive"] == archive.name


def test_the_restored_archive_is_the_one_that_was_copied(recovery: Recovery) -> None:
    """What the page about restoring says: dump the snapshot, and give it to the playbook."""
    archive = recovery.back_up()
    assert recovery.job("offsite").returncode == 0
    with gzip.open(archive) as content:
        assert recovery.restic("dump", "latest", "/ddnsd.tar").encode() == content.read()


def test_old_snapshots_are_removed(recovery: Recovery) -> None:
    now = time.time()
    for days in (9, 5, 2, 1, 0):
        recovery.back_up(made=now - days * DAY)
        assert recovery.job("offsite", "--keep-daily", 2).returncode == 0
    assert len(recovery.snapshots()) == 2
    archive = recovery.known("offsite")["archive"]
    assert archive == max(file.name for file in recovery.archives.iterdir())


def test_a_disk_that_is_not_mounted_gets_no_new_repository(recovery: Recovery) -> None:
    recovery.back_up()
    assert recovery.job("offsite").returncode == 0
    before = recovery.known("offsite")
    away = recovery.repository.rename(recovery.folder / "away")

    done = recovery.job("offsite")
    assert done.returncode == 1
    assert "the repository of before is not there" in done.stderr
    assert not recovery.repository.exists()
    after = recovery.known("offsite")
    assert after["problem"] in done.stderr
    assert (after["succeeded"], after["snapshot"]) == (before["succeeded"], before["snapshot"])

    recovery.restic("init")
    done = recovery.job("offsite")
    assert done.returncode == 1
    assert "another repository is there than before" in done.stderr
    assert recovery.snapshots() == []

    shutil.rmtree(recovery.repository)
    away.rename(recovery.repository)
    assert recovery.job("offsite").returncode == 0
    assert recovery.known("offsite")["problem"] == ""


def test_a_wrong_password_is_told_and_changes_nothing(recovery: Recovery) -> None:
    recovery.back_up()
    assert recovery.job("offsite").returncode == 0
    recovery.credential("restic_password", "another")
    done = recovery.job("offsite")
    assert done.returncode == 1
    assert "wrong password" in done.stderr
    assert "another" not in done.stderr
    assert len(recovery.snapshots()) == 1


def test_a_password_in_a_url_is_not_shown(recovery: Recovery) -> None:
    recovery.back_up()
    recovery.credential("restic_repository", "rest:http://user:s3cret@127.0.0.1:9/")
    done = recovery.job("offsite")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "s3cret" not in done.stderr + str(recovery.known("offsite"))


def test_a_damaged_archive_becomes_no_snapshot(recovery: Recovery) -> None:
    archive = recovery.back_up()
    archive.write_bytes(archive.read_bytes()[:-200])
    assert recovery.job("offsite").returncode == 1
    assert recovery.snapshots() == []


def test_an_empty_machine_only_opens_the_repository(recovery: Recovery) -> None:
    done = recovery.job("offsite")
    assert (done.returncode, done.stdout) == (0, "the repository is ready; there is no backup yet\n")
    assert recovery.known("offsite")["succeeded"] is None
    assert recovery.snapshots() == []


SOA = f"{DOMAIN}. 60 IN SOA ns. hostmaster. 1 2 3 4 5\n{DOMAIN}. 60 IN NS ns.\n".encode()


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        ({f"zones/{DOMAIN}.zone": None, "zones/a.zone": SOA.replace(DOMAIN.encode(), b"a")}, "has no zone of"),
        ({f"zones/{DOMAIN}.zone": SOA}, "12 of 12 hosts have no address in the zones, such as vm-"),
        ({f"zones/{DOMAIN}.zone": b"no zone"}, "named-compilezone"),
        ({"store.json": b'{"format": 1}'}, "not an export"),
        ({"store.json": None}, "no store.json"),
    ],
    ids=["lost zone", "empty zone", "damaged zone", "damaged export", "no export"],
)
def test_the_test_of_a_restore_finds(recovery: Recovery, contents: dict[str, bytes | None], problem: str) -> None:
    archive = recovery.back_up()
    assert recovery.job("test").returncode == 0
    before = recovery.known("restore-test")
    rewrite(archive, contents)
    scratch = recovery.folder / "scratch"
    scratch.mkdir()
    recovery.environment["TMPDIR"] = str(scratch)
    done = recovery.job("test")
    assert done.returncode == 1
    assert problem in done.stderr
    after = recovery.known("restore-test")
    assert problem in after["problem"]
    assert (after["succeeded"], after["hosts"]) == (before["succeeded"], 12)
    assert list(scratch.iterdir()) == []
