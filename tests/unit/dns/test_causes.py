# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a zone does not follow, and when a refused probe is no reason."""

from types import SimpleNamespace
from typing import Any

from ddnsd.dns import errors
from ddnsd.dns.causes import (
    BEHIND,
    FROZEN,
    HELD_BACK,
    NOT_LOADED,
    REFUSING,
    UNKNOWN,
    UNREACHABLE,
    Cause,
    Health,
    cause_of,
    cause_of_query,
    causes,
)

REFUSED = Cause(REFUSING, "REFUSED")


class Sender:
    def __init__(self, problem: str | None = None, refused: int = 0, frozen: str | None = None) -> None:
        self.problem, self.refused = problem, refused
        self.domain = SimpleNamespace(frozen=frozen)


def kinds(health: Health | None, sender: Any) -> list[str]:
    return [cause.kind for cause in causes(health, sender)]


def well() -> Health:
    return Health("192.0.2.1:53", answer=None)


def test_each_error_has_its_kind() -> None:
    assert cause_of(errors.NoAnswer("silent")).kind == UNREACHABLE
    assert cause_of(errors.Frozen("REFUSED")).kind == FROZEN
    assert cause_of(errors.BadKey("BADKEY")).kind == REFUSING


def test_nothing_is_known_at_first() -> None:
    assert kinds(None, Sender()) == kinds(Health("192.0.2.1:53"), Sender()) == [UNKNOWN]
    assert kinds(well(), Sender()) == []


def test_a_message_that_failed_is_told_where_the_primary_seems_well() -> None:
    assert kinds(well(), Sender("SERVFAIL")) == [BEHIND]
    silent = Health("192.0.2.1:53", answer=Cause(UNREACHABLE, "silent"))
    assert kinds(silent, Sender("silent")) == [UNREACHABLE]


def test_refused_hosts_hold_a_zone_back() -> None:
    assert kinds(well(), Sender(refused=2)) == [HELD_BACK]


def test_a_frozen_domain_has_no_fault() -> None:
    assert kinds(None, Sender(frozen="maintenance")) == []
    silent = Health("192.0.2.1:53", answer=Cause(UNREACHABLE, "silent"))
    assert kinds(silent, Sender("silent", refused=2, frozen="maintenance")) == []


def test_a_refused_probe_is_told_at_once_and_forgotten_once_one_is_taken() -> None:
    health = well()
    health.refused(REFUSED, 7)
    assert health.updates == REFUSED
    health.accepted()
    assert health.updates is None


def test_messages_that_are_taken_between_refused_probes_prove_that_the_probe_alone_is_refused() -> None:
    health = well()
    for _ in range(4):
        health.refused(REFUSED, 7)
        assert health.updates == REFUSED
    health.refused(REFUSED, 8)
    assert health.updates is None
    health.refused(REFUSED, 8)  # and the zone is idle since
    assert health.updates is None
    health.accepted()
    health.refused(REFUSED, 9)
    assert health.updates == REFUSED


def test_an_answer_that_was_on_its_way_when_the_zone_was_frozen_proves_nothing() -> None:
    health = well()
    health.refused(REFUSED, 7)
    health.refused(REFUSED, 8)
    assert health.updates == REFUSED
    health.refused(REFUSED, 8)
    assert health.updates == REFUSED


def test_a_query_answered_by_servfail_is_about_a_zone_that_is_not_loaded() -> None:
    domain: Any = SimpleNamespace(name="dyn.example.org", primary="192.0.2.1:53", provisioned=False)
    servfail = errors.Refusal("SERVFAIL")
    assert "provision" not in cause_of_query(servfail, domain).text
    domain.provisioned = True
    cause = cause_of_query(servfail, domain)
    assert "`ddnsd domain provision dyn.example.org`" in cause.text
    assert cause_of_query(errors.Refusal("REFUSED"), domain).kind == REFUSING
    health = Health("192.0.2.1:53", answer=cause, updates=REFUSED)
    assert kinds(health, Sender("SERVFAIL")) == [NOT_LOADED]
