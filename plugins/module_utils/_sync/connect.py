# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server is used, and whether it may get the token: one rule for `ddnsctl`, the modules and the inventory.

A *file* is a declaration, a saved plan, a journal, or the source of an inventory. Its author may be another person, for
example with a pull request, and must not be able to send the token of the environment to another server:

    option   DDNS_SERVER   file    server        a token of the environment
    -------  ------------  ------  ------------  --------------------------
    a        any           any     a             is sent
    -        a             -       a             is sent
    -        a             a       a             is sent
    -        a             b       SyncError     -
    -        -             a       a             SyncError
    -        -             -       SyncError     -

A token from an option is sent to the server of the table. Servers are compared by `names.same_server`.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import api, names
from .egi import EgiServer
from .errors import ServerError, SyncError
from .rest import RestServer

VARIABLE = "DDNS_SERVER"
REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class Named:
    """The servers that the option, the environment and the file name; None if it names none."""

    option: str | None = None
    environment: str | None = None
    """By DDNS_SERVER."""
    file: str | None = None
    what: str = "the declaration"
    """What the file is, for messages; empty if there is none."""
    flag: str = "--server"
    """The option's name, for messages; empty if there is none."""

    def url(self) -> str:
        """The server to use. Raises SyncError if none is named, or if DDNS_SERVER and the file differ."""
        if self.option:
            return self.option
        if not (self.environment or self.file):
            ways = [f"use {self.flag}"] * bool(self.flag) + [f"set {VARIABLE}"]
            ways += [f"write it into {self.what}"] * bool(self.what)
            raise SyncError(f"no server is named: {', '.join(ways[:-1])}{', or ' if ways[1:] else ''}{ways[-1]}")
        if self.environment and self.file and not same(self.environment, self.file):
            choose = f"{VARIABLE}, or choose the server with {self.flag}" if self.flag else VARIABLE
            raise SyncError(
                f"{VARIABLE} is {self.environment}, but {self.what} names {self.file}; nothing was sent. "
                f"Correct {choose}"
            )
        return self.environment or self.file or ""

    def url_for(self, variable: str) -> str:
        """The server to use with the token of an environment variable; empty if an option gives the token.

        Raises SyncError as `url` does, and if only the file names a server and the token is from the environment.
        """
        url = self.url()
        if variable and not (self.option or self.environment):
            flag = f", or use {self.flag}" if self.flag else ""
            raise SyncError(
                f"only {self.what} names the server {url}, but the token in {variable} is sent only to a server that "
                f"you name; nothing was sent. If the token is for this server, set {VARIABLE}={url}{flag}"
            )
        return url

    def overruled(self) -> str:
        """A remark if the option overrides the file; otherwise empty."""
        if not self.option or not self.file or same(self.option, self.file):
            return ""
        return f"{self.what} names the server {self.file}; {self.flag} overrides it: {self.option}"


def same(one: str, other: str) -> bool:
    """As `names.same_server`. Raises SyncError."""
    try:
        return names.same_server(one, other)
    except ValueError as error:
        raise SyncError(f"a server's URL {error}" if str(error).startswith("has") else str(error)) from None


def open_server(transport: api.Transport, kind: str | None = None) -> api.Server:
    """Find out what kind of service it is. With `kind` (`ddnsd`, `egi`) no request is sent.

    The token is sent only to what behaves as a Dynamic DNS service, because the URL may be wrong. Raises ServerError.
    """
    if kind is not None:
        return RestServer(transport) if kind == "ddnsd" else EgiServer(transport)
    first = transport.request("GET", "/api/", anonymous=True)
    about = api.object_in(first)
    if first.status == 200 and about.get("service") == "ddnsd":
        return RestServer(transport, str(about.get("version", "")), about.get("features"))
    if first.status in (502, 503, 504):
        raise ServerError(f"{transport.url} is not ready: {api.describe(first)}")
    second = transport.request("GET", "/nic/domains", anonymous=True)
    if second.status == 401:  # as EGI's service answers without a token
        second = transport.request("GET", "/nic/domains")
        if second.status == 401:
            raise api.unauthorized(transport.url)
        if second.status == 200 and {"public", "private"} <= set(api.object_in(second)):
            return EgiServer(transport)
    answers = f"/api/ {api.describe(first)}, /nic/domains {api.describe(second)}"
    raise ServerError(f"{transport.url} {_unknown({first.status, second.status}, answers)}")


def _unknown(statuses: set[int], answers: str) -> str:
    """What is wrong with a server that did not answer as a Dynamic DNS service, and what to do."""
    if 429 in statuses:
        return f"refuses requests for now: {answers}. Try again later"
    if 403 in statuses:
        return f"refuses requests: {answers}. Check the URL, and proxies and firewalls before the service"
    if statuses & REDIRECTS:
        return f"redirects: {answers}. Use the URL of the service itself"
    return f"is not a known Dynamic DNS service: {answers}. Check the URL"
