# SPDX-License-Identifier: GPL-3.0-or-later
"""Which connections to PostgreSQL must verify the server."""

import ssl
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from ddnsd.db import postgres_tls

CA = Path("/etc/ca.pem")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////x.db",
        "postgresql://u@127.0.0.1/d",
        "postgresql://u@127.8.0.1:5433/d",
        "postgresql://u@[::1]/d",
        "postgresql://u@localhost/d",
        "postgresql:///d?host=/run/postgresql",
        "postgresql://u@/d?host=/a&host=127.0.0.1:5433",
        "postgresql:///d",
    ],
)
def test_sockets_and_loopback_are_exempt(url: str) -> None:
    assert not postgres_tls.is_remote(url)
    assert not postgres_tls.warning(url)
    assert postgres_tls.with_ca(url, CA) == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@db.example.org/d",
        "postgresql://u@192.0.2.1:5432/d",
        "postgresql://u@[2001:db8::1]/d",
        "postgresql:///d?host=db.example.org",
        "postgresql://u@/d?host=127.0.0.1:5432&host=192.0.2.1:5432",
        "postgresql://u@/d?host=/run/postgresql,db.example.org",
    ],
)
def test_other_machines_are_remote(url: str) -> None:
    assert postgres_tls.is_remote(url)
    assert postgres_tls.is_undecided(url)
    assert "DDNSD_DATABASE_CA" in postgres_tls.warning(url)
    verified = postgres_tls.with_ca(url, CA)
    assert not postgres_tls.warning(verified)
    assert make_url(verified).query["sslrootcert"] == str(CA)


def test_the_host_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert postgres_tls.is_undecided("postgresql:///d")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert not postgres_tls.warning("postgresql:///d")


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-ca"])
def test_a_weaker_mode_is_kept_with_a_warning(mode: str) -> None:
    url = f"postgresql://u@db.example.org/d?sslmode={mode}"
    assert not postgres_tls.is_undecided(url)
    assert postgres_tls.warning(url)
    assert make_url(postgres_tls.with_ca(url, CA)).query["sslmode"] == mode


def test_the_password_is_kept() -> None:
    url = postgres_tls.with_ca("postgresql://u:p%40ss@db.example.org/d", CA)
    assert make_url(url).password == "p@ss"


def test_arguments() -> None:
    address, given = postgres_tls.arguments(make_url("postgresql://u@h/d?sslmode=verify-full&application_name=x"))
    assert dict(address.query) == {"application_name": "x"}
    context = given["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert postgres_tls.arguments(make_url("postgresql://u@h/d?sslmode=require"))[1] == {"ssl": "require"}
    assert postgres_tls.arguments(make_url("postgresql://u@h/d"))[1] == {}
    for options, text in (("sslmode=on", "sslmode"), ("sslmode=verify-full&sslrootcert=/nothing.pem", "/nothing.pem")):
        with pytest.raises(ValueError, match=text):
            postgres_tls.arguments(make_url(f"postgresql://u@h/d?{options}"))
