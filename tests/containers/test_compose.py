# SPDX-License-Identifier: GPL-3.0-or-later
"""containers/compose.yaml, started by podman-compose: what it does, what it keeps, and what it is not allowed."""

import json
from collections.abc import Iterator

import pytest
from support.containers import NAME, SERVICES, Stack, inspect, podman
from support.ports import wait_until

DOMAIN = "dyn.example.org"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack"))
    try:
        running.up()
        running.ddnsd("user", "add", "admin", "--admin")
        running.ddnsd("domain", "add", DOMAIN, "--owner", "admin", "--public")
        yield running
    finally:
        running.compose("down", "--volumes")


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    return stack.ddnsd("token", "add", "admin", "--name", "test")


@pytest.fixture
def host(request: pytest.FixtureRequest, stack: Stack, token: str) -> tuple[str, str]:
    """A new host of the test: its name and secret."""
    fqdn = f"{request.node.originalname.replace('_', '-')[5:40]}.{DOMAIN}"
    made = stack.curl(f"/nic/register?fqdn={fqdn}", "--oauth2-bearer", token)
    return fqdn, json.loads(made)["host"]["update_secret"]


def update(stack: Stack, host: tuple[str, str], address: str) -> str:
    fqdn, secret = host
    return stack.curl(f"/nic/update?hostname={fqdn}&myip={address}", "--user", f"{fqdn}:{secret}")


def test_an_update_is_in_dns(stack: Stack, host: tuple[str, str]) -> None:
    assert update(stack, host, "192.0.2.7,2001:db8::7") == "good 192.0.2.7,2001:db8::7"
    assert stack.dig(host[0], "A") == "192.0.2.7"
    assert stack.dig(host[0], "AAAA", "+tcp") == "2001:db8::7"
    assert stack.dig(DOMAIN, "NS") == f"{NAME}."


def test_the_doctor_finds_no_problem(stack: Stack) -> None:
    assert "FAIL" not in stack.ddnsd("doctor")
    stack.ddnsd("reconcile", "--check")


def test_the_service_sees_its_callers_and_not_the_proxy(stack: Stack) -> None:
    proxy = inspect(stack.container("front"))["NetworkSettings"]["Networks"]["ddns_front"]["IPAddress"]
    seen = stack.curl("/myip", "--header", "X-Forwarded-For: 203.0.113.9")
    assert proxy == "10.53.53.2"
    assert "10.53.53.1" in seen.split()  # the host itself, through its bridge


def test_status_paths_are_not_public(stack: Stack) -> None:
    for path in ("/metrics", "/readyz", "/healthz/dns"):
        assert stack.curl(path, "--output", "/dev/null", "--write-out", "%{http_code}") == "403"


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_not_root_and_cannot_change_its_image(stack: Stack, service: str) -> None:
    assert stack.execute(service, "id", "-u").strip() != "0"
    assert "Read-only file system" in stack.execute(service, "sh", "-c", "echo >/usr/bin/new", check=False)
    status = stack.execute(service, "grep", "-E", "^(CapEff|CapBnd|NoNewPrivs)", "/proc/1/status").split()
    assert status == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_stop_ends_in_time_and_in_order(stack: Stack, service: str) -> None:
    name = stack.container(service)
    podman("stop", name)
    assert inspect(name)["State"]["ExitCode"] == 0
    podman("start", name)
    for each in SERVICES:
        stack.wait_for(each, "healthy")


def test_new_containers_have_the_old_data(stack: Stack, host: tuple[str, str]) -> None:
    update(stack, host, "192.0.2.8")
    stack.compose("down")
    stack.up()
    assert stack.dig(host[0], "A") == "192.0.2.8"
    assert update(stack, host, "192.0.2.8") == "nochg 192.0.2.8"
    assert update(stack, host, "192.0.2.9") == "good 192.0.2.9"
    assert stack.dig(host[0], "A") == "192.0.2.9"


def test_without_its_database_the_service_is_unhealthy_and_recovers(stack: Stack, host: tuple[str, str]) -> None:
    podman("stop", stack.container("database"))
    stack.wait_for("ddnsd", "unhealthy")
    assert update(stack, host, "192.0.2.10") == "911"
    podman("start", stack.container("database"))
    stack.wait_for("ddnsd", "healthy")
    assert update(stack, host, "192.0.2.10") == "good 192.0.2.10"


def test_without_bind_updates_wait_for_it(stack: Stack, host: tuple[str, str]) -> None:
    podman("stop", stack.container("bind"))
    assert update(stack, host, "192.0.2.11") == "911"
    podman("start", stack.container("bind"))
    stack.wait_for("bind", "healthy")
    wait_until(lambda: stack.dig(host[0], "A") == "192.0.2.11", 60, "the update in DNS")


def test_the_log_has_no_secret(stack: Stack, host: tuple[str, str], token: str) -> None:
    update(stack, host, "192.0.2.12")
    logs = "".join(podman("logs", stack.container(service), check=False) for service in SERVICES)
    assert host[1] not in logs
    assert token not in logs


def test_an_export_fills_new_volumes(stack: Stack, host: tuple[str, str]) -> None:
    """As docs/containers.md has it. The last test: the volumes of the others are gone."""
    update(stack, host, "192.0.2.13")
    exported = stack.ddnsd("export", "-")
    stack.compose("down", "--volumes")
    stack.up()
    podman("exec", "--interactive", stack.container("ddnsd"), "ddnsd", "import", "-", stdin=exported)
    stack.ddnsd("domain", "provision", DOMAIN)
    podman("restart", stack.container("ddnsd"))
    wait_until(lambda: stack.dig(host[0], "A") == "192.0.2.13", 60, "the host in DNS")
    stack.wait_for("ddnsd", "healthy")
    assert update(stack, host, "192.0.2.14") == "good 192.0.2.14"
    stack.ddnsd("doctor")
