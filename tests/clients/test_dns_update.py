# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that change records by DNS UPDATE, as their own documentation configures them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clients.dns_update import Client
from support.ports import free_port
from support.servers.pebble import Pebble, pebble
from support.servers.service import Service, dev

from ddnsd.auth.tsig_secrets import tsig_secret
from ddnsd.dns.tsig import TsigKey


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


def run(command: list[str | Path], **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


SCRIPT = """\
#!/bin/bash
NEW_IP=$(echo 198.51.100.42)

nsupdate -k {key_file} << EOF
server 127.0.0.1 {port}
zone {zone}
update delete {fqdn} A
update add {fqdn} 300 A ${{NEW_IP}}
send
EOF
"""


def test_nsupdate_in_a_script_of_cron(service: Service, tmp_path: Path) -> None:
    host = client(service, "home")
    key_file = tmp_path / "home.key"
    key_file.write_text(TsigKey(host.key_name, secret=tsig_secret(host.secret)).to_text())
    script = tmp_path / "update.sh"
    script.write_text(SCRIPT.format(key_file=key_file, port=host.port, zone=service.domain, fqdn=host.key_name))
    for _ in range(2):
        run(["bash", script])
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
    credentials = tmp_path / "credentials.ini"
    settings = {
        "server": "127.0.0.1",
        "port": host.port,
        "name": f"{host.key_name}.",
        "secret": tsig_secret(host.secret),
        "algorithm": "HMAC-SHA256",
    }
    credentials.write_text("".join(f"dns_rfc2136_{name} = {value}\n" for name, value in settings.items()))
    credentials.chmod(0o600)
    folders = [part for name in ("config", "work", "logs") for part in (f"--{name}-dir", tmp_path / name)]
    run(
        [
            "/usr/bin/certbot",
            "certonly",
            "--non-interactive",
            "--agree-tos",
            "--register-unsafely-without-email",
            "--dns-rfc2136",
            "--dns-rfc2136-credentials",
            credentials,
            "--dns-rfc2136-propagation-seconds=1",
            *folders,
            "--server",
            authority.directory,
            "-d",
            host.key_name,
            "-d",
            f"*.{host.key_name}",
        ],
        REQUESTS_CA_BUNDLE=str(authority.front),
    )
    assert names_in(tmp_path / "config" / "live" / host.key_name / "cert.pem") == names_for(host)
    assert service.dig(f"_acme-challenge.{host.key_name}", "TXT") == []


def test_lego(service: Service, authority: Pebble, tmp_path: Path) -> None:
    host = client(service, "lego")
    server = f"127.0.0.1:{host.port}"
    run(
        [
            "lego",
            "--path",
            tmp_path,
            "--server",
            authority.directory,
            "--email",
            "admin@example.org",
            "--accept-tos",
            "--dns",
            "rfc2136",
            "--dns.resolvers",
            server,
            "--dns.disable-cp",
            "--domains",
            host.key_name,
            "--domains",
            f"*.{host.key_name}",
            "run",
        ],
        LEGO_CA_CERTIFICATES=str(authority.front),
        RFC2136_NAMESERVER=server,
        RFC2136_TSIG_KEY=host.key_name,
        RFC2136_TSIG_SECRET=tsig_secret(host.secret),
        RFC2136_TSIG_ALGORITHM="hmac-sha256.",
        RFC2136_SEQUENCE_INTERVAL="1",
        RFC2136_POLLING_INTERVAL="1",
    )
    assert names_in(tmp_path / "certificates" / f"{host.key_name}.crt") == names_for(host)
    assert service.dig(f"_acme-challenge.{host.key_name}", "TXT") == []


def names_for(host: Client) -> set[str]:
    return {host.key_name, f"*.{host.key_name}"}


def names_in(certificate: Path) -> set[str]:
    shown = run(["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"])
    return {part.strip().removeprefix("DNS:") for part in shown.splitlines()[1].split(",")}
