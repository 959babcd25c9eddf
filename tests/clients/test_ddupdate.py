# SPDX-License-Identifier: GPL-3.0-or-later
"""ddupdate 0.6: Debian's plugins with another address; no credentials until challenged, any 2xx is success to some."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients.programs import DENIED, Host, Outcome, becomes, hung_name_server, private_file

INSTALLED = "/usr/share/ddupdate/plugins"
PLUGINS = """
# The service plugins as installed; only the address differs.
import importlib.util

def installed(name, kind):
    spec = importlib.util.spec_from_file_location(name, f"{installed}/{{name}}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return type(kind, (getattr(module, kind),), {{}})

NoAddressPlugin = installed("no_ip", "NoAddressPlugin")
NoAddressPlugin._url = "{url}/nic/update?hostname={{0}}"
MyOnlinePortalPlugin = installed("myonlineportal_net", "MyOnlinePortalPlugin")
MyOnlinePortalPlugin._url = "{url}/nic/update?hostname={{0}}"
DuckdnsPlugin = installed("duckdns", "DuckdnsPlugin")
DuckdnsPlugin._url = "{url}/update?domains={{0}}&token={{1}}"
"""

Ddupdate = Callable[..., Outcome]


@pytest.fixture
def ddupdate(tmp_path: Path, run: Callable[..., Outcome], host: Host) -> Ddupdate:
    """Runs ddupdate once: `ddupdate("no-ip.com", "ip=192.0.2.1")`."""

    def once(
        plugin: str, *addresses: str, name: str = host.fqdn, secret: str = host.secret, options: tuple[str, ...] = ()
    ) -> Outcome:
        plugins = tmp_path / "data" / "ddupdate" / "plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        (plugins / "ddnsd.py").write_text(PLUGINS.format(url=f"http://{host.server}", installed=INSTALLED))
        (plugins / "hardcoded_ip.py").write_bytes(Path(INSTALLED, "hardcoded_ip.py").read_bytes())
        netrc = f"machine {{}} login {host.fqdn} password {secret}\n"
        private_file(tmp_path / ".netrc", netrc.format("127.0.0.1") + netrc.format("www.duckdns.org"))
        conf = private_file(tmp_path / "ddupdate.conf", f"[update]\nip-cache = {tmp_path}/cache\n")
        given = [option for address in addresses for option in ("-O", address)]
        return run(
            "ddupdate",
            "-c",
            conf,
            "-l",
            "debug",
            "-v",
            "all",
            "-H",
            name,
            "-s",
            plugin,
            "-a",
            "hardcoded-ip",
            *given,
            *options,
            XDG_DATA_DIRS=str(tmp_path / "data"),  # no other plugins: some need further packages
        )

    return once


def test_no_ip(ddupdate: Ddupdate, host: Host) -> None:
    changed = ddupdate("no-ip.com", "ip=192.0.2.1")
    assert changed.code == 0
    assert "Got response (200) : good 192.0.2.1" in changed
    assert host.a == ["192.0.2.1"]

    rests = ddupdate("no-ip.com", "ip=192.0.2.1")
    assert rests.code == 0
    assert "Got response" not in rests

    repeated = ddupdate("no-ip.com", "ip=192.0.2.1", options=("-f",))
    assert repeated.code == 0
    assert "Got response (200) : nochg 192.0.2.1" in repeated
    assert host.a == ["192.0.2.1"]


def test_both_families(ddupdate: Ddupdate, host: Host) -> None:
    for word, force in (("good", ()), ("nochg", ("-f",))):
        done = ddupdate("myonlineportal.net", "ip=192.0.2.2", "ip6=2001:db8::2", options=force)
        assert done.code == 0
        assert f"Server reply: {word} 192.0.2.2,2001:db8::2" in done
        assert (host.a, host.aaaa) == (["192.0.2.2"], ["2001:db8::2"])


def test_duck_dns(ddupdate: Ddupdate, host: Host) -> None:
    for force in ((), ("-f",)):
        done = ddupdate("duckdns.org", "ip=192.0.2.3", "ip6=2001:db8::3", options=force)
        assert done.code == 0
        assert "Got response (200) : OK" in done
        assert (host.a, host.aaaa) == (["192.0.2.3"], ["2001:db8::3"])


def test_duck_dns_wrong_token(ddupdate: Ddupdate, host: Host) -> None:
    refused = ddupdate("duckdns.org", "ip=192.0.2.4", secret="wrong")
    assert refused.code != 0
    assert "Update error, got: KO" in refused
    assert host.a == ["192.0.2.250"]


def test_wrong_secret(ddupdate: Ddupdate, host: Host) -> None:
    refused = ddupdate("no-ip.com", "ip=192.0.2.5", secret="wrong")
    assert refused.code != 0
    assert "HTTP Error 401" in refused
    assert host.a == ["192.0.2.250"]


def test_error_words_come_with_their_status(ddupdate: Ddupdate, host: Host, register: Callable[..., Host]) -> None:
    """The no-ip.com plugin never reads the body, so `nohost` with 200 would look like success and be cached."""
    stranger = register(ip="192.0.2.251")
    refused = ddupdate("no-ip.com", "ip=192.0.2.6", name=stranger.fqdn)
    assert refused.code != 0
    assert "HTTP Error 404" in refused
    assert (host.a, stranger.a) == (["192.0.2.250"], ["192.0.2.251"])

    blocked = ddupdate("no-ip.com", f"ip={DENIED}")
    assert blocked.code != 0
    assert "HTTP Error 403" in blocked
    assert host.a == []


def test_hung_name_server(ddupdate: Ddupdate, host: Host) -> None:
    with hung_name_server(host.service):
        unheard = ddupdate("no-ip.com", "ip=192.0.2.7")
    assert unheard.code != 0
    assert "HTTP Error 503" in unheard
    becomes(host, "192.0.2.7")
    assert ddupdate("no-ip.com", "ip=192.0.2.7").code == 0
