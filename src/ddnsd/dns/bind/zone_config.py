# SPDX-License-Identifier: GPL-3.0-or-later
"""`zone` statements for `rndc addzone` and `rndc modzone`, and from `rndc showzone`."""

import re
from collections.abc import Sequence
from pathlib import Path

from ddnsd.dns.tsig import TsigKey


def zone_block(
    file: Path,
    key: TsigKey,
    transfer_keys: Sequence[str] = (),
    *,
    dnssec_policy: str | None = None,
    key_directory: Path | None = None,
    hidden: bool = False,
) -> str:
    """The body, in braces, of a primary zone that `key` updates and transfers.

    `transfer_keys` are names of more TSIG keys that may transfer it. With a `dnssec_policy` BIND signs it, with keys in
    `key_directory`. A `hidden` zone answers only its keys. Raises ValueError as
    `check_policy` does.
    """
    readers = " ".join(f'key "{name}";' for name in (key.name, *transfer_keys))
    parts = [
        "type primary",
        f'file "{file}"',
        f'update-policy {{ grant "{key.name}" zonesub ANY; }}',
        f"allow-transfer {{ {readers} }}",
    ]
    if hidden:
        parts.append(f"allow-query {{ {readers} }}")
    if dnssec_policy is not None:
        check_policy(dnssec_policy)
        # inline-signing, the default from BIND 9.20 on, would keep a second copy of the zone
        parts += [f'dnssec-policy "{dnssec_policy}"', "inline-signing no", f'key-directory "{key_directory}"']
    return "{ " + " ".join(f"{part};" for part in parts) + " };"


def check_policy(name: str) -> None:
    """Check that a `dnssec-policy` can have this name. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", name):
        raise ValueError(f"{name!r} is not a valid name for a dnssec-policy: use letters, digits, -, _ and .")


def parts(text: str) -> frozenset[str]:
    """The contents of the outermost braces without order, quotes and spacing: equal for equal statements."""
    found, depth, part = [], 0, ""
    for word in re.findall(r"[{};]|[^\s{};]+", text.replace('"', "")):
        depth += {"{": 1, "}": -1}.get(word, 0)
        if depth == 0 or (depth == 1 and word == "{" and not part):
            continue
        if depth == 1 and word == ";":
            found.append(part.strip())
            part = ""
        else:
            part += f" {word}"
    return frozenset(found)


def serves_file(text: str, file: Path) -> bool:
    """Whether the statement's zone is in this file."""
    return f"file {' '.join(str(file).split())}" in parts(text)


def grants(text: str, key: TsigKey) -> bool:
    """Whether the statement allows the key to update the zone."""
    return re.search(rf'\bgrant "?{re.escape(key.name)}\.?["\s]', text) is not None
