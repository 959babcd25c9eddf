# SPDX-License-Identifier: GPL-3.0-or-later
"""Several service processes on one PostgreSQL database: each zone has one owner, and no caller notices which."""

import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from support.ports import wait_until
from support.servers.faults import granting, hung
from support.servers.postgres import Server, create_database, programs, running
from support.servers.service import Service, beside, dev

DATABASE = "nodes"
ZONES = ("dyn.example.org", "lab.example.org", "home.example.org", "farm.example.org")


@dataclass
class Cluster:
    """Two nodes with one database and one name server, hosts in four zones, and their secrets."""

    server: Server
    url: str
    nodes: list[Service]
    secrets: dict[str, str] = field(default_factory=dict)
    number: int = 1

    def update(self, node: Service, fqdn: str, address: str) -> str:
        """One update on a connection of its own."""
        auth = (fqdn, self.secrets[fqdn])
        return requests.get(f"{node.url}/nic/update", auth=auth, params={"myip": address}, timeout=20).text

    def owners(self) -> dict[str, str]:
        """The owner of each zone with a valid lease, by zone."""
        query = (
            "SELECT name, node FROM zone_leases JOIN domains ON domains.id = domain_id "
            "WHERE expires > extract(epoch FROM clock_timestamp()) * 1000000"
        )
        return dict(line.split("|") for line in self.server.psql(query, DATABASE).splitlines())

    def is_spread(self) -> bool:
        """Whether each of the nodes owns its share of the zones."""
        shares = Counter(self.owners().values()).values()
        return len(shares) == len(self.nodes) and max(shares) - min(shares) <= 1 and sum(shares) == len(ZONES)

    def update_all(self) -> dict[tuple[int, str], str]:
        """Each host is updated at each node, all hosts at once; the last word of each answer."""
        answers: dict[tuple[int, str], str] = {}
        for number, node in enumerate(self.nodes):
            self.number += 1
            address = f"192.0.2.{self.number}"
            with ThreadPoolExecutor(len(self.secrets)) as pool:
                found = pool.map(lambda fqdn, node=node, at=address: self.update(node, fqdn, at), self.secrets)
                for fqdn, text in zip(self.secrets, found, strict=True):
                    answers[number, fqdn] = text.replace(address, "ADDRESS")
        return answers

    def all_good(self) -> bool:
        """Whether all updates at all nodes are good, and the name server has them."""
        if set(self.update_all().values()) != {"good ADDRESS"}:
            return False
        return all(self.nodes[0].dig(fqdn) == [f"192.0.2.{self.number}"] for fqdn in self.secrets)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("nodes")
    with running() as server:
        url = create_database(server.url, DATABASE)
        with (
            dev(folder / "one", database_url=url) as one,
            beside(one, folder / "two", url) as two,
        ):
            cluster = Cluster(server, url, [one, two])
            for zone in ZONES[1:]:
                one.cli("domain", "add", zone, "--owner", "admin")
            for zone in ZONES:
                for name in ("a", "b"):
                    cluster.secrets[f"{name}.{zone}"] = one.register(f"{name}.{zone}", ip="192.0.2.1")
            wait_until(cluster.is_spread, 20, "each node has its share")
            yield cluster


def settled(cluster: Cluster) -> bool:
    """Whether new owners no longer expect messages of earlier ones, which they do for a second."""
    known = {cluster.update(cluster.nodes[0], fqdn, "192.0.2.200").split()[0] for fqdn in cluster.secrets}
    return known == {"nochg"}


def served(cluster: Cluster) -> None:
    """Soon a round of updates is good. Nobody gets anything but good or 911."""

    def are_good() -> bool:
        words = set(cluster.update_all().values())
        assert words <= {"good ADDRESS", "911"}
        return words == {"good ADDRESS"}

    wait_until(are_good, 20, "a round that is good")


def test_updates_are_good_at_each_node(cluster: Cluster) -> None:
    for _ in range(5):
        wait_until(cluster.all_good, 20, "good at both nodes")
    assert cluster.nodes[0].cli("reconcile", "--check").returncode == 0


def test_an_update_is_unchanged_as_soon_as_it_was_good_at_either_node(cluster: Cluster) -> None:
    wait_until(lambda: settled(cluster), 10, "settled")
    for n in range(20):
        for fqdn in cluster.secrets:
            node = cluster.nodes[n % 2]
            assert cluster.update(node, fqdn, f"198.51.100.{n}") == f"good 198.51.100.{n}"
            assert cluster.update(node, fqdn, f"198.51.100.{n}") == f"nochg 198.51.100.{n}"


