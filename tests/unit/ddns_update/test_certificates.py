# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of the machine's names: when they are ordered, and what stays if that fails."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.clients.signing import new_key, signed
from support.clients.updater import HOST, SECRET, Machine, Ran
from support.servers.http_stub import Asked, Said, Web

DAY = 86_400
LIFE = 90 * DAY
REFUSED = (422, json.dumps({"type": "urn:ddns:rule", "detail": f"{HOST} has no wildcard."}))


class Certified(Machine):
    """A machine with a certificate, and a service that signs what it is asked for, by the machine's clock."""

    life = LIFE
    signs = True

    def begin(self, server: Web, **options: object) -> None:
        (self.folder / "tls").mkdir(exist_ok=True)
        log = f"sh -c 'echo reloaded >>{self.folder}/reloads'"
        given = {"certificate_file": self.chain, "certificate_key": self.key, "certificate_reload": log, **options}
        self.configure(server.url, HOST, **given)
        server.answer = self.sign

    def sign(self, asked: Asked) -> Said | str:
        return signed(asked.json["csr"], since=self.now, until=self.now + self.life) if self.signs else REFUSED

    @property
    def chain(self) -> Path:
        return self.folder / "tls" / "vm.pem"

    @property
    def key(self) -> Path:
        return self.folder / "tls" / "vm.key"

    @property
    def reloads(self) -> int:
        file = self.folder / "reloads"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def certify(self, *arguments: str) -> Ran:
        ran = self.run("certificate", *arguments)
        assert SECRET not in ran.out + ran.err
        assert "PRIVATE KEY" not in ran.out + ran.err
        return ran

    def files(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (self.folder / "tls").iterdir()}

    def fits(self) -> bool:
        """Whether the key is that of the certificate."""
        commands = (f"pkey -in {self.key} -pubout", f"x509 -in {self.chain} -noout -pubkey")
        keys = [subprocess.run(["openssl", *c.split()], capture_output=True, check=True).stdout for c in commands]
        return keys[0] == keys[1]


@pytest.fixture
def certified(tmp_path: Path, server: Web, monkeypatch: pytest.MonkeyPatch) -> Certified:
    for variable in ("CREDENTIALS_DIRECTORY", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)
    machine = Certified(tmp_path)
    machine.begin(server)
    return machine


def test_the_first_certificate(certified: Certified, server: Web) -> None:
    ran = certified.certify()
    end = certified.updater.at(certified.now + LIFE)
    assert ran == Ran(0, f"{HOST}: updated: certificate valid until {end}\n", "")
    (asked,) = server.taken()
    assert (asked.method, asked.path) == ("POST", f"/api/hosts/{HOST}/certificate")
    assert asked.basic == f"{HOST}:{SECRET}"
    assert certified.fits()
    assert [file.stat().st_mode & 0o777 for file in (certified.key, certified.chain)] == [0o600, 0o644]
    assert sorted(certified.files()) == ["vm.key", "vm.pem"]
    assert certified.reloads == 1

    assert certified.certify(HOST).out == f"{HOST}: current: certificate valid until {end}\n"
    assert (server.asked, certified.reloads) == ([], 1)


def test_updates_have_a_state_and_a_lock_of_their_own(certified: Certified, server: Web) -> None:
    """An update while a certificate is ordered."""
    during = []

    def answer(asked: Asked) -> Said | str:
        if asked.path == "/nic/update":
            return "good"
        during.append(certified.run().out)
        return certified.sign(asked)

    server.answer = answer
    assert certified.certify().status == 0
    assert during[0].startswith(f"{HOST}: updated: ")
    assert certified.state[HOST]["published"].keys() == {"ipv4", "ipv6"}


