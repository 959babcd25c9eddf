# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns values as a user writes them into values as a server stores them.

Each function raises ValueError with a text that says what is wrong and what to do. No function accepts a value that the
service refuses.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Callable, Mapping
from urllib.parse import urlsplit

NAME_LENGTH, LABEL_LENGTH = 253, 63
WILDCARD_NAME_LENGTH = NAME_LENGTH - len("*.")
WILDCARD_ADVICE = f"the name of a host with a wildcard has at most {WILDCARD_NAME_LENGTH} characters"
DOMAIN_LENGTH = 189
COMMENT_LENGTH = 255
USER_LENGTH = 150
TTL_MAX = 86400
ADDRESSES_MAX, RELATED_MAX = 16, 32
LABELS_MAX, LABEL_KEY_LENGTH, LABEL_VALUE_LENGTH = 16, 63, 255

_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_TARGET = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+")
_STACK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SERVER = re.compile(r"\[[0-9a-f:.]+\]|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TRANSLATION = IPv6Network("64:ff9b::/96")


def text(value: Any) -> str:
    """The value, if it is text and not empty."""
    given = _any_text(value)
    if not given.strip():
        raise ValueError("is empty")
    return given


def _any_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {kind(value)}; put it in quotes")
    return value


def kind(value: Any) -> str:
    """The type of a value, for messages."""
    if isinstance(value, str):
        return "text"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def host_name(value: Any, domain: str | None = None) -> str:
    """A full name: lower case, without a trailing dot. A name without a dot is relative to `domain`."""
    given = text(value).strip()
    folded = _folded(given)
    if domain is not None and "." not in given:
        folded = f"{folded}.{domain}"
    if len(folded) <= NAME_LENGTH and _NAME.fullmatch(folded):
        return folded
    _check_labels(given, folded)
    if given.endswith("."):
        raise ValueError(f"{given!r} is a top-level name; a host lies in a domain")
    raise ValueError(f"{given!r} is not a full name; write {folded}.DOMAIN, or set a default domain")


def domain_name(value: Any) -> str:
    """The full name of a domain, of at least two labels."""
    given = text(value).strip()
    folded = _folded(given)
    _check_labels(given, folded)
    if "." not in folded:
        raise ValueError(f"{given!r} is not a full domain name, such as dyn.example.org")
    if len(folded) > DOMAIN_LENGTH:
        raise ValueError(f"{given!r} has {len(folded)} characters; a domain has at most {DOMAIN_LENGTH}")
    return folded


def _folded(name: str) -> str:
    folded = name.lower() if name.isascii() else name
    return folded[:-1] if folded.endswith(".") else folded


def _check_labels(given: str, folded: str) -> None:
    if not given.isascii():
        raise ValueError(f"{given!r} has characters outside ASCII{_ascii_form(given)}")
    if folded.startswith("*."):
        raise ValueError(f"{given!r}: declare {folded[2:]} with `wildcard: true` instead")
    if len(folded) > NAME_LENGTH:
        raise ValueError(f"{given[:40]!r}… has {len(folded)} characters; a full name has at most {NAME_LENGTH}")
    for label in folded.split("."):
        if not label:
            raise ValueError(f"{given!r} has an empty label; remove the extra dot")
        if len(label) > LABEL_LENGTH:
            raise ValueError(f"label {label!r} has {len(label)} characters; a label has at most {LABEL_LENGTH}")
        if not _LABEL.fullmatch(label):
            wrong = "a label has letters, digits and hyphens, and begins and ends with a letter or a digit"
            raise ValueError(f"{given!r} is not a host name: {wrong}")


def _ascii_form(name: str) -> str:
    try:
        encoded = name.lower().encode("idna")
        same = encoded.decode("idna") == name.lower()
    except UnicodeError:
        same = False
    # the codec implements IDNA 2003, which replaces some letters
    return f"; write {encoded.decode('ascii')}" if same else "; write its ASCII form, with labels that begin with xn--"


def ipv4(value: Any) -> str:
    """Canonical text of an IPv4 address. An IPv4-mapped IPv6 address counts as one."""
    address = _address(value, 4)
    if isinstance(address, IPv6Address):
        raise ValueError(f"{address} is an IPv6 address; it belongs under `ipv6`")
    return str(address)


def ipv6(value: Any) -> str:
    """Canonical text of an IPv6 address."""
    address = _address(value, 6)
    if isinstance(address, IPv4Address):
        raise ValueError(f"{address} is an IPv4 address; it belongs under `ipv4`")
    return str(address)


def ipv4s(value: Any) -> str | list[str]:
    """One IPv4 address, or a sorted list of several."""
    return _several(value, ipv4)


def ipv6s(value: Any) -> str | list[str]:
    """One IPv6 address, or a sorted list of several."""
    return _several(value, ipv6)


def _several(value: Any, parse: Callable[[Any], str]) -> str | list[str]:
    if not isinstance(value, (list, tuple)):
        return parse(value)
    if not 0 < len(value) <= ADDRESSES_MAX:
        raise ValueError(f"has {len(value)} addresses; a list has 1 to {ADDRESSES_MAX}, and null means none")
    found = sorted({parse(one) for one in value}, key=lambda text: int(ip_address(text)))
    return found if len(found) > 1 else found[0]


def alias(value: Any) -> str:
    """The full name, with a dot at its end, that a host is an alias of."""
    given = text(value).strip()
    folded = given.lower() if given.isascii() else given
    if not folded.endswith(".") and _TARGET.fullmatch(f"{folded}."):
        raise ValueError(f"{given!r} has no dot at its end, so it is not a full name; write {folded}.")
    if len(folded) > NAME_LENGTH + 1 or not _TARGET.fullmatch(folded):
        raise ValueError(f"{given!r} is not a full name such as front.example.net.")
    return folded


def related(value: Any) -> dict[str, str | None]:
    """Interface ids by label; None for a label that the host does not have."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping of labels to interface ids, not {kind(value)}")
    if len(value) > RELATED_MAX:
        raise ValueError(f"has {len(value)} names; a host has at most {RELATED_MAX}")
    found: dict[str, str | None] = {}
    for key, item in value.items():
        label = key.lower() if isinstance(key, str) else ""
        if len(label) > LABEL_LENGTH or not _LABEL.fullmatch(label):
            raise ValueError(f"{key!r} is not a label; a related name is one label below the host")
        if label in found:
            raise ValueError(f"{label} is named twice")
        found[label] = None if item is None else _interface_id(label, item)
    return found


def _interface_id(label: str, value: Any) -> str:
    try:
        low_bits = IPv6Address(value.strip() if isinstance(value, str) else "")
    except ValueError:
        low_bits = IPv6Address(0)
    if int(low_bits) == 0 or "%" in str(low_bits):
        raise ValueError(f"{label}: {value!r} is not an interface id such as '::7'")
    return str(low_bits)


def _address(value: Any, version: int) -> IPv4Address | IPv6Address:
    given = text(value).strip()
    bare, slash, length = given.partition("/")
    if "%" in bare:
        raise ValueError(f"{given!r} has a zone id, which only this machine knows; remove `%{bare.partition('%')[2]}`")
    address: IPv4Address | IPv6Address
    try:
        address = IPv6Address(bare) if ":" in bare else IPv4Address(bare)
    except ValueError:
        raise ValueError(f"{given!r} is not an IPv{version} address") from None
    if slash:
        _check_length(given, address, length)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if not _is_ordinary(address):
        _check_use(given, address)
    return address


def _check_length(given: str, address: IPv4Address | IPv6Address, length: str) -> None:
    bits = address.max_prefixlen
    if not (length.isascii() and length.isdigit() and int(length) <= bits):
        raise ValueError(f"{given!r} has a prefix length that is not a number from 0 to {bits}; remove it")
    host_bits = (1 << (bits - int(length))) - 1
    if host_bits and not int(address) & host_bits:
        raise ValueError(f"{given!r} is a network; write the host's own address, without a prefix length")


def _is_ordinary(address: IPv4Address | IPv6Address) -> bool:
    """Whether the first bits already show that the address is usable. This is true for nearly all addresses."""
    if isinstance(address, IPv6Address):
        return int(address) >> 125 == 1  # 2000::/3
    first = int(address) >> 24
    return 0 < first < 224 and first not in (127, 169)


def _check_use(given: str, address: IPv4Address | IPv6Address) -> None:
    reason = _unusable(address)
    if reason:
        raise ValueError(f"{given!r} is {reason}; write the address at which others reach the host")


def _unusable(address: IPv4Address | IPv6Address) -> str:
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if str(address) == "255.255.255.255":
        return "the broadcast address"
    reserved = address.is_reserved and not (isinstance(address, IPv6Address) and address in _TRANSLATION)
    this_network = isinstance(address, IPv4Address) and int(address) >> 24 == 0
    return "a reserved address" if reserved or this_network else ""


def stack(value: Any) -> str:
    """The name of a stack."""
    given = text(value)
    if not _STACK.fullmatch(given):
        rule = "1 to 63 letters, digits, dots, hyphens and underscores, the first a letter or a digit"
        raise ValueError(f"{given!r} is not a stack name: it has {rule}")
    return given


def credential(value: Any) -> str:
    """The name of a key: as that of a stack, because files may have it. Raises ValueError."""
    given = text(value)
    if not _STACK.fullmatch(given):
        raise ValueError(f"{given!r} is not a name of a key; use letters, digits, dots, hyphens and underscores")
    return given


def ttl(value: Any) -> int:
    """Seconds, as a number or as digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= TTL_MAX:
        raise ValueError(f"must be a whole number of seconds from 1 to {TTL_MAX}, not {value!r}")
    return int(value)


def comment(value: Any) -> str | None:
    """One line of text, with its spaces; None if it is empty."""
    given = _any_text(value)
    if len(given) > COMMENT_LENGTH:
        raise ValueError(f"has {len(given)} characters; at most {COMMENT_LENGTH} are allowed")
    if _CONTROL.search(given):
        raise ValueError("has a line break or another control character; write one line")
    return given or None


def labels(value: Any) -> dict[str, str]:
    """A mapping of names to text. Whole numbers and booleans become text."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping of names to text, not {value!r}")
    if len(value) > LABELS_MAX:
        raise ValueError(f"has {len(value)} entries; at most {LABELS_MAX} are allowed")
    return {_label_key(key): _label_value(key, item) for key, item in value.items()}


def _label_key(key: Any) -> str:
    if not isinstance(key, str) or not 0 < len(key) <= LABEL_KEY_LENGTH or _CONTROL.search(key):
        raise ValueError(f"{key!r} is not the name of a label: it is text of 1 to {LABEL_KEY_LENGTH} characters")
    return str(key)


def _label_value(key: str, item: Any) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, float):
        raise ValueError(f"label {key!r} is the number {item}; quote it, because 1.10 would become 1.1")
    if not isinstance(item, (str, int)):
        raise ValueError(f"label {key!r} must be text, not {kind(item)}")
    if len(str(item)) > LABEL_VALUE_LENGTH or _CONTROL.search(str(item)):
        raise ValueError(f"label {key!r} must be one line of at most {LABEL_VALUE_LENGTH} characters")
    return str(item)


def flag(value: Any) -> bool:
    """A boolean, or its name as templates write it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "yes", "on", "false", "no", "off"):
        return value.lower() in ("true", "yes", "on")
    raise ValueError(f"must be true or false, not {value!r}")


