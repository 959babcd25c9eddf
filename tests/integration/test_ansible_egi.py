# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection against the service of EGI's documentation: no edits in place, no domains, no word on secrets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ansible.playbooks import Ansible
from support.servers.egi import Egi, egi


@pytest.fixture
def service() -> Iterator[Egi]:
    with egi(delay=0) as running:
        running.add_domain("dyn.example.org")
        yield running


@pytest.fixture
def ansible(service: Egi, tmp_path: Path) -> Ansible:
    return Ansible(tmp_path / "ansible", service.url, "token-of-alice")


NAME = "www.dyn.example.org"


def test_a_host_is_registered_moved_to_another_address_and_removed(ansible: Ansible, service: Egi) -> None:
    first = ansible.task("ddns_host", name=NAME, ipv4="192.0.2.1", comment="c", stack="s", return_secrets=True)
    assert first["secret"] == service.hosts[NAME].secret
    assert service.hosts[NAME].comment == "c [ddns:s]"
    assert (first["host"]["comment"], first["host"]["stack"], first["host"]["ipv4"]) == ("c", "s", "192.0.2.1")
    other, absent = {"name": NAME, "ipv4": "192.0.2.2", "stack": "s"}, {"name": NAME, "state": "absent"}
    moved, *rest = ansible.tasks("ddns_host", other, other, absent, absent)
    assert moved["changed"]
    assert "secret" not in moved
    assert [result["changed"] for result in rest] == [False, True, False]
    assert not service.hosts


def test_what_cannot_be_edited_is_registered_anew_and_said_so(ansible: Ansible, service: Egi) -> None:
    ansible.task("ddns_host", name=NAME, ipv4="192.0.2.1")
    old = service.hosts[NAME].secret
    result = ansible.task("ddns_host", name=NAME, wildcard=True, return_secrets=True)
    assert result["warnings"] == [
        f"{NAME}: registered again, with a new secret: EGI Dynamic DNS cannot change wildcard of a registered host"
    ]
    assert result["secret"] == service.hosts[NAME].secret != old
    assert service.hosts[NAME].ipv4 == "192.0.2.1"


def test_what_it_cannot_do_is_an_error_that_changes_nothing(ansible: Ansible, service: Egi) -> None:
    assert "ttl" in ansible.task("ddns_host", name=NAME, ttl=300, fails=True)["msg"]
    assert "domain" in ansible.task("ddns_domain", name="new.example.org", fails=True)["msg"]
    records = {"TXT": ["x"]}
    assert "cannot store records" in ansible.task("ddns_host", name=NAME, records=records, fails=True)["msg"]
    assert service.changes == 0


def test_a_secret_that_is_known_is_taken_to_work_with_a_warning(ansible: Ansible, service: Egi, tmp_path: Path) -> None:
    ansible.task("ddns_host", name=NAME, ipv4="192.0.2.1")
    options: dict[str, Any] = {"name": NAME, "path": str(tmp_path / "secret")}
    assert ansible.task("ddns_secret", **options)["changed"]
    assert (tmp_path / "secret").read_text() == service.hosts[NAME].secret + "\n"
    again = ansible.task("ddns_secret", **options)
    assert not again["changed"]
    assert "cannot check secrets" in again["warnings"][0]


def test_what_fails_is_told_and_the_rest_is_done(ansible: Ansible, service: Egi) -> None:
    """The service cannot be asked before a change is made."""
    hosts = {"new.elsewhere.example.org": {"ipv4": "192.0.2.1"}, NAME: {"ipv4": "192.0.2.2"}}
    failed = ansible.task("ddns_sync", declaration={"stack": "partly", "hosts": hosts}, fails=True)
    assert failed["changed"]
    assert failed["msg"].startswith("1 of 2 changes failed:\nnew.elsewhere.example.org: ")
    assert "`secret_dir`" in failed["msg"]
    assert "secrets" not in failed
    assert {change["name"]: change["status"] for change in failed["changes"]} == {
        "new.elsewhere.example.org": "failed",
        NAME: "applied",
    }
    assert list(service.hosts) == [NAME]
