# SPDX-License-Identifier: GPL-3.0-or-later
"""Administrators' decisions on reports of abuse, for commands."""

from sqlalchemy import Connection

from ddnsd.db import abuse_reports as stored
from ddnsd.db.abuse_reports import AbuseReport
from ddnsd.db.history import SERVICE
from ddnsd.operations import hosts
from ddnsd.registry import abuse_reports
from ddnsd.registry.abuse_reports import BLOCKED, DISMISSED, QUARANTINED, Decision
from ddnsd.registry.policy import Policy

PART = 1000
"""Reports that are read at once."""


def listed(connection: Connection, *, every: bool) -> list[AbuseReport]:
    """The open reports, oldest first, or all of them."""
    found: list[AbuseReport] = []
    state, after = None if every else stored.OPEN, 0
    while part := stored.page(connection, after, PART, state):
        found += part
        after = part[-1].id
    return found


def block(connection: Connection, report_id: int, decision: Decision) -> AbuseReport:
    """Block the host and close the report. Raises NoReport, Stale, Invalid."""
    return _stop(connection, report_id, BLOCKED, decision, None)


def quarantine(connection: Connection, report_id: int, decision: Decision, policy: Policy) -> AbuseReport:
    """Put the host in quarantine and close the report. Raises NoReport, Stale, Invalid."""
    return _stop(connection, report_id, QUARANTINED, decision, policy)


def _stop(connection: Connection, report_id: int, state: str, decision: Decision, policy: Policy | None) -> AbuseReport:
    abuse_reports.check_decision(decision)
    host = abuse_reports.reported_host(connection, report_id)
    hosts.set_host(connection, host.fqdn, abuse_reports.host_values(state, decision), policy)
    return abuse_reports.close(connection, report_id, state, decision, SERVICE)


def dismiss(connection: Connection, report_id: int, decision: Decision) -> AbuseReport:
    """Close the report, and leave the host as it is. Raises NoReport, Stale, Invalid."""
    return abuse_reports.close(connection, report_id, DISMISSED, decision, SERVICE)
