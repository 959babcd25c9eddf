# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports and imports in bounded memory: of one moment, in the former format, and all or nothing."""

import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, update
from support.servers.service import migrated_file

from ddnsd.db import copying
from ddnsd.db.connect import open_store
from ddnsd.db.schema import hosts, metadata, passkeys, pending, pointers, users
from ddnsd.operations import export
from ddnsd.operations.store_access import AdminError

HOSTS = 5000


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes an empty database with the newest schema."""
    if request.param == "postgresql":
        made: Callable[[], str] = request.getfixturevalue("new_database")
        return made

    def new_file() -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return f"sqlite:///{migrated_file(folder)}"

    return new_file


async def run(url: str, work: Callable[[Connection], Any]) -> Any:
    store = open_store(url)
    try:
        return await store.transact(work)
    finally:
        await store.close()


def fill(connection: Connection) -> None:
    connection.execute(insert(users).values(id=7, name="me", created=0))
    key = {"user_id": 7, "credential_id": bytes(range(256)), "public_key": b"\0\xff", "sign_count": 2**32 - 1}
    connection.execute(insert(passkeys).values(**key, name="Schlüssel", created=0, last_used=1))
    columns = 'id, owner_id, name, "primary", key_name, key_algorithm, key_secret, created'
    connection.exec_driver_sql(f"INSERT INTO domains ({columns}) VALUES (3, 7, 'example.org', '', '', '', '', 0)")
    values = {"domain_id": 3, "owner_id": 7, "created": 0, "comment": 'é"\\\n' + "c" * 240}
    names = [{"fqdn": f"h{n}.example.org", "name": f"h{n}", "secret_hash": bytes([n % 256] * 32)} for n in range(HOSTS)]
    connection.execute(insert(hosts), [values | name for name in names])
    reverse = {"ptr": True, "ipv4": "192.0.2.1", "proved_ipv4": "192.0.2.1"}
    connection.execute(update(hosts).where(hosts.c.fqdn == "h1.example.org").values(reverse))
    connection.execute(insert(pointers).values(host_id=2, address="192.0.2.1"))


def counts(connection: Connection) -> list[int]:
    return [connection.scalar(select(func.count()).select_from(table)) or 0 for table in (users, hosts, pending)]


async def exported(url: str) -> str:
    file = io.StringIO()
    await export.write(url, file)
    return file.getvalue()


async def test_there_and_back(new_url: Callable[[], str]) -> None:
    source, target = new_url(), new_url()
    await run(source, fill)
    text = await exported(source)
    await export.read(target, io.StringIO(text))
    assert await run(target, counts) == [1, HOSTS, HOSTS]
    before, after = json.loads(text)["tables"], json.loads(await exported(target))["tables"]
    assert before.keys() == {table.name for table in metadata.tables.values()} - {"write_checks"}
    for row in before["hosts"]:
        row["version"] += 1  # sent again
    assert {name: after[name] for name in after if name != "pending"} == {
        name: before[name] for name in before if name != "pending"
    }
    await run(target, lambda c: c.execute(insert(users).values(name="next", created=0)))  # ids continue
    with pytest.raises(AdminError, match="not empty"):
        await export.read(target, io.StringIO(text))


async def test_a_file_of_the_former_version(new_url: Callable[[], str]) -> None:
    source, target = new_url(), new_url()
    await run(source, fill)
    content = json.loads(await exported(source))
    content["tables"]["nodes"] = [{"node": "gone", "expires": 1}]
    content["tables"]["zone_leases"] = [{"domain_id": 3, "node": "gone", "epoch": 4, "expires": 1}]
    await export.read(target, io.StringIO(json.dumps(content, indent=1) + "\n"))
    assert await run(target, counts) == [1, HOSTS, HOSTS]
    assert json.loads(await exported(target))["tables"]["nodes"] == []


async def test_an_export_shows_one_moment_and_stops_nobody(
    new_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_url()
    await run(url, fill)
    monkeypatch.setattr(copying, "PAGE", 1000)
    pages = copying.pages
    changed: list[int] = []

    async def pages_with_changes(side: copying.Side, table: Any) -> Any:
        async for part in pages(side, table):
            yield part
            await run(url, lambda c: c.exec_driver_sql("UPDATE hosts SET comment = 'new', version = 9"))
            changed.append(len(part))

    monkeypatch.setattr(copying, "pages", pages_with_changes)
    content = json.loads(await exported(url))
    assert len(changed) > 5
    assert {row["version"] for row in content["tables"]["hosts"]} == {1}
    assert len(content["tables"]["hosts"]) == HOSTS


def broken(text: str) -> dict[str, str]:
    content = json.loads(text)
    host = content["tables"]["hosts"][-1]

    def with_host(**values: Any) -> str:
        tables = content["tables"] | {"hosts": [*content["tables"]["hosts"][:-1], host | values]}
        return json.dumps(content | {"tables": tables})

    return {
        "cut": text[: len(text) // 2],
        "cut at the end": text.rstrip()[:-1],
        "text after the end": text + "x",
        "a wrong type": with_host(created=["x"]),
        "a missing owner": with_host(owner_id=99),
        "not base64": with_host(secret_hash="ä"),
        "a row that is a list": text.replace('"hosts": [', '"hosts": [[], '),
        "another column": with_host(other=1),
        "a table too few": text.replace('"contacts"', '"contact"'),
        "sorted": json.dumps(content, sort_keys=True),
        "another version": text.replace('"revision": "', '"revision": "9'),
        "empty": "",
        "no tables": '{"format": 1}',
    }


@pytest.mark.parametrize("kind", broken('{"tables": {"hosts": [{}]}}'))
async def test_a_failed_import_changes_nothing(new_url: Callable[[], str], kind: str) -> None:
    source, target = new_url(), new_url()
    await run(source, fill)
    text = await exported(source)
    with pytest.raises(AdminError):
        await export.read(target, io.StringIO(broken(text)[kind]))
    assert await run(target, counts) == [0, 0, 0]
    await export.read(target, io.StringIO(text))


class Sink(io.StringIO):
    """A file that forgets what is written."""

    def write(self, text: str) -> int:
        return len(text)


async def test_memory_does_not_grow_with_the_hosts(new_url: Callable[[], str], tmp_path: Path) -> None:
    source, target = new_url(), new_url()
    await run(source, fill)
    (tmp_path / "export.json").write_text(await exported(source))
    tracemalloc.start()
    try:
        await export.write(source, Sink())
        with (tmp_path / "export.json").open() as file:
            await export.read(target, file)
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()
