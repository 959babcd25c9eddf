# SPDX-License-Identifier: GPL-3.0-or-later
"""inadyn 2.10, also inside UniFi gateways: HTTP/1.0, one name a request, exits for good on most errors."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients.programs import DENIED, Host, Outcome, becomes, hung_name_server, private_file, running
from support.ports import wait_until

Inadyn = Callable[..., Outcome]
Command = Callable[..., list[str | Path]]
UNIFI = ("//update", "/%5c/nic/update")
PATHS = ("/nic/update", "/v3/update", "/dyndns/update", *UNIFI)


@pytest.fixture
def command(tmp_path: Path, host: Host) -> Command:
    """The command line of one run, with a `custom` section for each address."""

    def configured(
        *addresses: str,
        options: tuple[str, ...] = (),
        path: str = "/nic/update",
        names: tuple[str, ...] = (host.fqdn,),
        login: str = host.fqdn,
        secret: str = host.secret,
    ) -> list[str | Path]:
        backslash = path.replace("%5c", "\\\\")  # UniFi writes a backslash, which inadyn percent-encodes
        section = """custom {id}@ddnsd {{
            ssl = false
            username = "{login}"
            password = "{secret}"
            checkip-command = "echo {address}"
            ddns-server = "{server}"
            ddns-path = "{path}?hostname=%h&myip=%i"
            hostname = {{ {names} }}
        }}\n"""
        conf = private_file(
            tmp_path / "inadyn.conf",
            "period = 300\nallow-ipv6 = true\n"
            + "".join(
                section.format(
                    id=f"id{n}",
                    address=address,
                    path=backslash,
                    login=login,
                    secret=secret,
                    server=host.server,
                    names=", ".join(f'"{name}"' for name in names),
                )
                for n, address in enumerate(addresses)
            ),
        )
        (tmp_path / "cache").mkdir(exist_ok=True)
        once = ("-n", "-1", "--no-pidfile", "-l", "debug")
        return ["inadyn", *once, *options, "-f", conf, "--cache-dir", tmp_path / "cache"]

    return configured


@pytest.fixture
def inadyn(run: Callable[..., Outcome], command: Command) -> Inadyn:
    """Runs inadyn to its end."""
    return lambda *addresses, **settings: run(*command(*addresses, **settings))


def words(outcome: Outcome) -> list[str]:
    """The body of each of the service's answers."""
    return re.findall(r"DDNS server response: HTTP/.*?\n\s*\n(.*?)\ninadyn", outcome.text + "\ninadyn", re.S)


@pytest.mark.parametrize("path", PATHS)
def test_both_families_on_every_path(inadyn: Inadyn, tmp_path: Path, host: Host, path: str) -> None:
    changed = inadyn("192.0.2.1", "2001:db8::1", path=path)
    assert changed.code == 0
    assert f"GET {path}?hostname={host.fqdn}&myip=192.0.2.1 HTTP/1.0" in changed
    assert sorted(words(changed)) == ["good 192.0.2.1", "good 2001:db8::1"]
    assert changed.text.count(f"Successful alias table update for {host.fqdn}") == 2
    assert (host.a, host.aaaa) == (["192.0.2.1"], ["2001:db8::1"])

    repeated = inadyn("192.0.2.1", "2001:db8::1", path=path, options=("--force",))
    assert repeated.code == 0
    assert sorted(words(repeated)) == ["nochg 192.0.2.1", "nochg 2001:db8::1"]
    assert (host.a, host.aaaa) == (["192.0.2.1"], ["2001:db8::1"])


def test_rests_while_nothing_changes(inadyn: Inadyn, tmp_path: Path, host: Host) -> None:
    assert words(inadyn("192.0.2.2")) == ["good 192.0.2.2"]
    assert (tmp_path / "cache" / f"{host.fqdn}.cache").read_text() == "192.0.2.2"
    rests = inadyn("192.0.2.2")
    assert rests.code == 0
    assert words(rests) == []
    assert words(inadyn("192.0.2.3")) == ["good 192.0.2.3"]
    assert host.a == ["192.0.2.3"]


def test_hosts_of_a_key_one_after_the_other(
    inadyn: Inadyn, host: Host, register: Callable[..., Host], key: Callable[..., tuple[str, str]]
) -> None:
    other = register(ip="192.0.2.251")
    login, secret = key(host, other)
    changed = inadyn("192.0.2.4", names=(host.fqdn, other.fqdn), login=login, secret=secret)
    assert changed.code == 0
    assert words(changed) == ["good 192.0.2.4", "good 192.0.2.4"]
    assert host.a == other.a == ["192.0.2.4"]


def test_wrong_secret(inadyn: Inadyn, tmp_path: Path, host: Host) -> None:
    refused = inadyn("192.0.2.5", secret="wrong")
    assert words(refused) == ["badauth"]
    assert refused.code != 0
    assert not (tmp_path / "cache" / f"{host.fqdn}.cache").exists()
    assert host.a == ["192.0.2.250"]


def test_blocked(inadyn: Inadyn, tmp_path: Path, host: Host) -> None:
    blocked = inadyn(DENIED)
    assert words(blocked) == ["abuse"]
    assert blocked.code != 0
    assert host.a == []
    assert words(inadyn("192.0.2.6")) == ["abuse"]
    assert not (tmp_path / "cache" / f"{host.fqdn}.cache").exists()


def test_hung_name_server(command: Command, tmp_path: Path, host: Host) -> None:
    cache = tmp_path / "cache" / f"{host.fqdn}.cache"
    with running(*command("192.0.2.7"), home=tmp_path) as (process, printed):
        with hung_name_server(host.service):
            wait_until(lambda: "Will retry again in 600 sec" in printed(), 60, "inadyn's retry")
        assert "[503 Service Unavailable] 911" in printed()
        assert not cache.exists()
        becomes(host, "192.0.2.7")  # ten minutes before inadyn asks again

        process.send_signal(signal.SIGUSR1)
        assert process.wait(10) == 0
    assert f"Successful alias table update for {host.fqdn}" in printed()
    assert cache.read_text() == "192.0.2.7"
