# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd housekeeping`: what is too old leaves the store, and nothing else does."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, insert, select, update
from support.servers.service import Service, dev

from ddnsd.db import certificates, history, migrate, queries, schema
from ddnsd.operations import certificate_notices, retention, store_access
from ddnsd.settings import Settings

DAY = 86_400 * 1_000_000


@pytest.fixture
def service(tmp_path: Path, store_settings: Callable[[], dict[str, str]]) -> Service:
    """Settings with a store that has a user and a domain; nothing runs."""
    given = {f"DDNSD_{name.upper()}": value for name, value in store_settings().items()}
    made = Service(tmp_path, 8053, 5300, settings=given)
    made.cli("db", "upgrade")
    made.cli("user", "add", "alice")
    return made


def url(service: Service) -> str:
    return service.settings.get("DDNSD_DATABASE_URL") or f"sqlite:///{service.dir}/ddnsd.db"


def aged(connection: Connection, days: float, number: int) -> None:
    """One row of each kind, that many days old; of tokens, the one that expired then, and one of an enrolment."""
    then = queries.now() - int(days * DAY)
    octets = number.to_bytes(32, "big")
    rows: dict[str, dict[str, Any]] = {
        "removals": {"domain_id": 1, "fqdn": f"n{number}.example.org", "created": then},
        "answers": {"key_hash": octets, "body_hash": octets, "answer": "=", "created": then},
        "tokens": {"user_id": 1, "name": f"t{number}", "hash": octets, "scopes": "read", "created": 0, "expires": then},
        "events": {"at": then, "actor": f"n{number}", "action": "host.add", "object": "n.example.org"},
    }
    host = {"id": number, "domain_id": 1, "owner_id": 1, "fqdn": f"h{number}.example.org", "name": f"h{number}"}
    rows["hosts"] = host | {"secret_hash": octets, "created": then}
    rows["enrolments"] = {
        "host_id": number,
        "user_id": 1,
        "token_hash": octets,
        "replaces": octets,
        "expires": then + DAY,
    }
    asked = {"user_id": 1, "name": f"n{number}.example.org", "reason": "r", "created": then, "decided": then}
    rows["domain_requests"] = asked | {"state": "declined"}
    report = {"name": asked["name"], "fqdn": asked["name"], "host_id": number, "kind": "spam", "text": "t"}
    rows["abuse_reports"] = report | {"state": "dismissed", "created": then, "decided": then}
    rows["sessions"] = {
        "user_id": 1,
        "hash": octets,
        "method": "",
        "agent": str(number),
        "created": then,
        "last_seen": then,
    }
    entry = {"owner_id": 1, "kind": "update", "actor": f"n{number}", "via": "host"}
    rows["history"] = entry | {"host_id": number, "at": then}
    for table, values in rows.items():
        connection.execute(insert(schema.metadata.tables[table]).values(**values))


