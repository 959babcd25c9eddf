# SPDX-License-Identifier: GPL-3.0-or-later
"""§2, row `domains`."""

from typing import Any

from support.clients.dyndns import Host
from support.ports import wait_until
from support.servers.service import Service

KEYS = {"name", "public", "available", "comment", "owner"}


def domains(service: Service, token: str) -> dict[str, Any]:
    answer = service.get("/nic/domains", token)
    assert answer.status_code == 200
    content: dict[str, Any] = answer.json()
    assert set(content) == {"status", "private", "public"}
    assert content["status"] == "ok"
    return content


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["name"] for entry in entries]


def test_private_are_the_callers_own_also_when_public(
    service: Service, alice: str, lab: str, shared: str, den: str
) -> None:
    for _ in range(2):
        content = domains(service, alice)
        assert {lab, shared} <= set(names(content["private"]))
        assert {entry["owner"] for entry in content["private"]} == {"alice"}
        public = {entry["name"]: entry["public"] for entry in content["private"]}
        assert (public[lab], public[shared]) == (False, True)
        assert not {lab, shared, den} & set(names(content["public"]))


def test_public_are_the_public_ones_of_others(service: Service, bob: str, lab: str, shared: str, den: str) -> None:
    for _ in range(2):
        content = domains(service, bob)
        assert names(content["private"]) == [den]
        assert {service.domain, shared} <= set(names(content["public"]))
        assert lab not in names(content["public"])
        assert all(entry["public"] is True for entry in content["public"])
        assert {entry["name"]: entry["owner"] for entry in content["public"]}[service.domain] == "admin"


def test_domains_are_sorted_and_have_exactly_five_keys(
    service: Service, alice: str, bob: str, lab: str, shared: str
) -> None:
    for token in (alice, bob):
        content = domains(service, token)
        for entries in (content["private"], content["public"]):
            assert names(entries) == sorted(names(entries))
            for entry in entries:
                assert set(entry) == KEYS
                assert {key: type(entry[key]) for key in ("name", "public", "available", "owner")} == {
                    "name": str,
                    "public": bool,
                    "available": bool,
                    "owner": str,
                }
                assert isinstance(entry["comment"], str)


def test_a_domain_made_private_or_unavailable(service: Service, alice: str, bob: str) -> None:
    name = "turned.example.org"

    def seen(token: str) -> list[tuple[str, bool, bool]]:
        content = domains(service, token)
        return [
            (kind, entry["public"], entry["available"])
            for kind in ("private", "public")
            for entry in content[kind]
            if entry["name"] == name
        ]

    service.cli("domain", "add", name, "--owner", "alice")
    assert (seen(alice), seen(bob)) == ([("private", True, True)], [("public", True, True)])
    service.cli("domain", "set", name, "--private", "--unavailable")
    wait_until(lambda: (seen(alice), seen(bob)) == ([("private", False, False)], []), 10, "private and not available")
    service.cli("domain", "set", name, "--public", "--available")
    wait_until(lambda: seen(bob) == [("public", True, True)], 10, "public and available")


def test_a_public_domain_that_is_not_available_is_listed_as_such(
    service: Service, alice: str, bob: str, closed: Host
) -> None:
    for token, kind in ((alice, "private"), (bob, "public")):
        for _ in range(2):
            available = {entry["name"]: entry["available"] for entry in domains(service, token)[kind]}
            assert available[closed.domain] is False