def test_hosts_come_and_go_at_either_node(cluster: Cluster) -> None:
    for number, node in enumerate(cluster.nodes):
        token = cluster.nodes[0].admin_token
        for zone in ZONES:
            fqdn = f"new{number}.{zone}"
            node.request("POST", "/api/hosts", token, json={"fqdn": fqdn, "ipv4": "192.0.2.9"}).raise_for_status()
            assert node.dig(fqdn) == ["192.0.2.9"]
            node.request("PATCH", f"/api/hosts/{fqdn}", token, json={"ipv4": "192.0.2.10"}).raise_for_status()
            assert node.dig(fqdn) == ["192.0.2.10"]
            node.request("DELETE", f"/api/hosts/{fqdn}", token).raise_for_status()
            assert node.dig(fqdn) == []


def test_a_bulk_call_at_either_node(cluster: Cluster) -> None:
    for number, node in enumerate(cluster.nodes):
        names = [f"bulk{number}-{n}.{zone}" for n in range(40) for zone in ZONES]
        creates = [{"action": "create", "fqdn": name, "set": {"ipv4": "192.0.2.9"}} for name in names]
        for changes in (creates, [{"action": "delete", "fqdn": name} for name in names]):
            answer = node.request("POST", "/api/changes", cluster.nodes[0].admin_token, json={"changes": changes})
            answer.raise_for_status()
            assert {result["status"] for result in answer.json()["results"]} == {"applied"}, answer.text
        assert not cluster.nodes[0].addresses().keys() & set(names)


def test_reverse_names_follow_from_either_node(cluster: Cluster) -> None:
    zone, token = "51.198.in-addr.arpa", cluster.nodes[0].admin_token
    cluster.nodes[0].cli("domain", "add", zone, "--owner", "admin", "--reverse", "all")
    hosts = {f"ptr{number}.{ZONES[number]}": number for number in range(len(ZONES))}
    for fqdn, number in hosts.items():
        body = {"fqdn": fqdn, "ipv4": f"198.51.7.{number}", "ptr": True}
        answer = cluster.nodes[number % 2].request("POST", "/api/hosts", token, json=body)
        cluster.secrets[fqdn] = answer.json()["secret"]
    for shift in (0, 100):
        if shift:
            for fqdn, number in hosts.items():
                address = f"198.51.7.{number + shift}"
                assert cluster.update(cluster.nodes[(number + 1) % 2], fqdn, address) == f"good {address}"
        wanted = [[f"{fqdn}."] for fqdn in hosts]

        def found(shift: int = shift) -> list[list[str]]:
            return [cluster.nodes[0].dig(f"{number + shift}.7.{zone}", "PTR") for number in hosts.values()]

        wait_until(lambda: found() == wanted, 30, "reverse names follow")  # noqa: B023
    for fqdn, number in hosts.items():
        del cluster.secrets[fqdn]
        cluster.nodes[number % 2].request("DELETE", f"/api/hosts/{fqdn}", token).raise_for_status()
    names = [f"{number + 100}.7.{zone}" for number in hosts.values()]
    wait_until(lambda: not any(cluster.nodes[0].dig(name, "PTR") for name in names), 30, "removed")
    cluster.nodes[0].cli("domain", "set", zone, "--reverse", "off")
    cluster.nodes[0].cli("domain", "remove", zone)


def test_what_the_name_server_refuses_is_told_at_each_node(cluster: Cluster) -> None:
    one = cluster.nodes[0]
    with granting(one, ZONES[0], "deny {key} name refused." + ZONES[0], "grant {key} zonesub any"):
        for node in cluster.nodes:
            answer = node.get(
                "/nic/register", one.admin_token, params={"fqdn": f"refused.{ZONES[0]}", "ip": "192.0.2.1"}
            )
            assert answer.status_code == 502, answer.text
            assert cluster.update(node, f"a.{ZONES[0]}", "192.0.2.77").split()[0] in ("good", "nochg")
    one.add_record(f"taken.{ZONES[0]}.", "A", "203.0.113.1")
    for node in cluster.nodes:
        answer = node.get("/nic/register", one.admin_token, params={"fqdn": f"taken.{ZONES[0]}", "ip": "192.0.2.1"})
        assert (answer.status_code, "is not ours" in answer.text) == (400, True), answer.text
    one.remove_records(f"taken.{ZONES[0]}.", "A")


