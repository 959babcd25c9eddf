# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible inventories: `ansible-inventory --list` reads them, so every kind of them works, and vaults.

A host declares itself by the variable `ddns`, a mapping of a declared host's keys. Without `fqdn` in it the name is the
inventory's; an address family that is not named is `ansible_host` if that is an address of it and no other is named.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ddnsctl.sync.errors import DeclarationError, Location, Problem, SyncError
from ddnsctl.yamlfile import Document

PROGRAM, VAULT_PROGRAM = "ansible-inventory", "ansible-vault"
NO_PASSWORD = "no vault password is known; use --vault-password-file, --vault-id or ANSIBLE_VAULT_PASSWORD_FILE"  # noqa: S105
VARIABLE, ADDRESS, ENCRYPTED = "ddns", "ansible_host", "__ansible_vault"


class Inventory(Document):
    """A document whose places are hosts of an inventory."""

    __slots__ = ()

    def locate(self, path: tuple[Any, ...]) -> Location | None:
        """`INVENTORY[HOST]`; lines are not known."""
        host = f"[{path[1]}]" if len(path) > 1 and path[0] == "hosts" else ""
        return Location(self.file + host)


def read(name: str, vault: Sequence[str] = ()) -> Inventory:
    """The declaration that an inventory holds; `vault` are options that say where passwords are.

    Raises SyncError when Ansible is not there, DeclarationError when it cannot read the inventory.
    """
    problems: list[Problem] = []
    hosts: dict[str, Any] = {}
    for host, variables in _listed(name, vault)["_meta"]["hostvars"].items():
        if VARIABLE in variables:
            where = Location(f"{name}[{host}]")
            hosts[host] = _options(host, variables, where, problems, vault)
    data = {"version": 1, "hosts": hosts}
    return Inventory(name, data, tuple(problems))


def run(program: str, arguments: Sequence[str], given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run one of Ansible's programs; secrets reach it through standard input alone. Raises SyncError: not installed."""
    path = shutil.which(program)
    if path is None:
        raise SyncError(f"{program} is not installed: pip install ansible-core, or put its folder on PATH")
    options: dict[str, Any] = {"input": given} if given is not None else {"stdin": subprocess.DEVNULL}
    # without a terminal of its own it fails where it would ask for a password, and never takes the secret for one
    options["start_new_session"] = True
    return subprocess.run([path, *arguments], capture_output=True, check=False, **options)  # noqa: S603


def error_text(result: subprocess.CompletedProcess[bytes]) -> str:
    """What the program complained of, in one line."""
    text = result.stderr.decode(errors="replace").strip() or f"exit status {result.returncode}"
    if "EOFError" in text or "no vault secrets" in text.lower():
        return NO_PASSWORD
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line] or lines
    return errors[0].removeprefix("[ERROR]:").removeprefix("ERROR!").strip()


def _listed(name: str, vault: Sequence[str]) -> dict[str, Any]:
    result = run(PROGRAM, ["-i", name, "--list", *vault])
    warned = [line for line in result.stderr.decode(errors="replace").splitlines() if "Unable to parse" in line]
    if result.returncode or warned:
        text = warned[0].removeprefix("[WARNING]:").strip() if warned and not result.returncode else error_text(result)
        raise DeclarationError([Problem(f"{PROGRAM} cannot read it: {text}", Location(name))])
    listed: dict[str, Any] = json.loads(result.stdout, object_hook=_unwrapped)
    return listed if "_meta" in listed else {"_meta": {"hostvars": {}}}


def _unwrapped(value: dict[str, Any]) -> Any:
    """A text that an inventory plugin had from somewhere else comes in a wrapping."""
    return value["__ansible_unsafe"] if value.keys() == {"__ansible_unsafe"} else value


def _options(
    host: str, variables: Mapping[str, Any], where: Location, problems: list[Problem], vault: Sequence[str]
) -> Any:
    options = variables[VARIABLE]
    if options is None:
        options = {}
    if not isinstance(options, Mapping) or ENCRYPTED in options:
        problems.append(Problem(f"{VARIABLE}: must be a mapping", where, "as in ddns: {ipv4: dynamic}"))
        return {}
    plain = {key: _decrypted(value, vault, where, problems) for key, value in options.items()}
    plain.setdefault("fqdn", host)
    problems += _templates(plain, where)
    if "ipv4" not in plain and "ipv6" not in plain:
        address = _decrypted(variables.get(ADDRESS), vault, where, problems)
        family = _family(address)
        if family is not None:
            plain[family] = address
    return plain


def _family(address: Any) -> str | None:
    try:
        return f"ipv{ipaddress.ip_address(address).version}" if isinstance(address, str) else None
    except ValueError:
        return None


def _templates(options: Mapping[str, Any], where: Location) -> list[Problem]:
    """Templates are not evaluated by `ansible-inventory`."""
    return [
        Problem(f"{VARIABLE}.{key}: is a template, which only a play evaluates", where, "write the value itself")
        for key, value in options.items()
        if "{{" in json.dumps(value)
    ]


def _decrypted(value: Any, vault: Sequence[str], where: Location, problems: list[Problem]) -> Any:
    """A value that `ansible-vault encrypt_string` made, in clear; any other value as it is."""
    if not isinstance(value, Mapping) or ENCRYPTED not in value:
        return value
    result = run(VAULT_PROGRAM, ["decrypt", "--output", "-", *vault], str(value[ENCRYPTED]).encode())
    if result.returncode:
        problems.append(Problem(f"{VARIABLE}: cannot be decrypted: {error_text(result)}", where))
        return None
    return result.stdout.decode()
