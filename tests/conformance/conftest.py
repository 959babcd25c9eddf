# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that the contract is tried on.

`service` runs twice, once on each store, and most tests share it: each has hosts of its own. The others run on SQLite
and exist for their settings: `strict` refuses all that an operator can refuse, `proxied` stands behind a proxy under a
public name, `fragile` is there to lose its name server, and waits for it for a second only.
"""

from collections.abc import Callable, Iterator

import pytest
from support.clients.dyndns import GIVEN, Host, register
from support.ports import free_port, wait_until
from support.servers.service import Service, dev

PUBLIC_NAME = "ddns.dyn.example.org"
PUBLIC_NAME_IPV6 = "ddns.v6.dyn.example.org"
NOCHG_PER_HOUR = 20

NewHost = Callable[..., Host]


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with default settings and addresses for quarantine, once on each store."""
    settings = {"quarantine_addresses": "192.0.2.66,2001:db8::66"}
    if request.param == "postgres":
        settings["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp(request.param), **settings) as running:
        yield running


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "agent_deny": "BadBot/1.0,Evil-Updater",
        "agent_required": "on",
        "address_deny": "9.9.9.0/24,2620:fe::/48",
        "private_addresses": "off",
        "allow_loopback_peers": "off",
        "offline": "off",
        "rules": "on",
        "nochg_per_hour": str(NOCHG_PER_HOUR),
        "ttl": "300",
    }
    with dev(tmp_path_factory.mktemp("strict"), **settings) as running:
        yield running


@pytest.fixture(scope="session")
def extra_ports() -> tuple[int, int]:
    """Ports of the further listeners of `proxied`: on 127.0.0.1 and on ::1."""
    return free_port(), free_port()


@pytest.fixture(scope="session")
def proxied(tmp_path_factory: pytest.TempPathFactory, extra_ports: tuple[int, int]) -> Iterator[Service]:
    settings = {
        "trusted_proxies": "127.0.0.0/8",
        "query_credentials": "on",
        "public_url": f"https://{PUBLIC_NAME}",
        "public_url_ipv6": f"https://{PUBLIC_NAME_IPV6}",
        "listen": f"127.0.0.1:{extra_ports[0]},[::1]:{extra_ports[1]}",
        "signin_failures": "2",
        "nochg_per_hour": "3",
    }
    with dev(tmp_path_factory.mktemp("proxied"), **settings) as running:
        yield running


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("fragile"), dns_deadline="1") as running:
        yield running


@pytest.fixture(scope="session")
def alice(service: Service) -> str:
    """A token of alice, who is no administrator."""
    return service.user("alice")


@pytest.fixture(scope="session")
def bob(service: Service) -> str:
    """A token of bob, who is no administrator either."""
    return service.user("bob")


@pytest.fixture
def new_host(service: Service, alice: str) -> NewHost:
    """Registers a host of alice's under a new name."""
    return lambda **params: register(service, alice, **params)


@pytest.fixture
def host(new_host: NewHost) -> Host:
    """A host of alice's at 192.0.2.1."""
    return new_host()


@pytest.fixture
def foreign(service: Service, bob: str) -> Host:
    """A host of bob's at 192.0.2.1."""
    return register(service, bob)


@pytest.fixture(scope="session")
def lab(service: Service, alice: str) -> str:
    """A private domain of alice's."""
    service.cli("domain", "add", "lab.example.org", "--owner", "alice", "--private")
    return "lab.example.org"


@pytest.fixture(scope="session")
def shared(service: Service, alice: str) -> str:
    """A public domain of alice's."""
    service.cli("domain", "add", "shared.example.org", "--owner", "alice")
    return "shared.example.org"


@pytest.fixture(scope="session")
def den(service: Service, bob: str) -> str:
    """A private domain of bob's."""
    service.cli("domain", "add", "den.example.org", "--owner", "bob", "--private")
    return "den.example.org"


@pytest.fixture(scope="session")
def picky(service: Service, alice: str) -> str:
    """A public domain of alice's with every setting that a domain has: addresses there must be public."""
    wishes = ("--query-credentials", "--no-private-addresses", "--ttl", "600")
    service.cli("domain", "add", "picky.example.org", "--owner", "alice", *wishes)
    return "picky.example.org"


@pytest.fixture(scope="session")
def closed(service: Service, alice: str) -> Host:
    """A host of alice's in a public domain of hers that is not available."""
    service.cli("domain", "add", "closed.example.org", "--owner", "alice")
    host = register(service, alice, "closed.example.org")
    service.cli("domain", "set", "closed.example.org", "--unavailable")
    wait_until(lambda: host.update(myip=GIVEN).text == "nohost", 10, "not available")
    return host


@pytest.fixture(scope="session")
def blocked(service: Service, alice: str) -> Host:
    """A host of alice's that an administrator has blocked."""
    host = register(service, alice, wildcard="true")
    service.cli("host", "block", host.fqdn)
    wait_until(lambda: host.addresses() == host.addresses("any") == [], 10, "records of the blocked host removed")
    return host


@pytest.fixture(scope="session")
def reader(service: Service, alice: str) -> str:
    """A token of alice's that may only read."""
    return service.cli("token", "add", "alice", "--name", "reader", "--scope", "read").stdout.strip()


@pytest.fixture(scope="session")
def keyring(service: Service, alice: str) -> tuple[str, str, Host, Host]:
    one, two = register(service, alice), register(service, alice)
    added = service.cli("key", "add", "alice", "--host", one.fqdn, "--host", two.fqdn)
    login, _, secret = added.stdout.strip().partition(":")
    return login, secret, one, two


@pytest.fixture
def key(keyring: tuple[str, str, Host, Host]) -> tuple[str, str, Host, Host]:
    """A key of alice's for two hosts: login, secret, and the two, both at 192.0.2.1."""
    for host in keyring[2:]:
        assert host.update(offline="YES").text == "good"
        assert host.update(myip=GIVEN).text == f"good {GIVEN}"
    return keyring