def group(value: Any) -> str | None:
    """The name of a group; None if it is empty."""
    return comment(value)


def user(value: Any) -> str:
    """The name of a user."""
    given = text(value).strip()
    if len(given) > USER_LENGTH or not given.isprintable():
        raise ValueError(f"must be the name of a user, at most {USER_LENGTH} printable characters")
    return given


def endpoint(value: Any) -> str:
    """`ADDRESS:PORT` of a name server; the default port is 53. Raises ValueError."""
    given = text(value).strip()
    host, colon, port = given.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = given, "53"
    with suppress(ValueError):
        inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        host = f"[{IPv6Address(inside)}]" if ":" in host else host
        if _SERVER.fullmatch(host) and 0 < int(port) < 65536:
            return f"{host}:{int(port)}"
    raise ValueError(f"{given!r} is not the address of a name server, such as 192.0.2.53 or [2001:db8::53]:5353")


def dnssec_policy(value: Any) -> str | None:
    """The name of a policy; None for `none`. Raises ValueError."""
    given = text(value).strip()
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", given):
        raise ValueError(f"{given!r} is not a name of a policy; use letters, digits, -, _ and .")
    return None if given.lower() == "none" else given


def gss_realm(value: Any) -> str | None:
    """The name of a Kerberos realm; None for `none`. Raises ValueError."""
    given = text(value).strip()
    if given == "none":
        return None
    if len(given) > 255 or not re.fullmatch(r"[A-Z0-9]([A-Z0-9-]*[A-Z0-9])?(\.[A-Z0-9]([A-Z0-9-]*[A-Z0-9])?)*", given):
        raise ValueError(f"{given!r} is not a Kerberos realm; use capital letters, digits, - and .")
    return given


