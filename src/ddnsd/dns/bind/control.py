# SPDX-License-Identifier: GPL-3.0-or-later
"""Control a BIND by `rndc`: add and remove zones and their keys while it runs.

Its `named.conf` needs three things: `allow-new-zones yes;`, `controls` that accept our rndc key, and
`include "FOLDER/keys.conf";` (without it, BIND answers BADKEY to signed messages), or of the file that `install_keys`
writes.

FOLDER has one TSIG key per zone in `keys/`, the zone files, which named rewrites, in `zones/`, and the signing keys of
named in `dnssec/`. If named runs as another user, give FOLDER its group and mode 2770. If the process may not set
the setgid bit, create the three folders beforehand in the same way.
"""

import asyncio
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ddnsd.dns import errors, serials
from ddnsd.dns.bind import journal, zone_config
from ddnsd.dns.bind.apex import Apex
from ddnsd.dns.bind.catalog import Catalog
from ddnsd.dns.bind.rndc import SECONDS, BindError, Rndc, UnknownPolicy
from ddnsd.dns.bind.zone_config import PLAIN, Features
from ddnsd.dns.bind.zonefile import NameServer, catalog_text, zone_name, zone_text
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

FOLDERS = ("keys", "zones", "dnssec")
SERIAL_SECONDS = 5.0
UNNAMED = (NameServer("localhost"),)
"""The name servers of new zones if none are configured. Zones that name others keep them."""
UNSIGNING = "insecure"
"""BIND's policy that removes the signatures from a signed zone."""


