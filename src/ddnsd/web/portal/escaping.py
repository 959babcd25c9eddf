# SPDX-License-Identifier: GPL-3.0-or-later
"""Quoting for configuration files: each function returns a text as one value of that language.

A text is one line of printable ASCII.
"""

import base64
import gzip
import json
import shlex
import textwrap
from functools import lru_cache
from urllib.parse import quote


def shell(text: str) -> str:
    """A word of a POSIX shell."""
    return str(shlex.quote(text))


def yaml(text: str) -> str:
    """A YAML scalar in double quotes; also a string of JSON."""
    return json.dumps(text)


def jinja_yaml(text: str) -> str:
    """A YAML scalar that Ansible does not treat as a template."""
    return f"!unsafe {json.dumps(text)}"


def url(text: str) -> str:
    """A part of a URL."""
    return quote(text, safe="")


def curl(text: str) -> str:
    """A value in a configuration file of curl."""
    return _escaped(text, '"\\')


def inadyn(text: str) -> str:
    """A string of libConfuse, which inadyn reads; `${` would begin the name of an environment variable."""
    return _escaped(text, '"\\$')


def systemd(text: str) -> str:
    """A word of a unit file, with its specifiers."""
    return _escaped(text.replace("%", "%%"), '"\\')


def named(text: str) -> str:
    """A string of BIND's configuration files."""
    return _escaped(text, '"\\')


def uci(text: str) -> str:
    """A value of OpenWrt's configuration files."""
    return "'" + text.replace("'", "'\\''") + "'"


def routeros(text: str) -> str:
    """A string of a RouterOS script; a bare question mark would ask for help."""
    return _escaped(text, '"\\$?')


def hcl(text: str) -> str:
    """A string of Terraform's language; a bare brace after a dollar or percent sign would begin a template."""
    return json.dumps(text).replace("{", "\\u007b")


@lru_cache(maxsize=8)
def packed(octets: bytes) -> str:
    """A file in cloud-init's encoding `gz+b64`. The same file always gives the same lines."""
    return textwrap.fill(base64.b64encode(gzip.compress(octets, mtime=0)).decode(), 110)


def _escaped(text: str, special: str) -> str:
    return '"' + "".join(f"\\{c}" if c in special else c for c in text) + '"'


FILTERS = {
    f.__name__: f for f in (shell, yaml, jinja_yaml, url, curl, inadyn, systemd, named, uci, routeros, hcl, packed)
}
"""The filters, by the names that templates use."""
