# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed sign-ins in the log: once a minute, with names of accounts only."""

import pytest
from structlog.testing import capture_logs

from ddnsd.auth import failed_sign_ins
from ddnsd.auth.failed_sign_ins import FAILURES, LINES, WINDOW_SECONDS, FailedSignIns, Kind


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def counted(kind: Kind) -> float:
    """How many failures of this kind the metrics show."""
    (family,) = FAILURES.collect()
    return next(s.value for s in family.samples if s.labels == {"kind": kind} and s.name.endswith("_total"))


def test_once_per_name_source_and_minute() -> None:
    clock, before = Clock(), counted(Kind.PASSWORD)
    failed = FailedSignIns(clock=clock)
    with capture_logs() as lines:
        for _ in range(3):
            failed.note(Kind.PASSWORD, "alice", "192.0.2.1", account="alice")
            failed.note(Kind.PASSWORD, "alice", "192.0.2.2", account="alice")
            failed.note(Kind.PASSWORD, "bob", "192.0.2.1", account="bob")
    assert [(line["user"], line["source"]) for line in lines] == [
        ("alice", "192.0.2.1"),
        ("alice", "192.0.2.2"),
        ("bob", "192.0.2.1"),
    ]
    assert counted(Kind.PASSWORD) == before + 9
    clock.now += WINDOW_SECONDS
    assert failed.note(Kind.PASSWORD, "alice", "192.0.2.1", account="alice")


@pytest.mark.parametrize("typed", ["correct horse battery", "a\nb", "\udcff", ""])
def test_a_name_that_no_account_has_is_not_logged(typed: str) -> None:
    with capture_logs() as lines:
        assert FailedSignIns().note(Kind.PASSWORD, typed, None, account=None)
    assert lines == [
        {"event": "failed sign-in", "log_level": "warning", "kind": "password", "source": "?", "user": "?"}
    ]


def test_a_flood_is_not_logged() -> None:
    clock = Clock()
    failed = FailedSignIns(clock=clock)
    with capture_logs() as lines:
        for number in range(LINES + 50):
            failed.note(Kind.SECRET, "", f"192.0.2.{number}", account=None)
    assert len(lines) == LINES + 1
    assert lines[-1]["event"] == "too many failed sign-ins to log"
    clock.now += WINDOW_SECONDS
    with capture_logs() as lines:
        failed.note(Kind.SECRET, "", "192.0.2.1", account=None)
    assert len(lines) == 1


def test_each_kind_is_a_series_from_the_start() -> None:
    """An alert needs the series before the first failure."""
    for kind in Kind:
        failed_sign_ins.count(kind)
        assert counted(kind) >= 1
