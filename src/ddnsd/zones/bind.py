# SPDX-License-Identifier: GPL-3.0-or-later
"""A BIND that we control by `rndc`: zones and their keys come and go while it runs.

Its `named.conf` needs three things: `allow-new-zones yes;`, `controls` that accept our rndc key, and
`include "FOLDER/keys.conf";` (without it, BIND answers BADKEY to whatever we sign).

Under FOLDER, `keys/` holds one TSIG key per zone and `zones/` the zone files, which named rewrites. Where named
runs as another user, give FOLDER its group and the setgid bit.
"""

import fcntl
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddnsd.zones.endpoint import Endpoint
from ddnsd.zones.tsig import TsigKey

RNDC_TIMEOUT = 20.0

_ZONE = """\
$TTL 3600
@ SOA {ns} hostmaster.{zone}. {serial} 3600 600 1209600 60
@ NS {ns}
"""

_HINTS = {
    "connection refused": "is named running, with a controls statement for this address?",
    "timed out": "named hangs, or a packet filter is in between",
    "connection to remote host closed": "the rndc key must stand in named's controls statement, and the clocks agree",
    "bad auth": "the rndc key must stand in named's controls statement",
    "allow-new-zones": "put `allow-new-zones yes;` into the options of named.conf",
    "not allowing new zones": "put `allow-new-zones yes;` into the options of named.conf",
    "permission denied": "named's user must be able to read keys/ and to write zones/",
}


class BindError(Exception):
    """BIND, or a program of its, did not do what it should; the text says what and what to do about it."""


