# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys, requests (CSR) and certificates, by the program openssl. `ddnsctl` and the Ansible modules share it.

A key goes to openssl by a pipe. `get` writes the key before the order: a certificate without its key is worth nothing.
"""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Mapping

from . import secret_files
from .api import Done
from .changes import Action, Change
from .errors import NotSupported, Problem, SyncError
from .model import Capabilities, HostSpec
from .plan import Plan

SECONDS = 60.0
"""How long openssl may run."""
DAY = 86_400
RENEW_DAYS = 30
"""How many days before its end a certificate is renewed, if nobody says otherwise."""

Order = Callable[[str, str], str]
"""Orders a certificate for a host and a request in PEM. Returns the chain in PEM. Raises ServerError."""


@dataclass(frozen=True)
class Certificate:
    """A certificate in PEM, with its issuers, and the time in which it is valid, in seconds since the epoch."""

    chain: str
    names: tuple[str, ...]
    public_key: str
    begin: int
    end: int

    @property
    def not_after(self) -> str:
        """The end in the form of the API, in UTC."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.end))

    def is_ending(self, days: int) -> bool:
        """Whether it ends within so many days; if it lasts less than twice as long, in the second half of its time."""
        return self.end - time.time() <= min(days * DAY, (self.end - self.begin) / 2)


@dataclass(frozen=True)
class Files:
    """The files of a host's key and certificate, as they are now. Get one with `look`."""

    fqdn: str
    key: Path
    chain: Path
    names: tuple[str, ...]
    present_key: str | None
    present: Certificate | None
    reason: str
    """Why a certificate has to be ordered; empty if none has."""


def names_of(fqdn: str, *, wildcard: bool) -> tuple[str, ...]:
    """The names in a certificate of the host."""
    return (f"*.{fqdn}", fqdn) if wildcard else (fqdn,)


def look(fqdn: str, key: Path, chain: Path, names: tuple[str, ...], renew_days: int = RENEW_DAYS) -> Files:
    """Read the files. A certificate is needed if there is none for this key and these names, or if it ends soon.

    Raises SyncError if a file cannot be read, if the key is none, or without openssl.
    """
    try:
        present_key = secret_files.read(key)
        text = secret_files.read(chain)
    except OSError as error:
        raise SyncError(f"{error.filename}: {error.strerror or error}") from error
    public = _public_key(present_key) if present_key else ""
    present = _parsed(text) if text else None
    reason = "no certificate"
    if present is not None:
        reason = f"it ends on {present.not_after}" if present.is_ending(renew_days) else ""
        reason = reason if present.public_key == public else "its key is another one"
        reason = reason if present.names == names else "its names are others"
    return Files(fqdn, key, chain, names, present_key, present, reason)


def get(files: Files, order: Order) -> Certificate:
    """Order a certificate and write it, with a new key if there is none. Raises SyncError."""
    try:
        key = files.present_key or new_key()
        csr = request(files.names, key)
        if not files.present_key:
            secret_files.write(files.key, key.encode())
        found = _parsed(order(files.fqdn, csr))
        if found is None or found.public_key != _public_key(key):
            raise SyncError(f"{files.fqdn}: the service sent no certificate for this key")
        secret_files.write(files.chain, found.chain.encode(), private=False)
    except OSError as error:
        raise SyncError(f"{error.filename}: {error.strerror or error}") from error
    return found


def planned(plan: Plan, declared: Mapping[str, HostSpec], capabilities: Capabilities, folder: str | None = "") -> Plan:
    """The plan with the certificates that have to be ordered, after all other changes.

    `declared` are the hosts of the plan. Relative files are relative to `folder`; None: they are refused. Raises
    NotSupported, and SyncError as `look` does.
    """
    orders = []
    problems = []
    for name, spec in sorted(declared.items()):
        if spec.certificate is None:
            continue
        if not capabilities.certificates:
            hint = "remove `certificate`, or ask the operator to enable certificates"
            problems.append(Problem(f"{name}: {capabilities.server} issues no certificates", spec.where, hint))
            continue
        base = Path(folder or "")
        key, chain = (base / Path(file).expanduser() for file in (spec.certificate.key, spec.certificate.file))
        if folder is None and not (key.is_absolute() and chain.is_absolute()):
            text = f"{name}: the files of its certificate are relative, and the task runs on another host"
            problems.append(Problem(text, spec.where, "name absolute paths"))
            continue
        files = look(name, key, chain, names_of(name, wildcard=spec.wildcard is True))
        if files.reason:
            orders.append(_change(files))
    if problems:
        raise NotSupported(problems)
    return replace(plan, changes=(*plan.changes, *orders)) if orders else plan


def _change(files: Files) -> Change:
    after = {"names": list(files.names), "file": str(files.chain), "key": str(files.key)}
    if files.present is None:
        return Change(Action.CREATE, "certificate", files.fqdn, after=after, reason=files.reason)
    before = {**after, "names": list(files.present.names)}
    return Change(Action.UPDATE, "certificate", files.fqdn, before, after, reason=files.reason)


def execute(change: Change, order: Order) -> Done:
    """Order the certificate of a planned change, unless the files have one now. Raises SyncError."""
    after = change.after
    files = look(change.name, Path(after["key"]), Path(after["file"]), tuple(after["names"]))
    if not files.reason:
        return Done("unchanged")
    get(files, order)
    return Done("applied")


def new_key() -> str:
    """A new private key in PEM. Raises SyncError."""
    return _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")


def request(names: tuple[str, ...], key: str) -> str:
    """A request in PEM for these names and this key. Raises SyncError."""
    alternatives = ",".join(f"DNS:{name}" for name in names)
    subject = ("-subj", "/", "-addext", f"subjectAltName={alternatives}")
    return _openssl("req", "-new", "-key", "/dev/stdin", *subject, given=key)


def _public_key(key: str) -> str:
    return _openssl("pkey", "-pubout", given=key).strip()


def _parsed(chain: str) -> Certificate | None:
    """The certificate at the beginning of a text; None if it has none."""
    if "-----BEGIN CERTIFICATE-----" not in chain:
        return None
    try:
        text = _openssl("x509", "-noout", "-pubkey", "-dates", "-ext", "subjectAltName", given=chain)
    except _OpensslError:
        return None
    times = re.findall("(?m)^not(?:Before|After)=(.+)$", text)
    key = re.search("(?s)-----BEGIN PUBLIC KEY-----.*-----END PUBLIC KEY-----", text)
    if len(times) != 2 or key is None:
        return None
    names = tuple(sorted(re.findall(r"DNS:([^\s,]+)", text)))
    begin, end = (int(ssl.cert_time_to_seconds(moment.strip())) for moment in times)
    return Certificate(chain, names, key[0], begin, end)


class _OpensslError(SyncError):
    pass


def _openssl(*arguments: str, given: str = "") -> str:
    program = shutil.which("openssl")
    if program is None:
        raise SyncError("openssl is not installed; it makes the key and the request")
    try:
        done = subprocess.run(  # noqa: S603
            [program, *arguments], input=given.encode(), capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise SyncError(f"openssl {arguments[0]} has not ended after {SECONDS:.0f} seconds") from None
    if done.returncode:
        reason = next(iter(done.stderr.decode(errors="replace").strip().splitlines()), "it failed")
        raise _OpensslError(f"openssl {arguments[0]}: {reason}")
    return done.stdout.decode(errors="replace")
