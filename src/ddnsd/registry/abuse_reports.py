# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of abuse: anybody sends one about a host, administrators decide. The service sends no mail.

open ─► blocked | quarantined | dismissed
"""

from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection

from ddnsd.auth.failure_counter import network
from ddnsd.db import abuse_reports, queries
from ddnsd.db.abuse_reports import OPEN, AbuseReport
from ddnsd.db.base import Store
from ddnsd.db.history import Author
from ddnsd.db.rows import Host
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, NoReport, OverQuota, Reason, Stale, Unconfirmed
from ddnsd.registry.hosts import Edit, Edits
from ddnsd.registry.inputs import LINES_LENGTH, TEXT_LENGTH, lines_of_text
from ddnsd.registry.rows import Page, page_of
from ddnsd.registry.window_counter import WindowCounter

KINDS = ("phishing", "malware", "spam", "attack", "other")
BLOCKED, QUARANTINED, DISMISSED = "blocked", "quarantined", "dismissed"
ACTIONS = {BLOCKED: "abuse.block", QUARANTINED: "abuse.quarantine", DISMISSED: "abuse.dismiss"}
"""The audit events of decisions."""

REPORTER = "abuse form"
"""The actor of the audit event of a new report. No user can have this name."""

HOUR_SECONDS = 3600.0

PER_SOURCE = 10
"""Maximum number of forms from an IPv4 address or an IPv6 /64 within an hour, refused ones included."""

OPEN_REPORTS = 1000
"""Maximum number of open reports. It limits what strangers can store."""

_SOURCES, _ALL = 0, 1
"""The owners in the counter."""


class NewReport(NamedTuple):
    """A report as its sender filled it in. `name` may be a URL; `contact` is how to reach the sender, if given."""

    name: str
    kind: str
    text: str
    contact: str = ""


class Decision(NamedTuple):
    """What an administrator decides. `reason` is shown to the owner of a blocked host, `reply` is for the reporter."""

    reason: str | None = None
    reply: str | None = None


class AbuseReports:
    """Takes reports of abuse, and lets administrators decide on them. The caller checks permissions.

    `per_hour` is the maximum number of new reports within an hour, counted by each process; 0: reports are disabled.
    `rules` False: there is no limit.
    """

    def __init__(self, store: Store, edits: Edits, per_hour: int, *, rules: bool) -> None:
        self._store, self._edits = store, edits
        self._counter: WindowCounter[str] = WindowCounter(HOUR_SECONDS)
        self.use(per_hour, rules=rules)

    def use(self, per_hour: int, *, rules: bool) -> None:
        """Apply this limit from now on."""
        self._per_hour, self._rules = per_hour, rules

    @property
    def enabled(self) -> bool:
        """Whether reports are accepted."""
        return self._per_hour > 0

    async def submit(self, new: NewReport, client_ip: str | None) -> None:
        """Store a report. Raises Invalid, OverQuota, StoreDown.

        `OverQuota` is for a source that sends many, for too many from all sources, and while too many are open.
        """
        self._count_source(client_ip)
        fields = _check(new)

        def work(connection: Connection) -> None:
            host = abuse_reports.host_at(connection, fields.name)
            if host is None:
                raise Invalid(name=Reason(Code.REPORTED_NAME_UNKNOWN, name=fields.name))
            if abuse_reports.open_count(connection) >= OPEN_REPORTS:
                raise OverQuota(Code.REPORTS_TOO_MANY, int(HOUR_SECONDS))
            _add(connection, fields, host, client_ip)

        self._check_all()
        await self._store.transact(work)
        self._counter.add(_ALL, "")

    def _count_source(self, client_ip: str | None) -> None:
        if not self._rules:
            return
        source = network(client_ip) if client_ip else ""
        if self._counter.number(_SOURCES, source) >= PER_SOURCE:
            self._refuse(_SOURCES, source)
        self._counter.add(_SOURCES, source)

    def _check_all(self) -> None:
        if self._rules and self._counter.number(_ALL, "") >= self._per_hour:
            self._refuse(_ALL, "")

    def _refuse(self, owner: int, key: str) -> None:
        wait = self._counter.seconds_left(owner, key)
        raise OverQuota(Code.REPORTS_OVER_QUOTA, wait, minutes=-(-wait // 60))

    async def page(self, after: int, limit: int, state: str | None = None) -> Page[AbuseReport]:
        """Reports with an id above `after`, in one state or in any. Raises StoreDown."""
        return page_of(await self._store.read(lambda c: abuse_reports.page(c, after, limit + 1, state)), limit)

    async def get(self, report_id: int) -> AbuseReport:
        """The report of that id. Raises NoReport, StoreDown."""
        return await self._store.read(lambda c: found(c, report_id))

    async def open_count(self) -> int:
        """The number of open reports. Raises StoreDown."""
        return await self._store.read(abuse_reports.open_count)

    async def block(self, report_id: int, decision: Decision, author: Author) -> AbuseReport:
        """Block the host, and close the report. Returns the report. Raises as `quarantine` does."""
        return await self._stop(report_id, BLOCKED, decision, author)

    async def quarantine(self, report_id: int, decision: Decision, author: Author) -> AbuseReport:
        """Put the host in quarantine, and close the report. Returns the report.

        Raises NoReport, Stale if the report is not open or the host was deleted, Invalid (also if there are no
        addresses for quarantine), StoreDown, Unconfirmed (the host is blocked and the report closed, and DNS follows
        later).
        """
        return await self._stop(report_id, QUARANTINED, decision, author)

    async def _stop(self, report_id: int, state: str, decision: Decision, author: Author) -> AbuseReport:
        check_decision(decision)
        host = await self._store.read(lambda c: reported_host(c, report_id))
        later = None
        edit = Edit(
            host_values(state, decision), author.actor, author.source, lambda _: None, oversight=True, author=author
        )
        try:
            await self._edits.apply(host, edit)
        except Unconfirmed as error:
            later = error
        closed = await self._store.transact(lambda c: close(c, report_id, state, decision, author))
        if later is not None:
            raise later
        return closed

    async def dismiss(self, report_id: int, decision: Decision, author: Author) -> AbuseReport:
        """Close the report, and leave the host as it is. Raises NoReport, Stale, Invalid, StoreDown."""
        return await self._store.transact(lambda c: close(c, report_id, DISMISSED, decision, author))


def found(connection: Connection, report_id: int, *, lock: bool = False) -> AbuseReport:
    """The report of that id. Raises NoReport."""
    report = abuse_reports.find(connection, report_id, lock=lock)
    if report is None:
        raise NoReport
    return report


def reported_host(connection: Connection, report_id: int) -> Host:
    """The host of an open report. Raises NoReport, Stale if the report is closed or the host was deleted."""
    report = found(connection, report_id)
    if report.state != OPEN:
        raise Stale
    host = queries.host(connection, report.host) if report.host is not None else None
    if host is None:
        raise Stale(Code.REPORTED_HOST_GONE, host=report.fqdn)
    return host


def host_values(state: str, decision: Decision) -> dict[str, object]:
    """The values of a host that the decision blocks or puts in quarantine."""
    field = "quarantined" if state == QUARANTINED else "abuse_blocked"
    return {field: True} | ({"block_reason": decision.reason} if decision.reason else {})


def check_decision(decision: Decision) -> None:
    """Check the texts. Raises Invalid."""
    reason, reply = decision
    if reason and len(reason) > TEXT_LENGTH:
        raise Invalid(reason=Reason(Code.TEXT_TOO_LONG, limit=TEXT_LENGTH))
    if reason and not reason.isprintable():
        raise Invalid(reason=Reason(Code.NOT_PRINTABLE))
    if reply:
        lines_of_text("reply", reply, LINES_LENGTH)


def close(connection: Connection, report_id: int, state: str, decision: Decision, author: Author) -> AbuseReport:
    """Store the decision on an open report. Returns the report. Raises NoReport, Stale, Invalid."""
    check_decision(decision)
    report = found(connection, report_id, lock=True)
    if report.state != OPEN:
        raise Stale
    abuse_reports.set_state(
        connection,
        report_id,
        state=state,
        reason=decision.reason or None,
        reply=decision.reply or None,
        decided_by=author.actor,
        decided=queries.now(),
    )
    detail = f"report {report_id}" + (f": {decision.reason}" if decision.reason else "")
    queries.add_event(connection, author.actor, ACTIONS[state], report.host or report.fqdn, author.source, detail)
    return found(connection, report_id)


def _check(new: NewReport) -> NewReport:
    """The report as it is stored. Raises Invalid with the reason of each field that is wrong."""
    name, contact, wrong = _name(new.name), new.contact.strip(), {}
    if problem := names.problem(name):
        wrong["name"] = problem
    if new.kind not in KINDS:
        wrong["kind"] = Reason(Code.NOT_A_CHOICE, choices=", ".join(KINDS))
    if len(contact) > TEXT_LENGTH:
        wrong["contact"] = Reason(Code.TEXT_TOO_LONG, limit=TEXT_LENGTH)
    elif not contact.isprintable():
        wrong["contact"] = Reason(Code.NOT_PRINTABLE)
    text = new.text
    try:
        text = lines_of_text("text", new.text, LINES_LENGTH)
    except Invalid as error:
        wrong |= error.fields
    if wrong:
        raise Invalid(**wrong)
    return NewReport(name, new.kind, text, contact)


def _name(text: str) -> str:
    """The name in a text that may also be a URL."""
    if "://" in text:
        try:
            text = urlsplit(text.strip()).hostname or ""
        except ValueError:
            return names.fold(text)
    return names.fold(text)


def _add(connection: Connection, new: NewReport, host: Host, client_ip: str | None) -> None:
    report_id = abuse_reports.add(
        connection,
        name=new.name,
        fqdn=host.fqdn,
        host_id=host.id,
        kind=new.kind,
        text=new.text,
        contact=new.contact or None,
        source=client_ip,
        created=queries.now(),
    )
    # the owner may not read this event; the sender's address is only in the report, which is deleted earlier
    queries.add_event(connection, REPORTER, "abuse.report", host.fqdn, None, f"report {report_id}: {new.kind}")