@pytest.mark.parametrize(
    ("options", "life", "early", "late"),
    [({}, 90, 59, 64), ({"certificate_renew": "10d"}, 90, 79, 82), ({}, 6, 2, 4)],
)
def test_it_is_renewed_with_a_new_key(
    certified: Certified, server: Web, options: dict[str, str], life: int, early: int, late: int
) -> None:
    certified.life = life * DAY
    certified.begin(server, **options)
    certified.certify()
    before, begin = certified.files(), certified.now
    certified.now = begin + early * DAY
    assert ": current: " in certified.certify().out
    certified.now = begin + late * DAY
    assert ": updated: " in certified.certify().out
    after = certified.files()
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert certified.fits()
    assert certified.reloads == 2


def test_machines_do_not_renew_at_the_same_time(certified: Certified) -> None:
    found = certified.updater.Certificate("", certified.now, certified.now + LIFE)
    name = certified.updater.read_config(str(certified.config)).names[0]
    moment = certified.moment._replace(at=certified.now + 61.5 * DAY)
    chosen = {
        certified.updater.is_ending(name, found, {"fingerprint": spread + 8 * "0"}, moment) for spread in ("0", "f")
    }
    assert chosen == {True, False}


def test_a_failure_changes_nothing_and_backs_off(certified: Certified, server: Web) -> None:
    certified.certify()
    before = certified.files()
    certified.now += 80 * DAY
    server.says((503, json.dumps({"detail": "The authority does not answer."})))
    server.taken()
    ran = certified.certify()
    assert (ran.status, f"{HOST}: failed: HTTP 503: The authority does not answer.; again" in ran.out) == (1, True)
    assert ": waiting: until " in certified.certify().out
    (first,) = server.taken()
    assert {name: certified.files()[name] for name in before} == before
    certified.now += 150
    server.answer = certified.sign
    assert ": updated: " in certified.certify().out
    (second,) = server.taken()
    assert first.json == second.json, "the service repeats its answer to the same request"
    assert certified.fits()


def test_a_refusal_pauses_for_hours(certified: Certified, server: Web) -> None:
    certified.signs = False
    ran = certified.certify()
    assert (ran.status, f"{HOST}: paused: HTTP 422: {HOST} has no wildcard.; nothing" in ran.out) == (3, True)
    certified.now += 3500
    assert certified.certify().status == 3
    assert len(server.taken()) == 1
    certified.signs = True
    assert certified.certify("--force").status == 0
    assert certified.certify().status == 0


def test_a_sign_in_page_is_an_outage(certified: Certified, server: Web) -> None:
    for said in ((401, "<html>Sign in</html>"), (200, "<html>Sign in</html>"), (200, "-----BEGIN CERTIFICATE-----\n")):
        server.says(said)
        assert certified.certify("--force").status == 1
    assert list(certified.files()) == ["vm.key.next"]


def test_a_chain_for_another_key_or_name_is_not_put_in_place(certified: Certified, server: Web) -> None:
    def answer(asked: Asked) -> str:
        return signed(asked.json["csr"], since=certified.now, until=certified.now + LIFE, **other)

    server.answer = answer
    other: dict[str, Any] = {"key": new_key()}
    assert "failed: the certificate is for another key; " in certified.certify().out
    other = {"names": (HOST, f"a.{HOST}")}
    assert "failed: the certificate is for other names; " in certified.certify("--force").out
    assert list(certified.files()) == ["vm.key.next"]


def test_other_names_are_ordered_at_once(certified: Certified) -> None:
    certified.certify()
    configuration = certified.config.read_text()
    certified.config.write_text(configuration + "certificate_wildcard = yes\n")
    assert ": updated: " in certified.certify().out
    text = subprocess.run(["openssl", "x509", "-in", certified.chain, "-noout", "-text"], capture_output=True).stdout
    assert f"DNS:{HOST}, DNS:*.{HOST}".encode() in text


@pytest.mark.parametrize("damage", ["key", "chain", "other key"])
def test_files_that_do_not_belong_together_are_replaced(certified: Certified, damage: str) -> None:
    certified.certify()
    if damage == "other key":
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", certified.key], capture_output=True)
    else:
        (certified.key if damage == "key" else certified.chain).write_text("damaged\n")
    assert ": updated: " in certified.certify().out
    assert certified.fits()


