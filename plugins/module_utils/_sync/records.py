# SPDX-License-Identifier: GPL-3.0-or-later
"""RRsets of a host in addition to its addresses, and its related names: as they are declared, compared, and shown.

A key is `NAME TYPE`, such as `_443._tcp TLSA`; the name of the host itself is `@`. The content of an RRset is a mapping
of `values` and `ttl`, as the service sends it. Values that are written in another way than the service writes them
count as a change here; the service says that nothing changes.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional

from . import names
from .model import DYNAMIC, Host, HostSpec, Sentinel

Content = Optional[Dict[str, Any]]
"""An RRset; None: there is none."""

APEX = "@"
STRING_OCTETS = 255
VALUES_MAX = 16

_TYPE = re.compile(r"[A-Z][A-Z0-9-]*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ESCAPE = re.compile(r"\\(?:([0-9]{3})|(.))", re.DOTALL)
_HEX_AFTER = {"TLSA": 3, "SMIMEA": 3, "SSHFP": 2}
"""Types that end with hexadecimal digits, with the number of fields before these."""
_NAMES = frozenset({"MX", "SRV"})
"""Types whose only letters are those of names."""


def declared(value: Any) -> dict[str, Content | Sentinel]:
    """The declared RRsets by key: their content, None for null, or DYNAMIC. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping of `NAME TYPE` to values, not {names.kind(value)}")
    found: dict[str, Content | Sentinel] = {}
    for given, content in value.items():
        key = canonical_key(given)
        if key in found:
            raise ValueError(f"{key} is named twice")
        found[key] = _content(key, content)
    return found


def canonical_key(given: Any) -> str:
    """The key as the service writes it. Raises ValueError."""
    words = names.text(given).split()
    name, rtype = (APEX, words[0]) if len(words) == 1 else (words[0].lower(), words[-1])
    if len(words) > 2 or not _TYPE.fullmatch(rtype.upper()):
        raise ValueError(f"{given!r} is not the key of an RRset, such as TXT or `_443._tcp TLSA`")
    return f"{name} {rtype.upper()}"


def _content(key: str, content: Any) -> Content | Sentinel:
    if content is None:
        return None
    if isinstance(content, str) and content.strip().lower() == "dynamic":
        return DYNAMIC
    options = content if isinstance(content, Mapping) else {"values": content}
    unknown = [str(option) for option in options if option not in ("values", "ttl")]
    if unknown:
        raise ValueError(f"{key}: unknown key {unknown[0]}; known: values, ttl")
    values = options.get("values")
    if not isinstance(values, list) or not 0 < len(values) <= VALUES_MAX:
        raise ValueError(f"{key}: needs a list of 1 to {VALUES_MAX} values, or `dynamic`")
    try:
        ttl = None if options.get("ttl") is None else names.ttl(options["ttl"])
        texts = {canonical(key.split()[1], names.text(value)) for value in values}
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    return {"ttl": ttl, "values": sorted(texts)}


def canonical(rtype: str, text: str) -> str:
    """The value as the service writes it, as far as that is known here. Raises ValueError."""
    if rtype == "TXT":
        return _text(text)
    words = _words(text)
    if rtype in _HEX_AFTER:
        fixed = _HEX_AFTER[rtype]
        words = [*words[:fixed], "".join(words[fixed:])]
    joined = " ".join(word for word in words if word)
    return joined.lower() if rtype in _NAMES or rtype in _HEX_AFTER else joined


