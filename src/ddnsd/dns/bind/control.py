# SPDX-License-Identifier: GPL-3.0-or-later
"""Control a BIND by `rndc`: add and remove zones and their keys while it runs.

Its `named.conf` needs three things: `allow-new-zones yes;`, `controls` that accept our rndc key, and
`include "FOLDER/keys.conf";` (without it, BIND answers BADKEY to signed messages).

FOLDER has one TSIG key per zone in `keys/`, the zone files, which named rewrites, in `zones/`, and the signing keys of
named in `dnssec/`. If named runs as another user, give FOLDER its group and mode 2770. If the process may not set
the setgid bit, create the three folders beforehand in the same way.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ddnsd.dns.bind import zone_config
from ddnsd.dns.bind.catalog import Catalog
from ddnsd.dns.bind.rndc import BindError, Rndc
from ddnsd.dns.bind.zonefile import NameServer, catalog_text, zone_name, zone_text
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

FOLDERS = ("keys", "zones", "dnssec")
UNSIGNING = "insecure"
"""BIND's policy that removes the signatures from a signed zone."""


@dataclass(frozen=True)
class ZoneOptions:
    """Options of all zones of a BIND.

    `name_servers` are in SOA (the first) and NS of new zones. The TSIG key `transfer_key` of `named.conf` may
    transfer every zone. `catalog` is the zone that lists all of them for secondaries. BIND answers DNS at
    `primary`.
    """

    name_servers: tuple[NameServer, ...] = (NameServer("localhost"),)
    transfer_key: str | None = None
    catalog: str | None = None
    primary: Endpoint = field(default_factory=lambda: Endpoint("127.0.0.1", 53))


