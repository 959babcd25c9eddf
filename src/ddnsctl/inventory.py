# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads declarations from Ansible inventories with `ansible-inventory --list`, so all kinds and vaults work.

A host is declared if it has the variable `ddns`, a mapping with the keys of a declared host. The default of `fqdn` is
the host's name in the inventory. If `ipv4`, `ipv6` and `alias` are not in it, an address in `ansible_host` is used.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ddnsctl.sync.errors import DeclarationError, Location, Problem, SyncError
from ddnsctl.yaml.reader import Document

PROGRAM, VAULT_PROGRAM = "ansible-inventory", "ansible-vault"
NO_PASSWORD = "there is no vault password: use --vault-password-file, --vault-id or ANSIBLE_VAULT_PASSWORD_FILE"  # noqa: S105
VARIABLE, ADDRESS, ENCRYPTED = "ddns", "ansible_host", "__ansible_vault"


class Inventory(Document):
    """A document whose positions are hosts of an inventory."""

    __slots__ = ()

    def locate(self, path: tuple[Any, ...]) -> Location | None:
        """`INVENTORY[HOST]`, without a line."""
        host = f"[{path[1]}]" if len(path) > 1 and path[0] == "hosts" else ""
        return Location(self.file + host)


def read(name: str, vault: Sequence[str] = ()) -> Inventory:
    """The declaration in an inventory. `vault` are options that say where passwords are.

    Raises SyncError if Ansible is not installed, DeclarationError if it cannot read the inventory.
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
    """Run a program of Ansible; `given` goes to its standard input. Raises SyncError if it is not installed."""
    path = shutil.which(program)
    if path is None:
        raise SyncError(f"{program} is not installed: run `pip install ansible-core`, or add its folder to PATH")
    options: dict[str, Any] = {"input": given} if given is not None else {"stdin": subprocess.DEVNULL}
    # without a terminal it cannot ask for a password: it fails, and never reads the secret as the password
    options["start_new_session"] = True
    return subprocess.run([path, *arguments], capture_output=True, check=False, **options)  # noqa: S603


def error_text(result: subprocess.CompletedProcess[bytes]) -> str:
    """The program's error message, on one line."""
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
    """The plain value. Ansible wraps text that an inventory plugin marks as unsafe."""
    return value["__ansible_unsafe"] if value.keys() == {"__ansible_unsafe"} else value


def _options(
    host: str, variables: Mapping[str, Any], where: Location, problems: list[Problem], vault: Sequence[str]
) -> Any:
    options = variables[VARIABLE]
    if options is None:
        options = {}
    if not isinstance(options, Mapping) or ENCRYPTED in options:
        problems.append(Problem(f"{VARIABLE}: must be a mapping", where, "such as ddns: {ipv4: dynamic}"))
        return {}
    plain = {key: _decrypted(value, vault, where, problems) for key, value in options.items()}
    plain.setdefault("fqdn", host)
    problems += _templates(plain, where)
    if not plain.keys() & {"ipv4", "ipv6", "alias"}:
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
    """A problem for each template: `ansible-inventory` does not evaluate them."""
    return [
        Problem(f"{VARIABLE}.{key}: is a template, which ddnsctl cannot evaluate", where, "write the value itself")
        for key, value in options.items()
        if "{{" in json.dumps(value)
    ]


def _decrypted(value: Any, vault: Sequence[str], where: Location, problems: list[Problem]) -> Any:
    """The plain value of one that `ansible-vault encrypt_string` made; any other value unchanged."""
    if not isinstance(value, Mapping) or ENCRYPTED not in value:
        return value
    result = run(VAULT_PROGRAM, ["decrypt", "--output", "-", *vault], str(value[ENCRYPTED]).encode())
    if result.returncode:
        problems.append(Problem(f"{VARIABLE}: cannot be decrypted: {error_text(result)}", where))
        return None
    return result.stdout.decode()
