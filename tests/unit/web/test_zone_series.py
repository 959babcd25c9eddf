# SPDX-License-Identifier: GPL-3.0-or-later
"""The series per zone and per primary: how many there are, and which come first."""

from types import SimpleNamespace
from typing import Any, cast

from ddnsd.dns.causes import UNREACHABLE, Cause
from ddnsd.dns.contents import Contents
from ddnsd.dns.monitor import ZoneHealth, ZoneMonitor
from ddnsd.registry.moves import Move
from ddnsd.registry.rows import Domain, QueueCounts
from ddnsd.registry.status import PrimaryStatus, Status
from ddnsd.web.health import ZoneSeries

NUMBER = 9


def series(shown: int) -> list[tuple[str, dict[str, str], float]]:
    """All samples; the last zone and the last primary have a problem."""

    def zone(number: int) -> ZoneHealth:
        domain = cast(Domain, SimpleNamespace(name=f"z{number}", frozen="maintenance" if number == 1 else None))
        causes = [Cause(UNREACHABLE, "")] if number == NUMBER else []
        return ZoneHealth(domain, f"p{number}", causes, number, 0, Contents(2, 7) if number == NUMBER else None)

    def primary(number: int) -> PrimaryStatus:
        error, at = ("silent", 7_000_000) if number == NUMBER else (None, None)
        return PrimaryStatus(f"p{number}", error, error, at, number, 10 * number)

    numbers = range(NUMBER + 1)
    watch: Any = SimpleNamespace(zones=lambda: list(map(zone, numbers)))
    status: Any = SimpleNamespace(
        queue={"z9": QueueCounts(1, 2, 3, 4)},
        primaries=lambda: list(map(primary, numbers)),
        moves=lambda: {"z8": Move("p8", "new", 0, None, None), "z9": Move("p9", "old", 0, 5, "silent")},
    )
    families = ZoneSeries(cast(ZoneMonitor, watch), cast(Status, status), shown, lambda: {"z9": 8}).collect()
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def test_zones_and_primaries_are_capped_and_failing_ones_come_first() -> None:
    for shown in (1, 3, 100):
        found = series(shown)
        for label, letter in (("zone", "z"), ("primary", "p")):
            names = {labels[label] for _, labels, _ in found if label in labels}
            assert len(names) == min(shown, NUMBER + 1)
            assert f"{letter}{NUMBER}" in names


def test_values() -> None:
    found = {(name, *sorted(labels.values())): value for name, labels, value in series(1)}
    queue = {state: found["ddnsd_zone_queue", state, "z9"] for state in ("refused", "held", "skipped", "waiting")}
    assert queue == {"refused": 1, "held": 2, "skipped": 3, "waiting": 4}
    assert (found["ddnsd_zone_move_waiting", "old", "z9"], found["ddnsd_zone_move_problem", "z9"]) == (5, 1)
    assert not any("z8" in key for key in found)
    assert found["ddnsd_zone_unknown_names", "z9"] == 7
    assert found["ddnsd_zone_signature_expiry_timestamp_seconds", "z9"] == 8
    assert found["ddnsd_primary_up", "p9"] == 0
    assert found["ddnsd_primary_zones", "p9"] == NUMBER
    assert found["ddnsd_primary_messages_total", "p9"] == 10 * NUMBER
    assert found["ddnsd_primary_last_error_timestamp_seconds", "p9"] == 7
    assert found["ddnsd_zones_frozen",] == 1
    everything = {(name, *sorted(labels.values())): value for name, labels, value in series(100)}
    assert everything["ddnsd_zone_move_problem", "z8"] == 0
    assert ("ddnsd_zone_move_waiting", "new", "z8") not in everything, "not compared yet"
    assert everything["ddnsd_primary_up", "p0"] == 1
    assert everything["ddnsd_primary_last_error_timestamp_seconds", "p0"] == 0
    assert everything["ddnsd_zone_queue", "refused", "z0"] == 0
    assert [everything["ddnsd_zone_frozen", f"z{number}"] for number in range(3)] == [0, 1, 0]
