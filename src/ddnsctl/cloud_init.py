# SPDX-License-Identifier: GPL-3.0-or-later
"""User data for cloud-init: a new machine keeps its host's addresses up to date from its first boot on.

It contains the updater with its timer and configuration, and the host's secret or an enrolment token. `with_curl` makes
the form of EGI's documentation instead: one call of curl, with the secret in its command line.
"""

from __future__ import annotations

import base64
import gzip
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from urllib.parse import quote, urlsplit

CONFIGURATION, SECRETS = "/etc/ddns-update.conf", "/etc/ddns-update/secrets"
UNITS = "/etc/systemd/system"
TIMER, SERVICE = "ddns-update.timer", "ddns-update.service"
ENROL, ENROL_TIMER = "ddns-update-enrol.service", "ddns-update-enrol.timer"
REFRESH = "1d"
"""How often the machine sends an update although its addresses have not changed."""
HEADER = "#cloud-config\n# {fqdn}: {what}. Made by `ddnsctl user-data`.\n"


@dataclass(frozen=True)
class File:
    """A file on the machine, owned by root. The user data contains it compressed if `packed`."""

    path: str
    content: bytes
    mode: str = "0644"
    packed: bool = False


def with_secret(fqdn: str, server: str, secret: str, *, updater: bool = True) -> str:
    """User data with the updater and the host's secret. `server` is the base URL of the service.

    Without `updater` the program itself is left out, for an image that contains it.
    """
    files = [File(f"{SECRETS}/{fqdn}", f"{secret}\n".encode(), "0600"), _credential(fqdn)]
    note = "an updater with the host's secret"
    return _render(HEADER.format(fqdn=fqdn, what=note), [*_updater(fqdn, server, whole=updater), *files], [SERVICE])


def with_token(fqdn: str, server: str, token: str, *, updater: bool = True) -> str:
    """User data with the updater and an enrolment token, with which the machine sets a secret of its own."""
    token_file = f"{SECRETS}/{fqdn}.enrolment"
    files = [
        File(token_file, f"{token}\n".encode(), "0600"),
        *(File(f"{UNITS}/{unit}", _shipped(unit)) for unit in (ENROL, ENROL_TIMER)),
        File(f"{UNITS}/{ENROL}.d/host.conf", f"[Service]\n{_environment(NAME=fqdn, SERVER=server)}\n".encode()),
        # not before the enrolment: the updater pauses after a secret that the service does not know
        _credential(fqdn, f"[Unit]\nAfter={ENROL}\nConditionPathExists=!{token_file}\n\n"),
    ]
    note = "an updater with a token that works once"
    return _render(
        HEADER.format(fqdn=fqdn, what=note),
        [*_updater(fqdn, server, whole=updater), *files],
        [ENROL, ENROL_TIMER, SERVICE],
    )


def with_curl(fqdn: str, server: str, secret: str) -> str:
    """User data with one call of curl."""
    scheme, _, rest = _update_url(server).partition("://")
    url = f"{scheme}://{fqdn}:{quote(secret, safe='')}@{rest}"
    head = HEADER.format(fqdn=fqdn, what="one update at the first boot")
    return f"{head}runcmd:\n{_command('curl', url)}"


def _updater(fqdn: str, server: str, *, whole: bool) -> list[File]:
    base = _update_url(server) if urlsplit(server).path else server
    configuration = f"[DEFAULT]\nserver = {base}\n\n[{fqdn}]\nsecret = {fqdn}\nrefresh = {REFRESH}\n"
    program = File("/usr/local/sbin/ddns-update", _shipped("ddns-update"), "0755", packed=True)
    return [
        *([program] if whole else []),
        File(CONFIGURATION, configuration.encode()),
        *(File(f"{UNITS}/{unit}", _shipped(unit)) for unit in (SERVICE, TIMER)),
    ]


def _credential(fqdn: str, before: str = "") -> File:
    text = f"{before}[Service]\nLoadCredential={fqdn}:{SECRETS}/{fqdn}\n"
    return File(f"{UNITS}/{SERVICE}.d/secrets.conf", text.encode())


def _shipped(name: str) -> bytes:
    """A file of the role `ddns_client`, which this package contains."""
    return (resources.files("ddnsctl") / "updater" / name).read_bytes()


def _environment(**values: str) -> str:
    quoted = (f'"{name}={value.replace("%", "%%")}"' for name, value in values.items())
    return f"Environment={' '.join(quoted)}"


def _update_url(server: str) -> str:
    return f"{server.rstrip('/')}/nic/update"


# ---- YAML


def _render(head: str, files: list[File], started: list[str]) -> str:
    """The user data as YAML. `bootcmd` runs before `write_files`, so the folder for secrets is private in time."""
    enabled = [TIMER, *(unit for unit in started if unit != SERVICE)]
    return "".join(
        (
            head,
            "bootcmd:\n" + _command("install", "-d", "-m", "0700", SECRETS),
            "write_files:\n" + "".join(line for file in files for line in _written(file)),
            "runcmd:\n" + _command("systemctl", "daemon-reload"),
            _command("systemctl", "enable", "--quiet", *enabled),
            _command("systemctl", "start", "--no-block", TIMER, *started),
        )
    )


def _command(*words: str) -> str:
    return f"- {json.dumps(words)}\n"


def _written(file: File) -> Iterator[str]:
    yield f'- path: {file.path}\n  permissions: "{file.mode}"\n'
    text = file.content.decode()
    if file.packed:
        # without a time, so that the same file gives the same text
        text = textwrap.fill(base64.b64encode(gzip.compress(file.content, mtime=0)).decode(), 110) + "\n"
        yield "  encoding: gz+b64\n"
    yield "  content: |\n" + textwrap.indent(text, "    ")
