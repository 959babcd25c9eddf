# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL with TLS on another machine: what the service verifies, and what it says.

`127.1` leads to 127.0.0.1, and is a name to everybody who verifies it: so it stands for another machine.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.ports import free_port
from support.servers.postgres import Server, as_owner, create_database, running
from support.servers.service import Service

NAME, OTHER_NAME = "127.1", "127.0.1"


@dataclass
class Remote:
    """A server with a certificate for `NAME`; `stranger` is an authority that did not sign it."""

    server: Server
    ca: Path
    stranger: Path

    def service(self, directory: Path, database: str, host: str = NAME, options: str = "", **settings: str) -> Service:
        """A service that is not started."""
        url = f"postgresql://ddnsd@{host}:{self.server.port}/{database}{options}"
        given = {f"DDNSD_{name.upper()}": value for name, value in {"database_url": url, **settings}.items()}
        return Service(directory, free_port(), free_port(), ("serve",), given)

    def database(self, name: str) -> str:
        """A new database without a schema."""
        create_database(self.server.url, name)
        return name


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    """The certificate of a new authority; its key is beside it."""
    file = folder / f"{name}.pem"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", file),
    )
    return file


def certificate(folder: Path, ca: Path) -> None:
    """A certificate of the server, in `server.crt` and `server.key`."""
    (folder / "names").write_text(f"subjectAltName=DNS:{NAME}\n")
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=server"),
        *("-keyout", folder / "server.key", "-out", folder / "server.csr"),
    )
    openssl(
        *("x509", "-req", "-days", "2", "-in", folder / "server.csr", "-CA", ca, "-CAkey", ca.with_suffix(".key")),
        *("-CAcreateserial", "-extfile", folder / "names", "-out", folder / "server.crt"),
    )


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("authorities")
    ca, stranger = authority(folder, "ours"), authority(folder, "stranger")
    certificate(folder, ca)
    with running() as server:
        for name in ("server.crt", "server.key"):
            file = shutil.copy(folder / name, server.directory / "data" / name)
            Path(file).chmod(0o600)
            if owner := as_owner():
                shutil.chown(file, owner["user"], owner["group"])
        server.options["ssl"] = "on"
        server.restart()
        yield Remote(server, ca, stranger)


def test_a_new_database_needs_a_verified_connection(remote: Remote, tmp_path: Path) -> None:
    database = remote.database("new")
    refused = remote.service(tmp_path, database).cli("db", "upgrade", check=False)
    assert refused.returncode == 1
    for text in ("PostgreSQL at 127.1", "DDNSD_DATABASE_CA", "sslmode"):
        assert text in refused.stderr
    assert remote.server.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database) == "0"

    service = remote.service(tmp_path, database, database_ca=str(remote.ca))
    assert "now has the schema" in service.cli("db", "upgrade").stdout
    try:
        service.start()
        tls = f"SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = '{database}'"
        assert remote.server.psql(tls) == "t"  # that of notifications as well
        assert service.get("/readyz").json()["store"] == "ok"
    finally:
        service.stop()
    assert "not verified" not in service.log.read_text()
    assert "does not check the server's certificate" not in service.cli("doctor", check=False).stdout


@pytest.mark.parametrize(
    ("host", "authority", "reason"),
    [(NAME, "stranger", "certificate"), (OTHER_NAME, "ca", "Hostname mismatch")],
    ids=["another authority", "another name"],
)
def test_a_server_that_cannot_prove_who_it_is(
    remote: Remote, tmp_path: Path, host: str, authority: str, reason: str
) -> None:
    file = str(getattr(remote, authority))
    service = remote.service(tmp_path, "postgres", host, database_ca=file)
    refused = service.cli("db", "upgrade", "--wait", "0", check=False)
    assert refused.returncode == 1
    for text in ("its certificate is not accepted", reason, "set DDNSD_DATABASE_CA"):
        assert text in refused.stderr


def test_an_upgraded_installation_keeps_its_mode(remote: Remote, tmp_path: Path) -> None:
    database = remote.database("upgraded")
    local = remote.service(tmp_path, database, "127.0.0.1")
    local.cli("db", "upgrade")  # loopback is exempt
    assert "certificate" not in local.cli("doctor", check=False).stdout
    service = remote.service(tmp_path, database)
    service.cli("db", "upgrade")
    try:
        service.start()
    finally:
        service.stop()
    log = service.log.read_text()
    assert log.count('level=warning event="database connection not verified"') == 1
    assert "DDNSD_DATABASE_CA" in log
    examined = service.cli("doctor", check=False).stdout
    assert "connection to the database: it does not check the server's certificate" in examined
    assert "DDNSD_DATABASE_CA" in examined


def test_a_mode_in_the_url_is_kept(remote: Remote, tmp_path: Path) -> None:
    service = remote.service(tmp_path, remote.database("chosen"), options="?sslmode=require")
    assert "now has the schema" in service.cli("db", "upgrade").stdout
    assert "does not check the server's certificate" in service.cli("doctor", check=False).stdout


def test_a_socket_needs_nothing(remote: Remote, tmp_path: Path) -> None:
    database = remote.database("socket")
    service = remote.service(tmp_path, database, "")
    service.settings["DDNSD_DATABASE_URL"] = (
        f"postgresql://ddnsd@/{database}?host={remote.server.directory}&port={remote.server.port}"
    )
    remote.server.directory.chmod(0o755)
    service.settings["DDNSD_DATABASE_CA"] = str(remote.ca)
    assert "now has the schema" in service.cli("db", "upgrade").stdout


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_without_certificates_is_a_mistake_of_the_settings(
    remote: Remote, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    refused = remote.service(tmp_path, "postgres", database_ca=str(file)).cli("db", "upgrade", check=False)
    assert refused.returncode == 1
    assert "DATABASE_CA" in refused.stderr
    assert "no certificates in PEM" in refused.stderr
