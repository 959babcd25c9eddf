# SPDX-License-Identifier: GPL-3.0-or-later
"""Related names of a host as callers give them: labels below the host, each with an interface id."""

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple

from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, Reason

MOST = 32
"""Maximum number of related names of a host."""


class NewRelated(NamedTuple):
    """A well-formed related name: label, full name, and the interface id as canonical text."""

    label: str
    fqdn: str
    interface_id: str


def parse(fqdn: str, label: str, interface_id: str) -> NewRelated:
    """Check and parse a related name of the host `fqdn`. Raises Invalid for all fields that are wrong."""
    folded = names.fold(label)
    name = f"{folded}.{fqdn}"
    wrong: dict[str, Reason] = {}
    if "." in folded:
        wrong["label"] = Reason(Code.RELATED_NOT_A_LABEL, label=label)
    elif problem := names.problem(folded) or names.owned_problem(fqdn, [name]):
        wrong["label"] = problem
    try:
        low_bits = ipaddress.IPv6Address(interface_id.strip())
    except ValueError:
        low_bits = ipaddress.IPv6Address(0)
    if low_bits.scope_id is not None or int(low_bits) == 0:
        wrong["interface_id"] = Reason(Code.INTERFACE_ID_INVALID, interface_id=interface_id)
    if wrong:
        raise Invalid(**wrong)
    return NewRelated(folded, name, str(low_bits))


def parse_all(fqdn: str, related: Mapping[str, str | None]) -> dict[str, NewRelated | None]:
    """Check and parse `related` of the host `fqdn`, by label; None: no such name. Raises Invalid for each wrong one."""
    found: dict[str, NewRelated | None] = {}
    wrong: dict[str, Reason] = {}
    for label, interface_id in related.items():
        try:
            found[names.fold(label)] = None if interface_id is None else parse(fqdn, label, interface_id)
        except Invalid as error:
            wrong[f"related.{label}"] = next(iter(error.fields.values()))
    if wrong:
        raise Invalid(**wrong)
    return found


def label_of(fqdn: str, host: str) -> str:
    """The label of a related name of the host."""
    return fqdn.removesuffix(f".{host}")