def test_callers_wait_for_the_next_owner_when_one_hangs(cluster: Cluster) -> None:
    """It owns zones, and stands still: the other node takes these over, and no caller there notices, at no door.

    Afterwards the node that stood still sends nothing old.
    """
    wait_until(cluster.all_good, 20, "good at both nodes")
    one, process = cluster.nodes[0], cluster.nodes[1].process
    assert process is not None
    for zone in ZONES:
        for name in ("moved", "left", "gone"):
            one.register(f"{name}.{zone}", ip="192.0.2.1")
    headers = {"Authorization": f"Bearer {one.admin_token}"}

    def ask(method: str, path: str, json: dict[str, Any] | None = None) -> str:
        answer = requests.request(method, one.url + path, headers=headers, json=json, timeout=20)
        return f"{answer.status_code} {answer.text}"

    with hung(process.pid), ThreadPoolExecutor(40) as pool:
        cluster.number += 1
        at = f"192.0.2.{cluster.number}"
        updates = [pool.submit(cluster.update, one, fqdn, at) for fqdn in cluster.secrets]
        calls = []
        for zone in ZONES:
            bulk = {"changes": [{"action": "create", "fqdn": f"bulk.{zone}", "set": {"ipv4": at}}]}
            calls += [
                pool.submit(ask, "GET", f"/nic/register?fqdn=came.{zone}&ip={at}"),
                pool.submit(ask, "GET", f"/nic/unregister?fqdn=left.{zone}"),
                pool.submit(ask, "POST", "/api/hosts", {"fqdn": f"new.{zone}", "ipv4": at}),
                pool.submit(ask, "PATCH", f"/api/hosts/moved.{zone}", {"ipv4": at}),
                pool.submit(ask, "DELETE", f"/api/hosts/gone.{zone}"),
                pool.submit(ask, "POST", "/api/changes", bulk),
            ]
        assert {update.result() for update in updates} == {f"good {at}"}
        answers = [call.result() for call in calls]
        # "dns" may be pending: a new owner sends once more what an earlier one may still send
        assert not [answer for answer in answers if answer[0] != "2" or '"status":"pending"' in answer], answers
        for zone in ZONES:
            for name in ("came", "new", "moved", "bulk"):
                assert one.dig(f"{name}.{zone}") == [at]
            for name in ("left", "gone"):
                assert one.dig(f"{name}.{zone}") == []
        assert len(set(cluster.owners().values())) == 1
    time.sleep(2)
    for fqdn in cluster.secrets:
        assert cluster.nodes[0].dig(fqdn) == [f"192.0.2.{cluster.number}"]
    wait_until(cluster.is_spread, 20, "each node has its share again")
    wait_until(cluster.all_good, 20, "good at both")


def test_a_killed_owner_is_followed_at_once(cluster: Cluster, tmp_path: Path) -> None:
    wait_until(cluster.all_good, 20, "good at both nodes")
    with beside(cluster.nodes[0], tmp_path / "three", cluster.url) as three:
        cluster.nodes.append(three)
        try:
            wait_until(lambda: len(set(cluster.owners().values())) == 3, 20, "three owners")
            three.kill()
        finally:
            cluster.nodes.remove(three)
        wait_until(cluster.is_spread, 20, "two owners")
        wait_until(cluster.all_good, 20, "good at both nodes")


def test_zones_follow_a_node_that_joins_and_leaves(cluster: Cluster, tmp_path: Path) -> None:
    """Meanwhile updates at the other nodes are good; the machine may be too busy for the deadline of some."""
    with ThreadPoolExecutor(1) as pool:
        rounds = 0
        with beside(cluster.nodes[0], tmp_path / "four", cluster.url):
            joined = pool.submit(lambda: wait_until(lambda: len(set(cluster.owners().values())) == 3, 20, "joined"))
            while not joined.done() or rounds < 3:
                served(cluster)
                rounds += 1
            joined.result()
        left = pool.submit(lambda: wait_until(cluster.is_spread, 20, "left"))
        while not left.done():
            served(cluster)
        left.result()


