# SPDX-License-Identifier: GPL-3.0-or-later
"""BIND's control channel, by its program `rndc`."""

import re
import shutil
import subprocess
from pathlib import Path

from ddnsd.dns.endpoint import Endpoint

SECONDS = 20.0

_HINTS = {
    "connection refused": "check that named runs, and has a controls statement for this address",
    "timed out": "named hangs, or a firewall drops the packets",
    "connection to remote host closed": "name the rndc key in named's controls statement, and check both clocks",
    "bad auth": "name the rndc key in named's controls statement",
    "allow-new-zones": "add `allow-new-zones yes;` to the options of named.conf",
    "not allowing new zones": "add `allow-new-zones yes;` to the options of named.conf",
    "permission denied": "let the user of named read keys/, and write to zones/ and dnssec/",
}


class BindError(Exception):
    """BIND or one of its programs failed; the text says why and what to do."""


class UnknownPolicy(BindError):
    """`named.conf` has no `dnssec-policy` of this name."""


class Rndc:
    """Sends commands to a running named, and blocks until the answer.

    `key` is an `rndc.conf` or a file with only a `key` clause; `server` overrides its address.
    """

    def __init__(self, key: Path, server: Endpoint | None = None) -> None:
        self._key, self._server = key, server

    def __call__(self, *words: str) -> str:
        """The answer of named to the command. Raises BindError with its error."""
        command = [program("rndc"), *self._options(), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise BindError(f"rndc {words[0]}: timed out after {SECONDS:.0f} s ({_HINTS['timed out']})") from None
        if done.returncode:
            raise BindError(_explained(words[0], done.stderr or done.stdout))
        return done.stdout

    def is_running(self) -> bool:
        """Whether named answers and has loaded its zones."""
        try:
            return "server is up and running" in self("status")
        except BindError:
            return False

    def zone_statement(self, zone: str) -> str | None:
        """The `zone` statement of named, or None if it does not know the zone. Raises BindError."""
        try:
            return self("showzone", zone)
        except BindError as error:
            if "not found" in str(error):
                return None
            raise

    def has_loaded(self, zone: str) -> bool:
        """Whether named answers for a zone that it knows. Raises BindError."""
        try:
            self("zonestatus", zone)
        except BindError as error:
            if "not loaded" in str(error):
                return False
            raise
        return True

    def _options(self) -> list[str]:
        try:
            text = self._key.read_text()
        except OSError as error:
            raise BindError(f"cannot read the rndc key {self._key}: {error.strerror}") from None
        # `-c` reads servers and ports too, `-k` refuses a file that has them.
        options = ["-c" if re.search(r"\b(options|server)\b[^;]*\{", text) else "-k", str(self._key)]
        if self._server:
            options += ["-s", self._server.host, "-p", str(self._server.port)]
        return options


def program(name: str) -> str:
    """The path of one of BIND's programs, in PATH or where packages put daemons; raises BindError if it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise BindError(f"{name} is not installed: run `apt-get install bind9`")
    return found


def _explained(command: str, said: str) -> str:
    text = "; ".join(line.removeprefix("rndc: ").strip() for line in said.splitlines() if not line.startswith("*"))
    hints = [hint for words, hint in _HINTS.items() if words in text.lower()]
    return f"rndc {command}: {text}" + (f" ({hints[0]})" if hints else "")
