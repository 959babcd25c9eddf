# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that change records by DNS UPDATE, as their own documentation configures them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clients.acme_programs import names_in, run, with_options
from support.clients.dns_update import Client
from support.ports import free_port
from support.servers.pebble import Pebble, pebble
from support.servers.service import Service, dev

from ddnsd.auth.tsig_secrets import tsig_secret
from ddnsd.web.portal.client_configs import DnsTarget, dns_configurations
from ddnsd.web.update_port import UpdatePort


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("service"), update_listen=f"127.0.0.1:{free_port()}") as running:
        yield running


@pytest.fixture(scope="module")
def authority(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with pebble(tmp_path_factory.mktemp("pebble"), service.dns_port) as running:
        yield running


def client(service: Service, name: str) -> Client:
    fqdn = f"{name}.{service.domain}"
    return Client(service, fqdn, service.register(fqdn, ip="192.0.2.41"))


def printed(host: Client, name: str) -> list[str]:
    """The texts of a configuration, as the portal prints them for the host."""
    port = UpdatePort.of([f"127.0.0.1:{host.port}"], ["hmac-sha256"], "ddns.example.org")
    assert port is not None
    target = DnsTarget(host.key_name, host.service.domain, port, host.secret)
    (found,) = [one for one in dns_configurations(target) if one.name == name]
    return [part.text for part in found.parts]


def test_nsupdate_in_a_script_of_cron(service: Service, tmp_path: Path) -> None:
    host = client(service, "home")
    key, script = printed(host, "nsupdate")
    (tmp_path / "ddns.key").write_text(key)
    (tmp_path / "update.sh").write_text(script.replace("/etc/ddns.key", str(tmp_path / "ddns.key")))
    for _ in range(2):
        run(["sh", tmp_path / "update.sh", "198.51.100.42"])
        assert service.dig(host.key_name) == ["198.51.100.42"]


def test_nsupdate_finds_the_zone_itself(service: Service, tmp_path: Path) -> None:
    host = client(service, "zoneless")
    key = f"hmac-sha256:{host.key_name}:{tsig_secret(host.secret)}"
    commands = tmp_path / "commands"
    commands.write_text(f"server 127.0.0.1 {host.port}\nupdate delete {host.key_name} A\nsend\n")
    run(["nsupdate", "-y", key, commands])
    assert service.dig(host.key_name) == []


def test_certbot(service: Service, authority: Pebble, tmp_path: Path) -> None:
    host = client(service, "certbot")
    settings, command = printed(host, "certbot")
    credentials = tmp_path / "credentials.ini"
    credentials.write_text(settings)
    credentials.chmod(0o600)
    folders = " ".join(f"--{name}-dir {tmp_path / name}" for name in ("config", "work", "logs"))
    options = "--non-interactive --agree-tos --register-unsafely-without-email --dns-rfc2136-propagation-seconds=1"
    path = with_options(tmp_path / "bin", "certbot", f"{options} {folders} --server {authority.directory}")
    text = command.replace("/etc/letsencrypt/ddns.ini", str(credentials))
    run(["sh", "-c", text], PATH=path, REQUESTS_CA_BUNDLE=str(authority.front))
    assert names_in(tmp_path / "config" / "live" / host.key_name / "cert.pem") == names_for(host)
    assert service.dig(f"_acme-challenge.{host.key_name}", "TXT") == []


def test_lego(service: Service, authority: Pebble, tmp_path: Path) -> None:
    host = client(service, "lego")
    (command,) = printed(host, "lego")
    options = f"--path {tmp_path} --server {authority.directory} --accept-tos"
    options += f" --dns.resolvers 127.0.0.1:{host.port} --dns.disable-cp"
    run(
        ["sh", "-c", command],
        PATH=with_options(tmp_path / "bin", "lego", options),
        LEGO_CA_CERTIFICATES=str(authority.front),
        RFC2136_SEQUENCE_INTERVAL="1",
        RFC2136_POLLING_INTERVAL="1",
    )
    assert names_in(tmp_path / "certificates" / f"{host.key_name}.crt") == names_for(host)
    assert service.dig(f"_acme-challenge.{host.key_name}", "TXT") == []


def names_for(host: Client) -> set[str]:
    return {host.key_name, f"*.{host.key_name}"}
