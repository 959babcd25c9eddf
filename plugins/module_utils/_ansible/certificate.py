# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_certificate`: a TLS certificate of a host, and its key, in files on the task's host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._sync import certificates, names
from .._sync.certificates import Certificate, Files
from .._sync.errors import DeclarationError, Problem, Refused, SyncError
from .resource import Note, difference, rest_server
from .spec import CONNECTION, Spec
from .task import Task

SPEC = CONNECTION + Spec(
    {
        "name": {"type": "str", "required": True, "aliases": ["fqdn"]},
        "domain": {"type": "str"},
        "wildcard": {"type": "bool", "default": False},
        "path": {"type": "path", "required": True},
        "key_path": {"type": "path", "required": True, "no_log": False},
        "renew_days": {"type": "int", "default": 30},
        "timeout": {"type": "int", "default": 60},
    }
)


def run(task: Task) -> dict[str, Any]:
    """Result keys: changed, diff (without the key), fqdn, names, not_after, reason."""
    files = _files(task)
    if not files.reason:
        return _result(files, files.present)
    server = rest_server(task, "certificates")
    if task.check:
        return _result(files, files.present)
    try:
        return _result(files, certificates.get(files, server.certificate))
    except Refused as error:
        raise SyncError(f"{files.fqdn}: {error}") from error


def _files(task: Task) -> Files:
    """The files as they are. Raises SyncError."""
    params, problems = task.params, []
    if params["renew_days"] < 0:
        problems.append(Problem("renew_days: must be 0 or more"))
    key, chain = (Path(params[option]).absolute() for option in ("key_path", "path"))
    if key == chain:
        problems.append(Problem("key_path: is the file of the certificate", hint="name another file"))
    fqdn = ""
    try:
        fqdn = names.host_name(params["name"], params["domain"] and names.domain_name(params["domain"]))
    except ValueError as error:
        problems.append(Problem(f"name: {error}"))
    if problems:
        raise DeclarationError(problems)
    wanted = certificates.names_of(fqdn, wildcard=params["wildcard"])
    return certificates.look(fqdn, key, chain, wanted, params["renew_days"])


def _result(files: Files, found: Certificate | None) -> dict[str, Any]:
    """The result with the certificate in the file."""
    return {
        "changed": bool(files.reason),
        "diff": _diff(files),
        "fqdn": files.fqdn,
        "names": list(files.names),
        "not_after": found.not_after if found is not None else None,
        "reason": files.reason,
    }


def _diff(files: Files) -> dict[str, str]:
    """What changes, the same in check mode. It has neither the key nor the end of a new certificate."""
    if not files.reason:
        return {"before": "", "after": ""}
    present = files.present
    before = None
    if present is not None:
        before = {"names": list(present.names), "certificate": Note(f"(ends on {present.not_after})")}
    after = {"names": list(files.names), "certificate": Note(f"(new: {files.reason} → file {files.chain})")}
    if files.present_key is None:
        after["key"] = Note(f"(new → file {files.key})")
    return difference(f"certificate of {files.fqdn}", before, after)
