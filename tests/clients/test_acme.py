# SPDX-License-Identifier: GPL-3.0-or-later
"""ACME clients get certificates through lego's httpreq and acme-dns's update, as their configurations say."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.clients.acme_programs import names_in, run, with_options
from support.servers.pebble import Pebble, pebble
from support.servers.service import Service, dev

from ddnsd.web.portal.client_configs import Target, configuration

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Named:
    """A host, and its configurations as the portal prints them."""

    fqdn: str
    secret: str
    server: str

    def printed(self, name: str) -> list[str]:
        found = configuration(Target(self.fqdn, self.server, self.secret), name)
        assert found is not None
        return [part.text for part in found.parts]

    @property
    def names(self) -> set[str]:
        return {self.fqdn, f"*.{self.fqdn}"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def authority(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with pebble(tmp_path_factory.mktemp("pebble"), service.dns_port) as running:
        yield running


def named(service: Service, label: str) -> Named:
    fqdn = f"{label}.{service.domain}"
    return Named(fqdn, service.register(fqdn), service.url)


@pytest.mark.parametrize("mode", ["", "RAW"])
def test_lego(service: Service, authority: Pebble, tmp_path: Path, mode: str) -> None:
    host = named(service, f"lego{mode.lower()}")
    (command,) = host.printed("lego-http")
    options = f"--path {tmp_path} --server {authority.directory} --accept-tos"
    options += f" --dns.resolvers 127.0.0.1:{service.dns_port} --dns.disable-cp"
    path = with_options(tmp_path / "bin", "lego", options)
    run(["sh", "-c", command], PATH=path, LEGO_CA_CERTIFICATES=str(authority.front), HTTPREQ_MODE=mode)
    assert names_in(tmp_path / "certificates" / f"{host.fqdn}.crt") == host.names
    assert service.dig(f"_acme-challenge.{host.fqdn}", "TXT") == []


def test_certbot_with_acme_dns(service: Service, authority: Pebble, tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "peer-venv", "certbot"], check=True)
    host = named(service, "acmedns")
    accounts, settings, command = host.printed("acme-dns")
    for name, text in (("acmedns.json", accounts), ("acmedns.ini", settings)):
        (tmp_path / name).write_text(text.replace("/etc/letsencrypt", str(tmp_path)))
        (tmp_path / name).chmod(0o600)
    folders = " ".join(f"--{name}-dir {tmp_path / name}" for name in ("config", "work", "logs"))
    options = "--non-interactive --agree-tos --register-unsafely-without-email --dns-acmedns-propagation-seconds=1"
    options = f"{options} {folders} --server {authority.directory}"
    path = with_options(tmp_path / "bin", "certbot", options, ROOT / ".cache" / "certbot-venv" / "bin" / "certbot")
    command = command.replace("/etc/letsencrypt", str(tmp_path))
    run(["sh", "-c", command], PATH=path, REQUESTS_CA_BUNDLE=str(authority.front))
    assert names_in(tmp_path / "config" / "live" / host.fqdn / "cert.pem") == host.names
    assert len(service.dig(f"_acme-challenge.{host.fqdn}", "TXT")) == 2, "they end in an hour"