class Bind:
    """Zones on a running BIND. Calls block for as long as `rndc` takes; several processes may call at once.

    `rndc_key` is an `rndc.conf` or a file with a `key` clause alone, `server` overrides the address that it
    says, `ns` is the name server that new zones name in SOA and NS (it must not lie in them).
    """

    def __init__(self, folder: Path, rndc_key: Path, *, server: Endpoint | None = None, ns: str = "localhost.") -> None:
        self.folder = folder.resolve()
        self.ns = ns.rstrip(".") + "."
        self._rndc_key = rndc_key
        self._server = server

    def provision(self, zone: str, algorithm: str = "hmac-sha256") -> TsigKey:
        """Serve `zone`, and answer the key that may update and transfer it.

        A zone that was provisioned before keeps its key, its algorithm and its records.
        BindError where BIND cannot be reached, refuses, or serves the zone without granting it to our key;
        ValueError where `zone` is no host-like domain name.
        """
        zone = _normal(zone)
        if f".{self.ns}".endswith(f".{zone}."):
            raise BindError(f"the name server {self.ns} would need an address in {zone}: use one outside of the zone")
        with self._lock():
            key = self._key(zone, algorithm)
            new_file, new_keys = self._write_zone_file(zone), self._write_key_list()
            config = self._config(zone)
            if new_keys or config is None:
                self._rndc("reconfig")
            if config is None:
                self._rndc("addzone", zone, self._statement(zone, key))
            elif not re.search(rf'\bgrant "?{re.escape(key.name)}[."\s]', config):
                raise BindError(f'{zone} is there already: add `grant "{key.name}" zonesub ANY;` to its update-policy')
            elif new_file:
                self._rndc("reload", zone)
        return key

    def withdraw(self, zone: str) -> None:
        """Serve `zone` no more, and remove its records and its key; a zone that is not there is fine. BindError."""
        zone = _normal(zone)
        with self._lock():
            if self._config(zone) is not None:
                self._rndc("delzone", "-clean", zone)
            self._wait_for_removal(zone)
            self._key_file(zone).unlink(missing_ok=True)
            if self._write_key_list():
                self._rndc("reconfig")

    def is_running(self) -> bool:
        """Whether BIND answers `rndc` and has loaded its zones."""
        try:
            return "server is up and running" in self._rndc("status")
        except BindError:
            return False

    def _key(self, zone: str, algorithm: str) -> TsigKey:
        file = self._key_file(zone)
        if not file.exists():
            self._write(file, TsigKey.generate(f"ddnsd.{zone}", algorithm).to_text())
        return TsigKey.from_text(file.read_text())

    def _key_file(self, zone: str) -> Path:
        return self.folder / "keys" / f"{zone}.key"

    def _zone_file(self, zone: str) -> Path:
        return self.folder / "zones" / f"{zone}.zone"

    def _write_zone_file(self, zone: str) -> bool:
        """Whether there was none; the clock as serial keeps growing when a zone is removed and made anew."""
        file = self._zone_file(zone)
        if file.exists():
            return False
        file.with_name(f"{file.name}.jnl").unlink(missing_ok=True)  # it belongs to the lost file
        self._write(file, _ZONE.format(ns=self.ns, zone=zone, serial=int(time.time())))
        return True

    def _write_key_list(self) -> bool:
        """Make `keys.conf` include exactly the existing keys; whether that changed it."""
        file = self.folder / "keys.conf"
        text = "".join(f'include "{key}";\n' for key in sorted((self.folder / "keys").glob("*.key")))
        if file.exists() and file.read_text() == text:
            return False
        self._write(file, text)
        return True

    def _statement(self, zone: str, key: TsigKey) -> str:
        return (
            f'{{ type primary; file "{self._zone_file(zone)}"; '
            f'update-policy {{ grant "{key.name}" zonesub ANY; }}; allow-transfer {{ key "{key.name}"; }}; }};'
        )

    def _config(self, zone: str) -> str | None:
        """What BIND has configured for `zone`; None when it does not know it."""
        try:
            return self._rndc("showzone", zone)
        except BindError as error:
            if "not found" in str(error):
                return None
            raise

    def _wait_for_removal(self, zone: str) -> None:
        """`delzone -clean` answers before the file is gone, and a new zone must not find the old records."""
        file, end = self._zone_file(zone), time.monotonic() + 2
        while file.exists() and time.monotonic() < end:
            time.sleep(0.02)
        for remains in (file, file.with_name(f"{file.name}.jnl")):
            remains.unlink(missing_ok=True)

    def _rndc(self, *words: str) -> str:
        command = [program("rndc"), *self._rndc_options(), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=RNDC_TIMEOUT, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise BindError(f"rndc {words[0]}: timed out after {RNDC_TIMEOUT:.0f} s ({_HINTS['timed out']})") from None
        if done.returncode:
            raise BindError(_explained(words[0], done.stderr or done.stdout))
        return done.stdout

    def _rndc_options(self) -> list[str]:
        try:
            text = self._rndc_key.read_text()
        except OSError as error:
            raise BindError(f"cannot read the rndc key {self._rndc_key}: {error.strerror}") from None
        # `-c` reads servers and ports too, `-k` refuses a file that has them.
        options = ["-c" if re.search(r"\b(options|server)\b[^;]*\{", text) else "-k", str(self._rndc_key)]
        if self._server:
            options += ["-s", self._server.host, "-p", str(self._server.port)]
        return options

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            for folder in (self.folder / "keys", self.folder / "zones"):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o2770 if self._shared else 0o700)
            yield
        finally:
            os.close(handle)

    @property
    def _shared(self) -> bool:
        """Whether named reads and writes here as a member of the folder's group."""
        return bool(self.folder.stat().st_mode & stat.S_ISGID)

    def _write(self, file: Path, text: str) -> None:
        replace_file(file, text, 0o640 if self._shared else 0o600)


def replace_file(file: Path, text: str, mode: int = 0o600) -> None:
    """Give `file` this text and mode at once: no reader and no crash ever sees a part of it."""
    draft = file.with_name(f".{file.name}")
    draft.unlink(missing_ok=True)
    with draft.open("x") as out:
        os.fchmod(out.fileno(), mode)
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def program(name: str) -> str:
    """The path of one of BIND's programs, in PATH or where packages put daemons; BindError when it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise BindError(f"{name} is not installed: apt-get install bind9")
    return found


def _normal(zone: str) -> str:
    normal = zone.lower().removesuffix(".")
    if not re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", normal) or len(normal) > 253:
        raise ValueError(f"{zone!r} cannot be a zone: it must be a domain name of letters, digits, - and _")
    return normal


def _explained(command: str, said: str) -> str:
    text = "; ".join(line.removeprefix("rndc: ").strip() for line in said.splitlines() if not line.startswith("*"))
    hints = [hint for words, hint in _HINTS.items() if words in text.lower()]
    return f"rndc {command}: {text}" + (f" ({hints[0]})" if hints else "")
