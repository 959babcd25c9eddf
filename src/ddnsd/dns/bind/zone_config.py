# SPDX-License-Identifier: GPL-3.0-or-later
"""`zone` statements for `rndc addzone` and `rndc modzone`, and from `rndc showzone`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ddnsd.db.rows import Domain
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey


class Features(NamedTuple):
    """What a domain wants of its zone: signatures by this `dnssec-policy`, and updates by members of this realm."""

    dnssec_policy: str | None = None
    gss_realm: str | None = None

    @classmethod
    def of(cls, domain: Domain) -> "Features":
        """Those of a domain."""
        return cls(domain.dnssec_policy, domain.gss_realm)


PLAIN = Features()


def zone_block(
    file: Path,
    key: TsigKey,
    transfer_keys: Sequence[str] = (),
    *,
    zone: str = "",
    features: Features = PLAIN,
    name_servers: Sequence[str] = (),
    key_directory: Path | None = None,
    parental_agents: Sequence[Endpoint] = (),
    hidden: bool = False,
) -> str:
    """The body, in braces, of a primary zone that `key` updates and transfers.

    `transfer_keys` are names of more TSIG keys that may transfer it. BIND signs it with keys in `key_directory`,
    and asks the `parental_agents` for its DS records.
    Members of a realm cannot write the addresses of `name_servers` in the zone. A `hidden` zone answers only its keys.
    Raises ValueError as `check_policy` and `check_realm` do.
    """
    dnssec_policy, realm = features
    readers = " ".join(f'key "{name}";' for name in (key.name, *transfer_keys))
    parts = [
        "type primary",
        f'file "{file}"',
        f'update-policy {{ grant "{key.name}" zonesub ANY; {_realm_rules(zone, realm, name_servers)}}}',
        f"allow-transfer {{ {readers} }}",
    ]
    if hidden:
        parts.append(f"allow-query {{ {readers} }}")
    if dnssec_policy is not None:
        check_policy(dnssec_policy)
        # inline-signing, the default from BIND 9.20 on, would keep a second copy of the zone
        agents = " ".join(f"{agent.host} port {agent.port};" for agent in parental_agents)
        parts += [f"parental-agents {{ {agents} }}"] if agents else []
        parts += [f'dnssec-policy "{dnssec_policy}"', "inline-signing no", f'key-directory "{key_directory}"']
    return "{ " + " ".join(f"{part};" for part in parts) + " };"


def _realm_rules(zone: str, realm: str | None, name_servers: Sequence[str]) -> str:
    """The rules of `update-policy` for members of the realm, who write their own addresses (BIND's manual, 6.2.4).

    `ms-self` finds the name of a machine in its realm. In a zone of another name, members of Active Directory can be
    told from others only by their realm: each may write every name. `host/` principals have the whole name.
    """
    if realm is None:
        return ""
    check_realm(realm)

    def rules() -> Iterator[str]:
        for name in (f"_msdcs.{zone}", *name_servers):
            for kind in ("ms-subdomain", "krb5-subdomain"):
                yield f'deny "{realm}" {kind} {name}. ANY'
        yield f'grant "{realm}" ' + ("ms-self ." if realm.lower() == zone else f"ms-subdomain {zone}.") + " A AAAA"
        yield f'grant "{realm}" krb5-self . A AAAA'

    return " ".join(f"{rule};" for rule in rules()) + " "


def check_realm(name: str) -> None:
    """Check that a Kerberos realm can have this name, in capitals as realms of Active Directory. Raises ValueError."""
    if len(name) > 255 or not re.fullmatch(r"[A-Z0-9]([A-Z0-9-]*[A-Z0-9])?(\.[A-Z0-9]([A-Z0-9-]*[A-Z0-9])?)*", name):
        raise ValueError(f"{name!r} is not a valid Kerberos realm: use capital letters, digits, - and .")


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
