# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server is asked, and whether it may get the token: one rule for `ddnsctl`, the modules and the inventory.

A *file* is a declaration, a saved plan, a journal, or the source of an inventory. It often comes from somebody else,
such as the author of a pull request, and must not be able to send the token of the environment elsewhere:

    option   DDNS_SERVER   file    server        a token of the environment
    -------  ------------  ------  ------------  --------------------------
    a        any           any     a             goes there
    -        a             -       a             goes there
    -        a             a       a             goes there
    -        a             b       SyncError     -
    -        -             a       a             SyncError
    -        -             -       SyncError     -

A token that an option gives goes to the server of the table. Servers are compared by `names.same_server`.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import api, names
from .egi import EgiServer
from .errors import ServerError, SyncError
from .rest import RestServer

VARIABLE = "DDNS_SERVER"


@dataclass(frozen=True)
class Named:
    """The servers that are named, and where; None is not named."""

    option: str | None = None
    environment: str | None = None
    """By DDNS_SERVER."""
    file: str | None = None
    what: str = "the declaration"
    """What the file is, for messages; empty where there is none."""
    flag: str = "--server"
    """The option's name, for messages; empty where there is none."""

    def url(self) -> str:
        """The server to ask. Raises SyncError when none is named, and when DDNS_SERVER and the file differ."""
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
        """The server to ask with the token of an environment variable; empty for a token that an option gives.

        Raises SyncError as `url` does, and when only the file names the server of a token of the environment.
        """
        url = self.url()
        if variable and not (self.option or self.environment):
            flag = f", or use {self.flag}" if self.flag else ""
            raise SyncError(
                f"only {self.what} names the server, {url}, and {variable} goes only to a server that you name; "
                f"nothing was sent. If the token is for this server, set {VARIABLE}={url}{flag}"
            )
        return url

    def overruled(self) -> str:
        """A remark where the option overrules the file; nothing elsewhere."""
        if not self.option or not self.file or same(self.option, self.file):
            return ""
        return f"{self.what} names the server {self.file}; {self.flag} overrules it: {self.option}"


def same(one: str, other: str) -> bool:
    """As `names.same_server`. Raises SyncError."""
    try:
        return names.same_server(one, other)
    except ValueError as error:
        raise SyncError(f"a server's URL {error}" if str(error).startswith("has") else str(error)) from None


def open_server(transport: api.Transport, kind: str | None = None) -> api.Server:
    """The server behind a transport, found by asking it; with a `kind` (`ddnsd`, `egi`) nothing is asked.

    Raises ServerError.
    """
    if kind is not None:
        return RestServer(transport) if kind == "ddnsd" else EgiServer(transport)
    first = transport.request("GET", "/api/")
    about = api.object_in(first)
    if first.status == 200 and about.get("service") == "ddnsd":
        return RestServer(transport, str(about.get("version", "")), about.get("features"))
    if first.status in (502, 503, 504):
        raise ServerError(f"{transport.url} is not ready: {api.describe(first)}")
    second = transport.request("GET", "/nic/domains")
    if second.status == 401:
        raise api.unauthorized(transport.url)
    if second.status == 200 and {"public", "private"} <= set(api.object_in(second)):
        return EgiServer(transport)
    answers = f"/api/ {api.describe(first)}, /nic/domains {api.describe(second)}"
    raise ServerError(f"{transport.url} is no Dynamic DNS service that is known here: {answers}")
