# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations of client programs and routers, filled in for a host.

The templates are `templates/configurations/FILE.j2`. The filters of `escaping` quote the values.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from ddnsd.registry.rows import Host
from ddnsd.web.portal import escaping
from ddnsd.web.portal.client_programs import CATALOGUE, DNS_CATALOGUE, Entry
from ddnsd.web.update_port import UpdatePort

PLACEHOLDER = "SECRET"
"""Replaces the secret while only its owner knows it."""

TSIG_PLACEHOLDER = "TSIG_SECRET"
"""Replaces the TSIG secret."""

ADDRESS_PLACEHOLDER = "ADDRESS"
"""Replaces the address of the service, for programs that take no name."""

SHIPPED = ("ddns-update", "ddns-update.service", "ddns-update.timer", "ddns-update-watch.service")
"""The updater's files, for download."""

_LOGIN = re.compile(r"[A-Za-z0-9._-]{1,253}")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_SECRET = re.compile(r"[ -~]{1,200}")


@dataclass(frozen=True)
class Target:
    """A host, and the service whose base URL is `server`. `login` is a key's login; default: the host's name.

    Raises ValueError for invalid values: names, logins and URLs have no characters that need quoting.
    """

    fqdn: str
    server: str
    secret: str = PLACEHOLDER
    login: str = ""

    def __post_init__(self) -> None:
        url = urlsplit(self.server)
        fits = {
            "fqdn": _LOGIN.fullmatch(self.fqdn),
            "login": _LOGIN.fullmatch(self.login or self.fqdn),
            "secret": _SECRET.fullmatch(self.secret),
            "server": url.scheme in ("http", "https")
            and _AUTHORITY.fullmatch(url.netloc)
            and _PATH.fullmatch(url.path.rstrip("/"))
            and not url.query
            and not url.fragment,
        }
        if wrong := [name for name, match in fits.items() if not match]:
            raise ValueError(f"not usable in a configuration: {', '.join(wrong)}")

    @property
    def names(self) -> dict[str, Any]:
        """The variables of the templates."""
        url, server = urlsplit(self.server), self.server.rstrip("/")
        update = f"{server}/nic/update"
        path = url.path.rstrip("/")
        return {
            "fqdn": self.fqdn,
            "login": self.login or self.fqdn,
            "secret": self.secret,
            "server": server,
            "url": update,
            "update_server": update if path else server,
            "scheme": url.scheme,
            "tls": url.scheme == "https",
            "authority": url.netloc,
            "path": path,
            "place": f"{url.netloc}{path}",
        }


@dataclass(frozen=True)
class DnsTarget:
    """A host of a zone, at the port for DNS UPDATE. `login` is a key's login; default: the host's name.

    `secret` is that of the host or key, from which the TSIG secret follows. Raises ValueError for invalid values.
    """

    fqdn: str
    zone: str
    port: UpdatePort
    secret: str | None = None
    login: str = ""

    def __post_init__(self) -> None:
        texts = {"fqdn": self.fqdn, "zone": self.zone, "login": self.login or self.fqdn, "server": self.port.server}
        if wrong := [name for name, text in texts.items() if not _LOGIN.fullmatch(text.replace(":", "."))]:
            raise ValueError(f"not usable in a configuration: {', '.join(wrong)}")

    @property
    def key_name(self) -> str:
        """The name of the TSIG key."""
        return self.login or self.fqdn

    @property
    def names(self) -> dict[str, Any]:
        """The variables of the templates."""
        key = self.port.key(self.key_name, self.secret) if self.secret is not None else {}
        return {
            "fqdn": self.fqdn,
            "zone": self.zone,
            "label": self.fqdn.removesuffix(f".{self.zone}"),
            "key_name": self.key_name,
            "algorithm": self.port.algorithm,
            "secret": key.get("secret", TSIG_PLACEHOLDER),
            "server": self.port.server,
            "address": self.port.address or ADDRESS_PLACEHOLDER,
            "port": self.port.port,
            "endpoint": self.port.endpoint,
        }


@dataclass(frozen=True)
class Part:
    """One text: the name of its file, where to put it, and the language it is written in."""

    file: str
    place: str
    language: str
    text: str

    @property
    def fields(self) -> list[tuple[str, str]]:
        """(label, value) of a text in the language `fields`."""
        pairs = (line.partition(": ") for line in self.text.splitlines())
        return [(label, value) for label, _, value in pairs]


@dataclass(frozen=True)
class Configuration:
    """The configuration of one program or router; `name` is its part of a URL."""

    name: str
    title: str
    note: str
    parts: tuple[Part, ...]


def configurations(target: Target) -> list[Configuration]:
    """All configurations, filled in. Titles, notes and places are English: translate them when you show them."""
    return [_filled_in(entry, target.names) for entry in CATALOGUE]


def dns_configurations(target: DnsTarget) -> list[Configuration]:
    """Those for the port for DNS UPDATE."""
    return [_filled_in(entry, target.names) for entry in DNS_CATALOGUE]


def secret_configurations(fqdn: str, server: str, secret: str | None) -> list[Configuration]:
    """All configurations of a host, with its secret; an empty list if the secret is unknown."""
    return configurations(Target(fqdn, server, secret)) if secret else []


def dns_configurations_of(
    port: UpdatePort | None, host: Host, secret: str | None = None, login: str = ""
) -> list[Configuration]:
    """Those of a host whose domain takes updates by DNS; an empty list without a port for them."""
    if port is None or not host.dns_updates or host.alias is not None:
        return []
    return dns_configurations(DnsTarget(host.fqdn, host.domain, port, secret, login))


def configuration(target: Target, name: str) -> Configuration | None:
    """The configuration of that name; None if there is none."""
    return next((_filled_in(entry, target.names) for entry in CATALOGUE if entry.name == name), None)


def _filled_in(entry: Entry, names: dict[str, Any]) -> Configuration:
    texts = (_environment().get_template(f"{file}.j2").render(names) for file, _, _ in entry.parts)
    parts = (Part(*about, text) for about, text in zip(entry.parts, texts, strict=True))
    return Configuration(entry.name, entry.title, entry.note, tuple(parts))


@cache
def shipped(name: str) -> bytes:
    """The content of a file of `SHIPPED`. Raises ValueError for another name."""
    if name not in SHIPPED:
        raise ValueError(name)
    return (resources.files("ddnsd.web.portal") / "updater" / name).read_bytes()


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - plain text, each value quoted by a filter
        loader=PackageLoader("ddnsd.web.portal", "templates/configurations"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters |= escaping.FILTERS
    environment.globals["shipped"] = shipped
    return environment
