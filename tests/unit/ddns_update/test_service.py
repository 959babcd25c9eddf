# SPDX-License-Identifier: GPL-3.0-or-later
"""Against the real service: what the updater sends is what the name server answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clients.dyndns import Host, new_label, one_message, register
from support.clients.updater import IPV4, IPV6, Machine
from support.ports import wait_until
from support.servers.resolver import ask
from support.servers.service import Service, dev


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("ddnsd") / "ddnsd") as running:
        yield running


@pytest.fixture
def host(service: Service) -> Host:
    return register(service, service.admin_token)


@pytest.fixture
def vm(machine: Machine, host: Host) -> Machine:
    """A machine whose updater keeps that host."""
    machine.configure(host.service.url, host.fqdn, secret=host.fqdn)
    machine.secret(host.fqdn, host.secret)
    return machine


def test_both_families_change_in_one_message(vm: Machine, host: Host) -> None:
    with one_message(host.service):
        assert vm.run().out == f"{host.fqdn}: updated: {IPV4} {IPV6}\n"
    assert host.addresses() == [IPV4, IPV6]
    assert vm.run().out == f"{host.fqdn}: current: {IPV4} {IPV6}\n"

    vm.addresses = ["198.51.100.9", IPV6]
    with one_message(host.service):
        assert vm.run().status == 0
    assert host.addresses() == ["198.51.100.9", IPV6]


def test_nochg_is_success(vm: Machine, host: Host) -> None:
    assert vm.run().status == 0
    with pytest.raises(AssertionError), one_message(host.service):
        assert vm.run("--force").out == f"{host.fqdn}: updated: {IPV4} {IPV6}\n"


def test_a_wrong_secret_pauses_until_it_is_right(vm: Machine, host: Host) -> None:
    vm.secret(host.fqdn, "not-its-secret")
    ran = vm.run()
    assert ran.status == 3
    assert ran.out.startswith(f"{host.fqdn}: paused: badauth: the login or the secret is wrong; ")
    assert vm.run("--force").status == 3
    assert host.addresses() == ["192.0.2.1"]
    vm.secret(host.fqdn, host.secret)
    assert vm.run().status == 0
    assert host.addresses() == [IPV4, IPV6]


def test_what_another_machine_published_is_put_right_by_the_next_boot(vm: Machine, host: Host) -> None:
    assert vm.run().status == 0
    host.update(myip="198.51.100.66")
    assert vm.run().out == f"{host.fqdn}: current: {IPV4} {IPV6}\n"
    vm.boot()
    assert vm.run().out == f"{host.fqdn}: updated: {IPV4} {IPV6}\n"
    assert host.addresses() == [IPV4, IPV6]


def test_what_another_machine_published_is_put_right_within_a_day(vm: Machine, host: Host) -> None:
    ask(vm, host.service.dns_port)
    assert vm.run().status == 0
    host.update(myip="198.51.100.66")
    host.service.get("/nic/delete", auth=(host.fqdn, host.secret), params={"myip": "::"})
    assert host.addresses() == ["198.51.100.66"]
    vm.now += 25 * 3600
    assert vm.run().out == f"{host.fqdn}: updated: {IPV4} {IPV6}\n"
    assert host.addresses() == [IPV4, IPV6]
    vm.now += 25 * 3600
    assert vm.run().out == f"{host.fqdn}: current: {IPV4} {IPV6}\n"


def test_a_removed_host_pauses(vm: Machine, host: Host) -> None:
    host.service.get("/nic/unregister", host.token, params={"fqdn": host.fqdn})
    ran = vm.run()
    assert (ran.status, ": paused: badauth: " in ran.out) == (3, True)


def test_an_address_that_the_server_does_not_take(vm: Machine, host: Host) -> None:
    vm.updater.NEVER.clear()
    vm.addresses = ["127.0.0.9"]
    ran = vm.run()
    assert ran.status == 1
    assert "the server answered HTTP 200: `dnserr`" in ran.out


def test_a_key_for_several_hosts(machine: Machine, service: Service) -> None:
    names = sorted(register(service, service.admin_token).fqdn for _ in range(2))
    login, _, secret = service.cli("key", "add", "admin", *(f"--host={n}" for n in names)).stdout.strip().partition(":")
    machine.secret("fleet", secret)
    machine.config.write_text(
        f"[DEFAULT]\nserver = {service.url}\nlogin = {login}\nsecret = fleet\n" + "".join(f"[{n}]\n" for n in names)
    )
    assert machine.run().status == 0
    assert [service.dig(name) for name in names] == [[IPV4], [IPV4]]


def test_duck_dns_with_the_service_of_ours(vm: Machine, host: Host) -> None:
    vm.configure(section=host.fqdn, provider="duckdns", endpoint=host.service.url, secret=host.fqdn)
    assert vm.run().out == f"{host.fqdn}: updated: {IPV4} {IPV6}\n"
    assert host.addresses() == [IPV4, IPV6]
    vm.secret(host.fqdn, "not-its-secret")
    ran = vm.run()
    assert (ran.status, "failed: KO: the server refused" in ran.out) == (1, True)


def test_rfc2136_with_the_name_server_itself(machine: Machine, service: Service) -> None:
    name = f"{new_label()}.{service.domain}"
    key = (service.dir / "bind" / "keys" / f"{service.domain}.key").read_text()
    words = key.replace('"', " ").replace(";", " ").split()
    options = {
        "provider": "rfc2136",
        "endpoint": f"127.0.0.1:{service.dns_port}",
        "zone": service.domain,
        "key_name": words[1],
        "algorithm": words[words.index("algorithm") + 1],
    }
    machine.configure(section=name, **options)
    machine.secret(text=words[words.index("secret") + 1])
    assert machine.run().out == f"{name}: updated: {IPV4} {IPV6}\n"
    assert service.dig(name) + service.dig(name, "AAAA") == [IPV4, IPV6]
    machine.addresses = ["198.51.100.2"]
    assert machine.run().status == 0
    assert service.dig(name) + service.dig(name, "AAAA") == ["198.51.100.2", IPV6]

    machine.configure(section=name, **{**options, "zone": "other.example"})
    machine.secret(text=words[words.index("secret") + 1])
    ran = machine.run()
    assert ran.status == 1
    assert "failed: NOTAUTH: answered by the name server; again after " in ran.out

    for changed, word in (({"key_name": "nobody"}, "BADKEY"), ({}, "BADSIG")):
        machine.configure(section=name, **{**options, **changed})
        machine.secret(text="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        ran = machine.run()
        assert (ran.status, f"paused: {word}: the name server refuses the TSIG key" in ran.out) == (3, True)


def test_the_server_is_down_and_back(tmp_path: Path, vm: Machine, host: Host) -> None:
    with dev(tmp_path / "own") as service:
        own = register(service, service.admin_token)
        vm.configure(service.url, own.fqdn, secret=own.fqdn)
        vm.secret(own.fqdn, own.secret)
        assert vm.run().status == 0
        service.stop()
        vm.addresses = ["198.51.100.3", IPV6]
        assert ": failed: cannot reach 127.0.0.1 port " in vm.run().out
        service.start()
        assert ": waiting: " in vm.run().out
        vm.now += 125
        assert vm.run().out == f"{own.fqdn}: updated: 198.51.100.3 {IPV6}\n"
        wait_until(lambda: own.addresses() == ["198.51.100.3", IPV6], 20)