@dataclass(frozen=True)
class ZoneOptions:
    """Options of all zones of a BIND.

    `name_servers` are in SOA (the first) and NS of the zones. The TSIG key `transfer_key` of `named.conf` may
    transfer every zone. `catalog` is the zone that lists all of them for secondaries. BIND answers DNS at
    `primary`. It asks the `parental_agents` for the DS records of zones that it signs, or itself if it has the zone
    around. With a `keys_socket`, named includes a file that only another program writes, see `install_keys`.
    """

    name_servers: tuple[NameServer, ...] = UNNAMED
    transfer_key: str | None = None
    catalog: str | None = None
    primary: Endpoint = field(default_factory=lambda: Endpoint("127.0.0.1", 53))
    parental_agents: tuple[Endpoint, ...] = ()
    keys_socket: Path | None = None


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

    def provision(self, zone: str, algorithm: str = "hmac-sha256", features: Features = PLAIN) -> TsigKey:
        """Serve `zone`. Returns the key that may update and transfer it.

        An existing zone keeps its key, its algorithm and its records.
        Raises BindError if BIND is unreachable, refuses, or serves the zone without access for our key;
        ValueError if `zone` is not a valid domain name.
        """
        zone = zone_name(zone)
        self._check(zone)
        with self._lock():
            key = self._stored_key(zone) or TsigKey.generate(f"ddnsd.{zone}", algorithm)
            self._serve(zone, key, features, check=False)
            self._list(zone, check=False)
        return key

    def ensure(self, zone: str, key: TsigKey, features: Features = PLAIN, *, check: bool = False) -> list[str]:
        """Serve `zone` with this key and these features. Returns what had to be done; with `check`, nothing is done.

        The words are `key` (missing or another one), `zone` (not served; created again if its file is lost),
        `journal` (damaged; set aside, see `kept_journals`), `configuration`, `catalog` and `name servers` (NS, SOA, and
        addresses of name servers in the zone). Records of a zone with the step `zone` or `journal` may be old.
        Raises as `provision` does.
        """
        zone = zone_name(zone)
        self._check(zone)
        with self._lock(check=check):
            done = [*self._serve(zone, key, features, check=check), *self._list(zone, check=check)]
            return done + self._name_servers(zone, key, done if check else (), check=check)

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
                self._load_keys()

    def serves(self, zone: str) -> bool:
        """Whether BIND serves the zone. Raises BindError if it cannot be asked."""
        return self.rndc.zone_statement(zone_name(zone)) is not None

    def zones(self) -> set[str]:
        """The zones that have a key here, without the catalog zone; none if the folder cannot be read."""
        try:
            names = {file.stem for file in (self.folder / "keys").glob("*.key")}
        except OSError:
            return set()
        return names - {self.options.catalog}

    def kept_journals(self, zone: str) -> list[Path]:
        """The damaged journals of the zone that were set aside, the newest last."""
        return journal.kept(self._zone_file(zone_name(zone)))

    def problem(self, zone: str, *, loaded: bool = False) -> str | None:
        """What is wrong with the files of our zone, and the command that helps; None if BIND can use them.

        `loaded`: it is known that BIND has loaded the zone. Raises BindError if BIND cannot be asked.
        """
        zone = zone_name(zone)
        file = self._zone_file(zone)
        if not loaded:
            found = self.rndc.zone_statement(zone)
            if found is None or not zone_config.serves_file(found, file):
                return None
            loaded = self.rndc.has_loaded(zone)
        if self._journal_is_damaged(zone, loaded=loaded):
            return (
                f"the journal of the zone is damaged: {journal.journal_of(file)}. Run `ddnsd domain provision {zone}`: "
                "it renames the journal, and all hosts are sent again"
            )
        if loaded:
            return None
        if not file.exists():
            return (
                f"the file of the zone is missing: {file}. Run `ddnsd domain provision {zone}` to create the zone again"
            )
        reason = journal.load_problem(zone, file, with_journal=False)
        return (
            f"BIND has not loaded the zone: {_unusable(file, reason, zone) if reason else 'its log shows the reason'}"
        )

    def is_running(self) -> bool:
        """Whether BIND answers `rndc` and has loaded its zones."""
        return self.rndc.is_running()

    def _check(self, zone: str) -> None:
        if zone == self.options.catalog:
            raise BindError(f"{zone} is the catalog zone. Hosts cannot be registered in it")
        for server in self.options.name_servers:
            if server.lies_in(zone) and not server.addresses:
                raise BindError(
                    f"the name server {server.name} needs an address in {zone}: "
                    f"set DDNSD_NAME_SERVERS={server.name}=ADDRESS, or use a name outside of the zone"
                )

    # ---- a zone

    def _serve(self, zone: str, key: TsigKey, features: Features, *, check: bool) -> list[str]:
        """Do the work of `ensure` without the catalog."""
        found, wanted = self.rndc.zone_statement(zone), self._zone_statement(zone, key, features)
        policy = features.dnssec_policy
        done = [] if self._stored_key(zone) == key else ["key"]
        if found is not None and not zone_config.serves_file(found, self._zone_file(zone)):
            if not zone_config.grants(found, key):
                raise BindError(f'{zone} already exists: add `grant "{key.name}" zonesub ANY;` to its update-policy')
        elif found is None or not (loaded := self.rndc.has_loaded(zone)):
            done.append("zone")
            if self._journal_is_damaged(zone, loaded=False):
                done.append("journal")
        elif self._journal_is_damaged(zone, loaded=loaded):
            done.append("journal")
        elif zone_config.parts(found) != zone_config.parts(wanted):
            done.append("configuration")
        if not check:
            self._take_up_key(zone, key, reread=bool(done))
            if "zone" in done:
                self._make(zone, key, found, wanted, policy, damaged="journal" in done)
            elif "journal" in done:
                self._replace_journal(zone)
            elif "configuration" in done:
                self._configure("modzone", zone, wanted, policy)
        return done

    def _take_up_key(self, zone: str, key: TsigKey, *, reread: bool) -> None:
        """Add the key to BIND. `reread`: also if the files are unchanged, because a former try may have failed here."""
        if self._stored_key(zone) != key:
            self._write(self._key_file(zone), key.to_text())
        if self._write_key_list() or reread:
            self._load_keys()

    def _make(
        self, zone: str, key: TsigKey, found: str | None, wanted: str, policy: str | None, *, damaged: bool
    ) -> None:
        if damaged:
            journal.set_aside(self._zone_file(zone))
        new_file = self._write_zone_file(zone)
        if found is None:
            try:
                self._configure("addzone", zone, wanted, policy)
            except BindError:
                if new_file:
                    self._forget(zone)
                raise
            if policy is not None:
                # BIND may look for signing keys while it loads the zone, fail, and sign it only after ten minutes
                self.rndc("loadkeys", zone)
            return
        if zone_config.parts(found) != zone_config.parts(wanted):
            self._configure("modzone", zone, wanted, policy)
        if not self.rndc.has_loaded(zone):
            self._reload(zone)
        if damaged and not new_file:
            asyncio.run(self._raise_serial(zone, key))

    def _journal_is_damaged(self, zone: str, *, loaded: bool) -> bool:
        """Whether BIND cannot use the journal. For a loaded zone, only the format is checked."""
        file = self._zone_file(zone)
        if loaded or not file.exists() or not journal.journal_of(file).exists():
            return journal.has_bad_format(file)
        return (
            journal.load_problem(zone, file, with_journal=False) is None
            and journal.load_problem(zone, file, with_journal=True) is not None
        )

    def _replace_journal(self, zone: str) -> None:
        """Set the journal of a loaded zone aside, after BIND has written all records to the zone file."""
        journal.set_aside(self._zone_file(zone))
        self.rndc("sync", zone)

    def _reload(self, zone: str) -> None:
        try:
            self.rndc("reload", zone)
        except BindError as error:
            file = self._zone_file(zone)
            if reason := journal.load_problem(zone, file, with_journal=False):
                raise BindError(_unusable(file, reason, zone)) from None
            raise BindError(f"{error}. The log of named shows the reason") from None

    async def _raise_serial(self, zone: str, key: TsigKey) -> None:
        """Raise the serial of a zone that lost its journal, or secondaries would keep what they have."""
        connection = PrimaryConnection(self.options.primary)
        try:
            await serials.raise_beyond(zone, key, connection, SERIAL_SECONDS)
        except errors.DnsError as error:
            raise BindError(
                f"the serial of {zone} was not raised, so secondaries may keep old records: {error}"
            ) from None
        finally:
            connection.close()

    def _configure(self, command: str, zone: str, wanted: str, policy: str | None) -> None:
        try:
            self.rndc(command, zone, wanted)
        except BindError as error:
            if policy is not None and "not found" in str(error):
                raise UnknownPolicy(
                    f'{error} (named.conf must contain `dnssec-policy "{policy}" {{ … }};`; `default` is built in)'
                ) from None
            raise

    def _forget(self, zone: str) -> None:
        """Add the zone; if BIND refuses it, remove its files."""
        self._zone_file(zone).unlink(missing_ok=True)
        self._key_file(zone).unlink(missing_ok=True)
        if self._write_key_list():
            self._load_keys()

    def _load_keys(self) -> None:
        """Let BIND use the keys of `keys/`, and no others."""
        if self.options.keys_socket is not None:
            install_keys(self.options.keys_socket)
        self.rndc("reconfig")

    def _zone_statement(self, zone: str, key: TsigKey, features: Features) -> str:
        readers = [self.options.transfer_key] if self.options.transfer_key else []
        if features.dnssec_policy is None and self._signing_keys(zone):
            features = features._replace(dnssec_policy=UNSIGNING)
        return zone_config.zone_block(
            self._zone_file(zone),
            key,
            readers,
            zone=zone,
            features=features,
            name_servers=[server.name for server in self.options.name_servers if server.lies_in(zone)],
            key_directory=self.folder / "dnssec",
            parental_agents=self._parental_agents(zone),
            hidden=zone == self.options.catalog,
        )

    def _parental_agents(self, zone: str) -> Sequence[Endpoint]:
        """The servers that know the DS records of the zone: BIND itself if it has the zone around."""
        while "." in zone:
            zone = zone.partition(".")[2]
            if self._key_file(zone).exists():
                return (self.options.primary,)
        return self.options.parental_agents

    def _wait_for_removal(self, zone: str) -> None:
        """Delete the zone's files: `delzone -clean` answers earlier, and a new zone must not find old records."""
        file, end = self._zone_file(zone), time.monotonic() + 2
        while file.exists() and time.monotonic() < end:
            time.sleep(0.02)
        for remains in (file, journal.journal_of(file), *journal.kept(file)):
            remains.unlink(missing_ok=True)

    def _name_servers(self, zone: str, key: TsigKey, missing: Sequence[str], *, check: bool) -> list[str]:
        """Let a zone in our file name the configured name servers; without `missing` key or zone, which BIND needs."""
        if self.options.name_servers == UNNAMED or not {"key", "zone"}.isdisjoint(missing):
            return []
        found = self.rndc.zone_statement(zone)
        if found is None or not zone_config.serves_file(found, self._zone_file(zone)) or not self.rndc.has_loaded(zone):
            return []
        apex = Apex(zone, self.options.primary, key)
        if not apex.differs(self.options.name_servers):
            return []
        if not check:
            apex.set(self.options.name_servers)
        return ["name servers"]

    # ---- the catalog

    def _serve_catalog(self, *, check: bool) -> list[str]:
        if (name := self.options.catalog) is None:
            return []
        key = self._stored_key(name) or TsigKey.generate(f"ddnsd.{name}")
        return self._serve(name, key, PLAIN, check=check)

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
        journal.set_aside(file)  # it belongs to the lost file
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
            raise BindError(
                f"{folder} must belong to the service's user and to named's group, with mode {mode:o}. Change this"
            ) from None

    @property
    def _shared(self) -> bool:
        """Whether named reads and writes here through the folder's group."""
        return bool(self.folder.stat().st_mode & stat.S_ISGID)

    def _write(self, file: Path, text: str) -> None:
        replace_file(file, text, 0o640 if self._shared else 0o600)


def install_keys(socket_path: Path) -> None:
    """Let the program behind this socket check the keys, and write them into the file that named includes.

    named would take any statement of such a file, so it must be written by a user whom this service cannot act for. The
    program answers with `ok`, or with a reason. Raises BindError.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(str(socket_path))
            answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode(errors="replace").strip()
        except OSError as error:
            raise BindError(
                f"{socket_path} does not install the keys of BIND: {error}. See `systemctl status ddnsd-keys.socket`"
            ) from None
    if not answer.startswith("ok"):
        raise BindError(
            f"the keys of BIND were not installed: {answer or 'no answer'}. See `journalctl -u 'ddnsd-keys@*'`"
        )


def _unusable(file: Path, reason: str, zone: str) -> str:
    advice = f"Move it away, and run `ddnsd domain provision {zone}` to create a new one"
    return f"the zone file {file} is damaged: {reason}. {advice}"


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
