# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a connection to PostgreSQL is encrypted and checks the server's certificate.

The mode is `sslmode` of the URL, as in libpq, else PGSSLMODE. Only `verify-full` protects the password and the data
from a machine in between. A Unix socket and a loopback address need no TLS.
"""

import ipaddress
import os
import ssl
from pathlib import Path

from sqlalchemy.engine import URL, make_url

VERIFIED = "verify-full"
MODES = ("disable", "allow", "prefer", "require", "verify-ca", VERIFIED)
SYSTEM = "system"
"""In place of a file: the certificate authorities of the operating system."""

STEP = (
    "set DDNSD_DATABASE_CA to a file with the certificate of its authority, and use a host name that is in the "
    "server's certificate"
)
"""How to verify the server."""

OPTIONS = ("sslmode", "ssl", "sslrootcert")


def with_ca(url: str, ca: Path | None) -> str:
    """The URL with the mode `verify-full` and this file of authorities, where it says nothing else."""
    if ca is None or not is_remote(url):
        return url
    address = make_url(url)
    given = {"sslrootcert": str(ca)} | ({} if _mode(address) else {"sslmode": VERIFIED})
    return address.update_query_dict({**given, **address.query}).render_as_string(hide_password=False)


def is_remote(url: str) -> bool:
    """Whether the connection leaves the machine."""
    return url.startswith("postgresql") and not all(map(_is_local, _hosts(make_url(url))))


def is_unverified(url: str) -> bool:
    """Whether the connection leaves the machine, and does not check the server's certificate and name."""
    return is_remote(url) and _mode(make_url(url)) != VERIFIED


def is_undecided(url: str) -> bool:
    """Whether the connection leaves the machine, and nobody has said how to protect it."""
    return is_remote(url) and not _mode(make_url(url))


def warning(url: str) -> str:
    """What an operator should do about an unverified connection; "" if nothing."""
    return f"it does not check the server's certificate: {STEP}" if is_unverified(url) else ""


def arguments(address: URL) -> tuple[URL, dict[str, object]]:
    """The URL without options of TLS, and the arguments of asyncpg instead. Raises ValueError for bad options."""
    mode, root = _mode(address), _option(address, "sslrootcert") or os.environ.get("PGSSLROOTCERT", "")
    rest = address.difference_update_query(OPTIONS)
    if not mode:
        return rest, {}
    if mode not in MODES:
        raise ValueError(f"sslmode of the database URL is one of {', '.join(MODES)}")
    if not mode.startswith("verify"):
        return rest, {"ssl": mode}
    try:
        context = ssl.create_default_context(cafile=root if root and root != SYSTEM else None)
    except (OSError, ValueError):
        raise ValueError(f"{root} has no certificates in PEM that this process can read") from None
    context.check_hostname = mode == VERIFIED
    return rest, {"ssl": context}


def _mode(address: URL) -> str:
    return _option(address, "sslmode") or _option(address, "ssl") or os.environ.get("PGSSLMODE", "")


def _option(address: URL, name: str) -> str:
    value = address.query.get(name, "")
    return value if isinstance(value, str) else value[-1]


def _hosts(address: URL) -> list[str]:
    given = address.query.get("host", ())
    many = [given] if isinstance(given, str) else list(given)
    if address.host:
        many = [address.host]
    hosts = [host for text in many or [os.environ.get("PGHOST", "")] for host in text.split(",")]
    return [host or "localhost" for host in hosts]


def _is_local(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    if host.count(":") == 1:  # HOST:PORT of several hosts
        host = host.partition(":")[0]
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