def test_a_row_that_somebody_has_locked_delays_nobody_else(cluster: Cluster) -> None:
    first, *others = cluster.secrets
    command = [str(programs() / "psql"), cluster.url, "-XAtq"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
        assert psql.stdin is not None
        assert psql.stdout is not None
        psql.stdin.write(f"BEGIN; SELECT 'locked' FROM hosts WHERE fqdn = '{first}' FOR UPDATE;\n")
        psql.stdin.flush()
        assert psql.stdout.readline() == "locked\n"
        for n in range(2, 4):
            for node in cluster.nodes:
                at = f"203.0.113.{n}"
                with ThreadPoolExecutor(len(cluster.secrets)) as pool:
                    waits = pool.submit(cluster.update, node, first, at)
                    answers = set(pool.map(lambda fqdn, node=node, at=at: cluster.update(node, fqdn, at), others))
                    assert answers <= {f"good {at}", f"nochg {at}"}
                    assert waits.result() == "911"
        psql.stdin.write("ROLLBACK;\n")
        psql.stdin.close()
    wait_until(lambda: cluster.update(cluster.nodes[0], first, "203.0.113.9") == "good 203.0.113.9", 10, "unlocked")
    assert cluster.nodes[0].dig(first) == ["203.0.113.9"]


def test_notifications_are_only_a_hint(cluster: Cluster) -> None:
    """Every connection that listens is lost, again and again: updates are good all the same."""
    listening = "FROM pg_stat_activity WHERE query LIKE '%pg_notify%' AND pid <> pg_backend_pid()"
    for _ in range(5):
        cluster.server.psql(f"SELECT pg_terminate_backend(pid) {listening}")
        wait_until(cluster.all_good, 20, "good at both nodes")


def test_nodes_do_not_deadlock(cluster: Cluster) -> None:
    """Updates and counted faults of the same hosts, at both nodes, in any order."""

    def hammer(number: int) -> set[str]:
        words = set()
        for n in range(60):
            fqdn = list(cluster.secrets)[(number * 3 + n * 5) % len(cluster.secrets)]
            address = "dnserr" if n % 3 == 0 else f"10.0.{number}.{n}"
            words.add(cluster.update(cluster.nodes[number % 2], fqdn, address).split()[0])
        return words

    with ThreadPoolExecutor(12) as pool:
        assert set().union(*pool.map(hammer, range(12))) == {"good", "dnserr"}
    assert cluster.server.psql(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{DATABASE}'") == "0"
    assert cluster.nodes[0].cli("reconcile", "--check").returncode == 0


def test_zones_of_a_silent_primary_do_not_delay_others(cluster: Cluster) -> None:
    """Hundreds of zones, and thousands of their hosts, wait for a name server that accepts connections only."""
    one = cluster.nodes[0]
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as silent:
        primary = f"127.0.0.1:{silent.getsockname()[1]}"
        cluster.server.psql(
            'INSERT INTO domains (owner_id, name, created, "primary", key_name, key_algorithm, key_secret) '
            f"SELECT owner_id, 'z' || n || '.silent.example', created, '{primary}', key_name, key_algorithm, "
            "key_secret "
            f"FROM domains, generate_series(1, 150) n WHERE name = '{ZONES[0]}'",
            DATABASE,
        )
        cluster.server.psql(
            "INSERT INTO hosts (domain_id, owner_id, fqdn, name, secret_hash, ipv4, created) "
            "SELECT id, owner_id, 'h' || n || '.' || name, 'h' || n, '', '192.0.2.1', created "
            "FROM domains, generate_series(1, 60) n WHERE name LIKE '%.silent.example'",
            DATABASE,
        )
        cluster.server.psql(
            "INSERT INTO pending SELECT hosts.id, version, 1 FROM hosts JOIN domains ON domains.id = domain_id "
            "WHERE domains.name LIKE '%.silent.example'",
            DATABASE,
        )
        time.sleep(8)
        for _ in range(4):  # the zones are spread anew meanwhile
            served(cluster)
        # a row that another process has left, newer than all of theirs, is sent soon
        fqdn = next(iter(cluster.secrets))
        cluster.server.psql(
            f"UPDATE hosts SET ipv4 = '203.0.113.77', version = version + 1 WHERE fqdn = '{fqdn}'; "
            f"INSERT INTO pending SELECT id, version, 2 FROM hosts WHERE fqdn = '{fqdn}' "
            "ON CONFLICT (host_id) DO UPDATE SET version = excluded.version, since = 2",
            DATABASE,
        )
        wait_until(lambda: one.dig(fqdn) == ["203.0.113.77"], 20, "the other zone is swept")
        cluster.server.psql("DELETE FROM domains WHERE name LIKE '%.silent.example'", DATABASE)
    wait_until(cluster.all_good, 20, "all is well")