def network(value: Any) -> str:
    """The network of a reverse zone. Raises ValueError."""
    given = text(value).strip()
    try:
        return str(ip_network(given))
    except ValueError:
        raise ValueError(f"{given!r} is not a network such as 192.0.2.0/26") from None


def reverse(value: Any) -> str:
    """Which hosts have names in a reverse zone. Raises ValueError."""
    if value is False:  # YAML reads `off` as false
        return "off"
    given = text(value).strip()
    if given not in ("off", "verified", "all"):
        raise ValueError(f"{given!r} is not off, verified or all")
    return given


def server_url(value: Any) -> str:
    """The base URL of a server, without a trailing slash."""
    given = text(value).strip()
    if "@" in given:
        raise ValueError("contains credentials; remove them, and set the token in DDNS_TOKEN")
    try:
        parts = urlsplit(given)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or set("?#") & set(given):
        raise ValueError(f"{given!r} is not a URL such as https://ddns.example.org")
    return given.rstrip("/")


def same_server(one: str, other: str) -> bool:
    """Whether two URLs name the same server. Case, a default port, and dots and slashes at the end do not matter.

    Raises ValueError.
    """
    return _compared(one) == _compared(other)


def _compared(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(server_url(url))
    host = (parts.hostname or "").rstrip(".")
    with suppress(ValueError):
        host = str(ip_address(host))
    path = "/".join(part for part in parts.path.split("/") if part)
    return parts.scheme, host, parts.port or {"http": 80, "https": 443}[parts.scheme], path