def test_a_damaged_key_that_waits_is_made_again(certified: Certified) -> None:
    certified.key.with_name("vm.key.next").write_text("damaged\n")
    assert certified.certify().status == 0
    assert certified.fits()


def test_a_reload_that_fails_is_repeated(certified: Certified, server: Web) -> None:
    certified.begin(server, certificate_reload=f"test -e {certified.folder}/ready")
    ran = certified.certify()
    text = "the certificate is in place, but certificate_reload failed: the command ended with status 1; again after"
    assert (ran.status, text in ran.out) == (1, True)
    assert certified.fits()
    (certified.folder / "ready").touch()
    certified.now += 150
    assert ": current: " in certified.certify().out
    assert len(server.taken()) == 1


def test_a_clock_that_is_years_ahead_orders_once(certified: Certified, server: Web) -> None:
    certified.certify()
    certified.ahead = 400 * DAY
    ran = certified.certify()
    assert (ran.status, "paused: the new certificate ends on " in ran.out) == (3, True)
    certified.certify()
    assert len(server.taken()) == 2
    assert certified.fits()


def test_a_full_disk_keeps_the_old_files(certified: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    certified.certify()
    before = certified.files()
    write = certified.updater.write_secretly

    def full(file: str, *rest: object) -> None:
        if file.endswith("vm.pem.next"):
            raise OSError(28, "No space left on device", file)
        write(file, *rest)

    monkeypatch.setattr(certified.updater, "write_secretly", full)
    ran = certified.certify("--force")
    assert f"failed: {certified.chain}.next: No space left on device; again" in ran.out
    assert {name: certified.files()[name] for name in before} == before


def test_a_folder_that_does_not_exist(certified: Certified, server: Web) -> None:
    certified.begin(server, certificate_key=certified.folder / "nothing" / "vm.key")
    assert "nothing/vm.key.next.new: No such file or directory" in certified.certify().out
    assert server.asked == []


def test_without_openssl(certified: Certified, server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PATH", str(certified.folder))
    ran = certified.certify()
    assert (ran.status, "failed: cannot run openssl: No such file or directory; again" in ran.out) == (1, True)
    assert server.asked == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"certificate_key": ""}, "certificate_key: certificate_file needs it"),
        ({"certificate_key": "/same", "certificate_file": "/same"}, "it must be another file"),
        ({"certificate_file": ""}, "certificate_file: missing"),
        ({"certificate_file": "relative.pem"}, "certificate_file: must be an absolute path"),
        ({"certificate_renew": "1y"}, "certificate_renew: must be a number and m, h or d"),
        ({"provider": "freedns", "login": "x"}, "certificate_file: is for dyndns2, not for freedns"),
    ],
)
def test_options_that_do_not_fit(certified: Certified, server: Web, options: dict[str, object], reason: str) -> None:
    certified.begin(server, **options)
    for ran in (certified.certify(), certified.run()):
        assert (ran.status, reason in ran.err) == (2, True), ran
    assert server.asked == []


def test_names_without_a_certificate(certified: Certified, server: Web) -> None:
    section = f"\n[b.{HOST}]\nserver = {server.url}\nsecret = {HOST}\n"
    with certified.config.open("a") as file:
        file.write(section)
    assert certified.certify().out.count("\n") == 1
    assert certified.certify(f"b.{HOST}").err == f"ddns-update: [b.{HOST}]: it has no certificate_file\n"
    with certified.config.open("a") as file:
        file.write(f"certificate_file = {certified.chain}\ncertificate_key = /other\n")
    ran = certified.certify()
    assert (ran.status, ran.err) == (2, f"ddns-update: [b.{HOST}]: [{HOST}] has the same file {certified.chain}\n")
    certified.config.write_text(section)
    assert certified.certify().err == "ddns-update: no section has certificate_file\n"