def _words(text: str) -> list[str]:
    """The fields of a value; text in quotation marks is not divided."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found.group())
        return f"\0{len(kept) - 1}\0"

    parts = _QUOTED.sub(keep, text).split()
    return [re.sub(r"\0([0-9]+)\0", lambda found: kept[int(found.group(1))], part) for part in parts]


def _text(text: str) -> str:
    """A TXT value: literal text, or strings in quotation marks."""
    stripped = text.strip()
    if not stripped.startswith('"'):
        octets = text.encode()
        return _strings(octets[begin : begin + STRING_OCTETS] for begin in range(0, len(octets), STRING_OCTETS))
    quoted = _QUOTED.findall(stripped)
    if _QUOTED.sub("", stripped).strip():
        raise ValueError('begins with ", so it must be strings in quotation marks, such as "first" "second"')
    return _strings(_octets(one[1:-1]) for one in quoted)


def _octets(escaped: str) -> bytes:
    found = b""
    at = 0
    for escape in _ESCAPE.finditer(escaped):
        found += escaped[at : escape.start()].encode()
        number, character = escape.groups()
        if number and int(number) > 255:
            raise ValueError(f"\\{number} is not an octet")
        found += bytes((int(number),)) if number else character.encode()
        at = escape.end()
    return found + escaped[at:].encode()


def _strings(strings: Iterable[bytes]) -> str:
    return " ".join(f'"{"".join(map(_escaped, octets))}"' for octets in strings)


def _escaped(octet: int) -> str:
    character = chr(octet)
    if character in '"\\':
        return f"\\{character}"
    return character if 0x20 <= octet < 0x7F else f"\\{octet:03}"


def literal(rtype: str, value: str) -> str:
    """The value as a user writes it: text without quotation marks, if that is the same value."""
    if rtype != "TXT":
        return value
    try:
        plain = b"".join(_octets(one[1:-1]) for one in _QUOTED.findall(value)).decode()
    except (UnicodeDecodeError, ValueError):
        return value
    kept = plain.strip() and plain.isprintable() and not plain.lstrip().startswith('"') and _text(plain) == value
    return plain if kept else value


# ---- comparing


def is_managed(content: Content | Sentinel) -> bool:
    """Whether a declared RRset has values, and is not left to others."""
    return content is not None and not isinstance(content, Sentinel)


def initial(spec: HostSpec) -> dict[str, Any]:
    """The RRsets of a new host."""
    if isinstance(spec.records, Sentinel):
        return {}
    return {key: content for key, content in spec.records.items() if is_managed(content)}


def differing(spec: HostSpec, host: Host) -> dict[str, Content]:
    """The RRsets to set, or to remove (None), so that the host is as declared."""
    if isinstance(spec.records, Sentinel) or isinstance(host.records, Sentinel):
        return {}
    wanted: dict[str, Content | Sentinel] = dict(spec.records)
    if not spec.keeps_records:
        wanted = {**dict.fromkeys(host.records), **wanted}
    return {
        key: content
        for key, content in sorted(wanted.items())
        if not isinstance(content, Sentinel) and content != host.records.get(key)
    }


def related_differing(spec: HostSpec, host: Host) -> dict[str, str | None]:
    """The related names to set, or to remove (None), so that the host is as declared."""
    if isinstance(spec.related, Sentinel) or isinstance(host.related, Sentinel):
        return {}
    wanted = dict(spec.related) if spec.keeps_related else {**dict.fromkeys(host.related), **spec.related}
    return {label: one for label, one in sorted(wanted.items()) if one != host.related.get(label)}


def chosen(records: Mapping[str, Any] | Sentinel, keys: Iterable[str]) -> dict[str, Any] | None:
    """These RRsets or related names of a host; None for those that it does not have. None: not known."""
    return None if isinstance(records, Sentinel) else {key: records.get(key) for key in keys}


# ---- showing


def details(before: Mapping[str, Content], after: Mapping[str, Content]) -> Iterator[str]:
    """The changes, such as `~ TXT @: "a" → "b"`."""
    for key in sorted(after):
        old, new = before.get(key), after[key]
        if old == new:
            continue
        if old is None or new is None:
            yield f"{'-' if new is None else '+'} {place(key)}: {shown(old if new is None else new)}"
        else:
            yield f"~ {place(key)}: {shown(old)} → {shown(new)}"


def related_details(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> Iterator[str]:
    """The changes of related names, such as `+ related nas: ::7`."""
    for label in sorted(after):
        old, new = before.get(label), after[label]
        if old == new:
            continue
        if old is None or new is None:
            yield f"{'-' if new is None else '+'} related {label}: {old or new}"
        else:
            yield f"~ related {label}: {old} → {new}"


def place(key: str) -> str:
    """The key as `TYPE NAME`."""
    name, rtype = key.split(" ")
    return f"{rtype} {name}"


def shown(content: Content) -> str:
    """The values, and the TTL if it has its own."""
    if content is None:
        return "none"
    ttl = f" (ttl {content['ttl']})" if content.get("ttl") else ""
    return ", ".join(content["values"]) + ttl