def prepare(connection: Connection) -> None:
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(schema.domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
    values = {"user_id": 1, "name": "lasting", "hash": b"l" * 32, "scopes": "read", "created": 0}
    connection.execute(insert(schema.tokens).values(**values))
    asked = {"user_id": 1, "name": "old.example.org", "reason": "r", "state": "open", "created": 1}
    connection.execute(insert(schema.domain_requests).values(**asked))
    report = {"name": "open.example.org", "fqdn": "open.example.org", "host_id": 1, "kind": "spam", "text": "t"}
    connection.execute(insert(schema.abuse_reports).values(state="open", created=1, **report))
    waiting = {"domain_id": 1, "fqdn": "waiting.example.org", "dirty_since": 1, "created": 1}
    connection.execute(insert(schema.removals).values(**waiting))
    moment = queries.now()
    for agent, began, seen in (("used", 6.9, 0), ("idle", 1, 0.4), ("long", 7.1, 0)):
        times = {"created": moment - int(began * DAY), "last_seen": moment - int(seen * DAY)}
        session = {"user_id": 1, "hash": agent.encode() * 8, "method": "", "agent": agent, **times}
        connection.execute(insert(schema.sessions).values(**session))
    for number, days in enumerate((0.9, 29, 31, 399, 401)):
        aged(connection, days, number)
    stranger = {"host_id": 99, "owner_id": 1, "kind": "update", "actor": "gone", "via": "host", "at": queries.now()}
    connection.execute(insert(schema.history), [stranger] * 2)
    for number in (0, 99):
        connection.execute(insert(schema.contacts).values(host_id=number, at=1, word="good"))


def left(connection: Connection) -> dict[str, list[Any]]:
    numbers = [n for n in range(5) if connection.scalar(_has(n))]
    return {
        "removals": sorted(connection.scalars(select(schema.removals.c.fqdn))),
        "answers": [str(n) for n in numbers],
        "enrolments": sorted(connection.scalars(select(schema.enrolments.c.host_id))),
        "sessions": sorted(connection.scalars(select(schema.sessions.c.agent))),
        "tokens": sorted(connection.scalars(select(schema.tokens.c.name))),
        "history": sorted(connection.scalars(select(schema.history.c.actor))),
        "contacts": sorted(connection.scalars(select(schema.contacts.c.host_id))),
        "requests": sorted(connection.scalars(select(schema.domain_requests.c.name))),
        "reports": sorted(connection.scalars(select(schema.abuse_reports.c.name))),
        "events": sorted(connection.scalars(select(schema.events.c.actor).where(schema.events.c.action == "host.add"))),
    }


def _has(number: int) -> Any:
    return select(schema.answers.c.created).where(schema.answers.c.key_hash == number.to_bytes(32, "big"))


async def test_what_is_too_old_leaves(service: Service) -> None:
    await store_access.with_store(url(service), prepare)
    said = service.cli("housekeeping").stdout
    assert said.splitlines() == [
        "remembered removals: 3 removed",
        "answers to repeated calls: 4 removed",
        "expired tokens: 3 removed",
        "ended sessions: 7 removed",
        "expired enrolments: 4 removed",
        "histories of hosts that are gone: 2 removed",
        "contacts of hosts that are gone: 1 removed",
        "closed reports of abuse: 2 removed",
        "closed requests for domains: 1 removed",
        "events: 1 removed",
        "old entries of histories: 1 removed",
    ]
    remaining = {
        "removals": ["n0.example.org", "n1.example.org", "waiting.example.org"],
        "answers": ["0"],
        "enrolments": [0],
        "sessions": ["used"],
        "tokens": ["lasting", "t0", "t1"],
        "history": ["n0", "n1", "n2", "n3"],
        "contacts": [0],
        "requests": [*(f"n{n}.example.org" for n in range(4)), "old.example.org"],
        "reports": [*(f"n{n}.example.org" for n in range(3)), "open.example.org"],
        "events": ["n0", "n1", "n2", "n3"],
    }
    assert await store_access.with_store(url(service), left) == remaining
    assert service.cli("housekeeping").stdout == ""
    assert await store_access.with_store(url(service), left) == remaining
    deleted = select(schema.events.c.detail).where(schema.events.c.action == "token.delete")
    assert await store_access.with_store(url(service), lambda c: sorted(c.scalars(deleted))) == ["t2", "t3", "t4"]


def certified(connection: Connection, number: int, left: float, life: float, ordered: float) -> None:
    """A certificate of a host: when it ends, how long it lasts and when it was ordered, in days."""
    moment = queries.now()
    end = moment + int(left * DAY)
    times = {"not_before": end - int(life * DAY), "not_after": end, "started": moment - int(ordered * DAY)}
    name = f"h{number}.example.org"
    row = {"host_id": number, "domain_id": 1, "fqdn": name, "names": name, "csr_hash": b"x" * 32, "deadline": 0}
    values = row | {"requested_by": "alice", "chain": "PEM", "ended": times["started"]} | times
    connection.execute(insert(schema.certificates).values(**values))


async def test_certificates_that_end_are_told_once(service: Service) -> None:
    def fill(connection: Connection) -> None:
        prepare(connection)
        connection.execute(update(schema.hosts).values(created=0))
        certified(connection, 0, 6, 90, 84)
        certified(connection, 1, 20, 90, 70)  # not yet
        certified(connection, 2, 6, 90, 84)
        certified(connection, 2, 89, 90, 1)  # renewed
        certified(connection, 3, 4, 6, 2)  # lasts only some days
        certified(connection, 4, -1, 90, 91)  # has ended
        certified(connection, 77, 6, 90, 84)  # of a host that is gone

    await store_access.with_store(url(service), fill)
    line = "h0.example.org: its certificate ends soon and has not been renewed\n"
    assert line in service.cli("housekeeping").stdout
    assert service.cli("housekeeping").stdout == ""

    def told(connection: Connection) -> tuple[list[Any], list[Any]]:
        events = select(schema.events.c.object, schema.events.c.owner_id)
        entries = select(schema.history.c.host_id, schema.history.c.note)
        return (
            [tuple(row) for row in connection.execute(events.where(schema.events.c.action == "certificate.expiring"))],
            [tuple(row) for row in connection.execute(entries.where(schema.history.c.kind == "expiring"))],
        )

    events, entries = await store_access.with_store(url(service), told)
    assert events == [("h0.example.org", 1)]
    ((host_id, note),) = entries
    assert (host_id, note.startswith("h0.example.org: ends on ")) == (0, True)
    totals = await store_access.with_store(url(service), lambda c: certificates.totals(c, queries.now()))
    assert (totals.number, totals.ending) == (4, {30: 2, 7: 1})

    def renew_and_wait(connection: Connection) -> None:
        """A renewal and most of its time, after which it is late as well."""
        connection.execute(update(schema.history).values(at=schema.history.c.at - 10 * DAY))
        certified(connection, 0, 5, 20, 9)

    await store_access.with_store(url(service), renew_and_wait)
    (again,) = await certificate_notices.run(Settings(database_url=url(service)))
    assert again.fqdn == "h0.example.org"


async def test_how_long_events_stay_is_a_setting(service: Service) -> None:
    await store_access.with_store(url(service), prepare)
    service.settings["DDNSD_ABUSE_REPORT_DAYS"] = service.settings["DDNSD_EVENT_DAYS"] = "0"
    kept = service.cli("housekeeping").stdout
    assert "events" not in kept
    assert "reports" not in kept
    service.settings["DDNSD_EVENT_DAYS"] = "30"
    kinds = ("closed requests for domains", "events", "old entries of histories")
    assert service.cli("housekeeping").stdout == "".join(f"{kind}: 3 removed\n" for kind in kinds)
    assert service.cli("housekeeping").stdout == ""


async def test_how_long_reports_of_abuse_stay_is_a_setting(service: Service) -> None:
    await store_access.with_store(url(service), prepare)
    service.settings["DDNSD_ABUSE_REPORT_DAYS"] = "30"
    assert "closed reports of abuse: 3 removed\n" in service.cli("housekeeping").stdout


async def kept(service: Service, *kinds: str) -> list[list[Any]]:
    """What is left of these kinds, and of security logs last."""
    logged = select(schema.events.c.actor).where(schema.events.c.action == "session.begin")
    rows = await store_access.with_store(url(service), left)
    return [
        *(rows[kind] for kind in kinds),
        await store_access.with_store(url(service), lambda c: sorted(c.scalars(logged))),
    ]


async def test_each_kind_has_its_own_time(service: Service) -> None:
    def fill(connection: Connection) -> None:
        prepare(connection)
        moment = queries.now()
        for number, days in enumerate((0.9, 29, 31, 399, 401)):
            signed = {"at": moment - int(days * DAY), "actor": f"n{number}", "action": "session.begin", "object": "me"}
            connection.execute(insert(schema.events).values(**signed))
            if number:
                seen = {"host_id": number, "at": moment - int(days * DAY), "word": "good"}
                connection.execute(insert(schema.contacts).values(**seen))

    await store_access.with_store(url(service), fill)
    service.settings |= {"DDNSD_EVENT_DAYS": "400", "DDNSD_HISTORY_DAYS": "", "DDNSD_SECURITY_LOG_DAYS": ""}
    said = service.cli("housekeeping").stdout
    assert "contacts of hosts that are gone: 1 removed\n" in said
    for line in ("events: 1 removed", "events of security logs: 1 removed", "old entries of histories: 1 removed"):
        assert f"{line}\n" in said
    assert "old contacts" not in said

    service.settings["DDNSD_SECURITY_LOG_DAYS"] = "30"
    assert service.cli("housekeeping").stdout == "events of security logs: 2 removed\n"
    service.settings["DDNSD_HISTORY_DAYS"] = "2"
    assert service.cli("housekeeping").stdout == "old entries of histories: 3 removed\n"
    service.settings["DDNSD_LAST_REQUEST_DAYS"] = "30"
    assert service.cli("housekeeping").stdout == "old contacts: 4 removed\n"  # with the one from 1970
    assert await kept(service, "history", "contacts", "events") == [
        ["n0"],
        [1],
        ["n0", "n1", "n2", "n3"],
        ["n0", "n1"],
    ]

    service.settings |= {"DDNSD_EVENT_DAYS": "1", "DDNSD_HISTORY_DAYS": "0", "DDNSD_SECURITY_LOG_DAYS": "0"}
    assert service.cli("housekeeping").stdout == "closed requests for domains: 3 removed\nevents: 3 removed\n"
    assert await kept(service, "history", "events") == [["n0"], ["n0"], ["n0", "n1"]]


async def test_times_that_are_longer_than_time_delete_nothing(service: Service) -> None:
    await store_access.with_store(url(service), prepare)
    long = str(10**15)
    names = ("EVENT", "HISTORY", "SECURITY_LOG", "LAST_REQUEST", "ABUSE_REPORT")
    service.settings |= {f"DDNSD_{name}_DAYS": long for name in names}
    said = service.cli("housekeeping").stdout
    assert "events" not in said
    assert "entries" not in said
    assert "old contacts" not in said
    assert "reports" not in said


@pytest.mark.parametrize("name", ["HISTORY_DAYS", "SECURITY_LOG_DAYS", "LAST_REQUEST_DAYS"])
@pytest.mark.parametrize("value", ["-1", "a week", "1.5"])
def test_a_time_that_is_no_number_of_days(service: Service, name: str, value: str) -> None:
    service.settings[f"DDNSD_{name}"] = value
    refused = service.cli("housekeeping", check=False)
    assert refused.returncode != 0
    assert f"DDNSD_{name}" in refused.stderr


async def test_many_rows(service: Service) -> None:
    def fill(connection: Connection) -> None:
        old = {"at": 1, "actor": "a", "action": "host.add", "object": "n.example.org"}
        connection.execute(insert(schema.events), [old] * 1203)

    await store_access.with_store(url(service), fill)
    assert service.cli("housekeeping").stdout == "events: 1203 removed\n"


async def test_long_histories(service: Service) -> None:
    def fill(connection: Connection) -> None:
        prepare(connection)
        entry = {"owner_id": 1, "kind": "update", "actor": "alice", "via": "host", "at": queries.now()}
        connection.execute(
            insert(schema.history), [entry | {"host_id": n} for n in (0, 1) for _ in range(2100 // (n + 1))]
        )

    def counts(connection: Connection) -> list[int]:
        return [len(history.page(connection, host_id, 5000)) for host_id in (0, 1)]

    await store_access.with_store(url(service), fill)
    assert "entries of long histories: 1152 removed\n" in service.cli("housekeeping").stdout
    assert await store_access.with_store(url(service), counts) == [1000, 1000]


async def test_the_service_writes_while_something_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "ddnsd.db"
    settings = Settings(database_url=f"sqlite:///{path}")

    def fill(connection: Connection) -> None:
        entry = {"owner_id": 1, "kind": "update", "actor": "alice", "via": "host", "at": queries.now()}
        connection.execute(insert(schema.history), [entry | {"host_id": n} for n in (0, 1, 99) for _ in range(1001)])
        connection.execute(insert(schema.contacts), [{"host_id": n, "at": 1, "word": "good"} for n in range(1001)])
        connection.execute(insert(schema.users).values(id=1, name="alice", created=0))
        key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
        connection.execute(insert(schema.domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
        for n in (0, 1):
            host = {"id": n, "domain_id": 1, "owner_id": 1, "fqdn": f"h{n}.example.org", "name": f"h{n}", "created": 0}
            connection.execute(insert(schema.hosts).values(**host, secret_hash=b"s"))

    searches = []

    def search(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "GROUP BY" in statement or "NOT (EXISTS" in statement:
            searches.append(statement)
            with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")  # raises where housekeeping has the lock
                other.execute("ROLLBACK")

    await migrate.upgrade(settings.store_url)
    await store_access.with_store(settings.store_url, fill)
    event.listen(Engine, "before_cursor_execute", search)
    try:
        removed = await retention.run(settings)
    finally:
        event.remove(Engine, "before_cursor_execute", search)
    assert removed == {
        "entries of long histories": 3,
        "histories of hosts that are gone": 1000,
        "contacts of hosts that are gone": 999,
    }
    assert len(searches) == 6  # contacts in two parts


def test_without_a_schema(tmp_path: Path) -> None:
    result = Service(tmp_path, 8053, 5300).cli("housekeeping", check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert "ddnsd db upgrade" in result.stderr


def test_beside_a_running_service(tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service:
        for number in range(20):
            service.register(f"h{number}", ip="192.0.2.1")
        log = service.dir / "ddnsd.db-wal"
        assert log.stat().st_size > 100_000
        for _ in range(2):
            assert service.cli("housekeeping").stdout == ""
            assert log.stat().st_size < 100_000
        with closing(sqlite3.connect(service.dir / "ddnsd.db")) as database:
            assert database.execute("SELECT count(*) FROM hosts").fetchone() == (20,)
        assert service.register("later", ip="192.0.2.2")