class Bind:
    """Zones on a running BIND. Calls block while `rndc` runs; several processes may call at once.

    `rndc_key` is an `rndc.conf` or a file with only a `key` clause; `server` overrides its address.
    """

    def __init__(
        self, folder: Path, rndc_key: Path, *, server: Endpoint | None = None, options: ZoneOptions | None = None
    ) -> None:
        self.folder = folder.resolve()
        self.options = options or ZoneOptions()
        self.rndc = Rndc(rndc_key, server)

    def provision(self, zone: str, algorithm: str = "hmac-sha256", dnssec_policy: str | None = None) -> TsigKey:
        """Serve `zone`. Returns the key that may update and transfer it.

        An existing zone keeps its key, its algorithm and its records.
        Raises BindError if BIND is unreachable, refuses, or serves the zone without access for our key;
        ValueError if `zone` is not a valid domain name.
        """
        zone = zone_name(zone)
        self._check(zone)
        with self._lock():
            key = self._stored_key(zone) or TsigKey.generate(f"ddnsd.{zone}", algorithm)
            self._serve(zone, key, dnssec_policy, check=False)
            self._list(zone, check=False)
        return key

    def ensure(self, zone: str, key: TsigKey, dnssec_policy: str | None = None, *, check: bool = False) -> list[str]:
        """Serve `zone` with this key and policy. Returns what had to be done; with `check`, nothing is done.

        The words are `key` (missing or another one), `zone` (not served; created again if its file is lost),
        `configuration` and `catalog`. Raises as `provision` does.
        """
        zone = zone_name(zone)
        self._check(zone)
        with self._lock(check=check):
            return [*self._serve(zone, key, dnssec_policy, check=check), *self._list(zone, check=check)]

    def ensure_catalog(self, *, check: bool = False) -> list[str]:
        """Serve the catalog zone, if one is configured. Returns and raises as `ensure` does."""
        with self._lock(check=check):
            return self._serve_catalog(check=check)

    def withdraw(self, zone: str) -> None:
        """Remove `zone` with its records and keys, if it exists. Raises BindError."""
        zone = zone_name(zone)
        with self._lock():
            if (catalog := self._catalog()) is not None and catalog.has(zone):
                catalog.remove(zone)
            if self.rndc.zone_statement(zone) is not None:
                self.rndc("delzone", "-clean", zone)
            self._wait_for_removal(zone)
            self._key_file(zone).unlink(missing_ok=True)
            for file in self._signing_keys(zone):
                file.unlink(missing_ok=True)
            if self._write_key_list():
                self.rndc("reconfig")

    def serves(self, zone: str) -> bool:
        """Whether BIND serves the zone. Raises BindError if it cannot be asked."""
        return self.rndc.zone_statement(zone_name(zone)) is not None

    def is_running(self) -> bool:
        """Whether BIND answers `rndc` and has loaded its zones."""
        return self.rndc.is_running()

    def _check(self, zone: str) -> None:
        if zone == self.options.catalog:
            raise BindError(f"{zone} is the catalog zone: hosts cannot be registered in it")
        for server in self.options.name_servers:
            if server.lies_in(zone) and not server.addresses:
                raise BindError(
                    f"the name server {server.name} needs an address in {zone}: "
                    f"set DDNSD_NAME_SERVERS={server.name}=ADDRESS, or use a name outside of the zone"
                )

    # ---- a zone

    def _serve(self, zone: str, key: TsigKey, policy: str | None, *, check: bool) -> list[str]:
        """Do the work of `ensure` without the catalog."""
        found, wanted = self.rndc.zone_statement(zone), self._zone_statement(zone, key, policy)
        done = [] if self._stored_key(zone) == key else ["key"]
        if found is not None and not zone_config.serves_file(found, self._zone_file(zone)):
            if not zone_config.grants(found, key):
                raise BindError(f'{zone} already exists: add `grant "{key.name}" zonesub ANY;` to its update-policy')
        elif found is None or not self.rndc.has_loaded(zone):
            done.append("zone")
        elif zone_config.parts(found) != zone_config.parts(wanted):
            done.append("configuration")
        if not check:
            self._take_up_key(zone, key, reread=bool(done))
            if "zone" in done:
                self._make(zone, found, wanted, policy)
            elif "configuration" in done:
                self._configure("modzone", zone, wanted, policy)
        return done

    def _take_up_key(self, zone: str, key: TsigKey, *, reread: bool) -> None:
        """Add the key to BIND. `reread`: also if the files are unchanged, because a former try may have failed here."""
        if self._stored_key(zone) != key:
            self._write(self._key_file(zone), key.to_text())
        if self._write_key_list() or reread:
            self.rndc("reconfig")

    def _make(self, zone: str, found: str | None, wanted: str, policy: str | None) -> None:
        new_file = self._write_zone_file(zone)
        if found is None:
            try:
                self._configure("addzone", zone, wanted, policy)
            except BindError:
                if new_file:
                    self._forget(zone)
                raise
            return
        if zone_config.parts(found) != zone_config.parts(wanted):
            self._configure("modzone", zone, wanted, policy)
        if not self.rndc.has_loaded(zone):
            self.rndc("reload", zone)

    def _configure(self, command: str, zone: str, wanted: str, policy: str | None) -> None:
        try:
            self.rndc(command, zone, wanted)
        except BindError as error:
            if policy is not None and "not found" in str(error):
                raise BindError(
                    f'{error} (named.conf must contain `dnssec-policy "{policy}" {{ … }};`; `default` is built in)'
                ) from None
            raise

    def _forget(self, zone: str) -> None:
        """Add the zone; if BIND refuses it, remove its files."""
        self._zone_file(zone).unlink(missing_ok=True)
        self._key_file(zone).unlink(missing_ok=True)
        if self._write_key_list():
            self.rndc("reconfig")

    def _zone_statement(self, zone: str, key: TsigKey, policy: str | None) -> str:
        readers = [self.options.transfer_key] if self.options.transfer_key else []
        if policy is None and self._signing_keys(zone):
            policy = UNSIGNING
        return zone_config.zone_block(
            self._zone_file(zone),
            key,
            readers,
            dnssec_policy=policy,
            key_directory=self.folder / "dnssec",
            hidden=zone == self.options.catalog,
        )

    def _wait_for_removal(self, zone: str) -> None:
        """Delete the zone's files: `delzone -clean` answers earlier, and a new zone must not find old records."""
        file, end = self._zone_file(zone), time.monotonic() + 2
        while file.exists() and time.monotonic() < end:
            time.sleep(0.02)
        for remains in (file, file.with_name(f"{file.name}.jnl")):
            remains.unlink(missing_ok=True)

    # ---- the catalog

    def _serve_catalog(self, *, check: bool) -> list[str]:
        if (name := self.options.catalog) is None:
            return []
        key = self._stored_key(name) or TsigKey.generate(f"ddnsd.{name}")
        return self._serve(name, key, None, check=check)

    def _list(self, zone: str, *, check: bool) -> list[str]:
        """Add the zone to the catalog."""
        made = self._serve_catalog(check=check)
        if self.options.catalog is None:
            return []
        if check and made:
            return ["catalog"]
        catalog = self._catalog()
        if catalog is None or catalog.has(zone):
            return []
        if not check:
            catalog.add(zone)
        return ["catalog"]

    def _catalog(self) -> Catalog | None:
        """The catalog zone, if BIND serves it."""
        if (name := self.options.catalog) is None or (key := self._stored_key(name)) is None:
            return None
        served = self.rndc.zone_statement(name) is not None and self.rndc.has_loaded(name)
        return Catalog(name, self.options.primary, key) if served else None

    # ---- files

    def _stored_key(self, zone: str) -> TsigKey | None:
        file = self._key_file(zone)
        return TsigKey.from_text(file.read_text()) if file.exists() else None

    def _key_file(self, zone: str) -> Path:
        return self.folder / "keys" / f"{zone}.key"

    def _zone_file(self, zone: str) -> Path:
        return self.folder / "zones" / f"{zone}.zone"

    def _signing_keys(self, zone: str) -> list[Path]:
        """The signing keys of named for the zone; empty if it was never signed."""
        return list((self.folder / "dnssec").glob(f"K{zone}.+*"))

    def _write_zone_file(self, zone: str) -> bool:
        """Write a new zone file if there is none. The clock as serial grows when a zone is created again."""
        file, serial = self._zone_file(zone), int(time.time())
        if file.exists():
            return False
        file.with_name(f"{file.name}.jnl").unlink(missing_ok=True)  # the journal belongs to the lost file
        is_catalog = zone == self.options.catalog
        text = catalog_text(serial) if is_catalog else zone_text(zone, self.options.name_servers, serial)
        self._write(file, text)
        return True

    def _write_key_list(self) -> bool:
        """Let `keys.conf` include exactly the existing keys. Returns whether it changed."""
        file = self.folder / "keys.conf"
        text = "".join(f'include "{key}";\n' for key in sorted((self.folder / "keys").glob("*.key")))
        if file.exists() and file.read_text() == text:
            return False
        self._write(file, text)
        return True

    @contextmanager
    def _lock(self, *, check: bool = False) -> Iterator[None]:
        """Create the folders and lock out other changes of zones; with `check` only lock."""
        if check and not self.folder.exists():
            yield
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not check:
                for name in FOLDERS:
                    self._make_folder(self.folder / name)
            yield
        finally:
            os.close(handle)

    def _make_folder(self, folder: Path) -> None:
        """Create a folder. One with the right mode is not changed, for users who may not set the setgid bit."""
        mode = 0o2770 if self._shared else 0o700
        try:
            folder.mkdir(exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) != mode:
                folder.chmod(mode)
        except PermissionError:
            raise BindError(f"{folder} must be ours, with the group of named and mode {mode:o}: change it") from None

    @property
    def _shared(self) -> bool:
        """Whether named reads and writes here through the folder's group."""
        return bool(self.folder.stat().st_mode & stat.S_ISGID)

    def _write(self, file: Path, text: str) -> None:
        replace_file(file, text, 0o640 if self._shared else 0o600)


def replace_file(file: Path, text: str, mode: int = 0o600) -> None:
    """Replace `file` atomically, with this text and mode."""
    draft = file.with_name(f".{file.name}")
    draft.unlink(missing_ok=True)
    with draft.open("x") as out:
        os.fchmod(out.fileno(), mode)
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
