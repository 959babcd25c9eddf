# SPDX-License-Identifier: GPL-3.0-or-later
"""What Schemathesis is told of the service: names that lie in its domain, and what an answer to a good request is.

Loaded by `hooks` in its configuration. Whatever fits the schema is either done or refused by a rule that no schema can
state (a name that is taken, no such domain, an address that nobody can have); such a refusal has a type of its own.
"""

import contextlib
import hashlib
import ipaddress
import re
from collections.abc import Callable
from typing import Any

import schemathesis

DOMAIN = "dyn.example.org"
KNOWN = f"known.{DOMAIN}"
NAME = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{1,63}")
ADDRESSES: dict[str, Callable[[bytes], str]] = {
    "ipv4": lambda octets: f"192.0.2.{octets[-1]}",
    "ipv6": lambda octets: f"2001:db8::{octets[-1]:x}",
}
RULE = "urn:ddns:rule"


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Most names lie in the domain, most addresses are documentation's, and hosts of keys are one that exists."""
    if not isinstance(body, dict):
        return body
    changes = [item for item in body.get("changes") or () if isinstance(item, dict)]
    for item in [body, *changes, *(change.get("set") for change in changes)]:
        if isinstance(item, dict):
            _settle(item)
    return body


def _settle(item: dict[str, Any]) -> None:
    if _is_name(item.get("fqdn")):
        item["fqdn"] = f"h{hashlib.sha256(item['fqdn'].encode()).hexdigest()[:8]}.{DOMAIN}"
    for field, make in ADDRESSES.items():
        if isinstance(item.get(field), str):
            with contextlib.suppress(ValueError):
                item[field] = make(ipaddress.ip_address(item[field]).packed)
    if isinstance(item.get("hosts"), list):
        item["hosts"] = [KNOWN if _is_name(name) else name for name in item["hosts"]]


def _is_name(value: Any) -> bool:
    """Nine of ten well-formed names."""
    return isinstance(value, str) and NAME.fullmatch(value) is not None and not value.endswith("0")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """The token that is used is not deleted, and in a chain of calls a host keeps the name by which it is called."""
    if case.method == "DELETE" and case.path == "/api/tokens/{id}" and str(case.path_parameters["id"]) == "1":
        case.path_parameters["id"] = "0"
    in_chain = case.meta is not None and case.meta.phase.name.value == "stateful"
    if in_chain and case.method == "PATCH" and isinstance(case.body, dict):
        case.body.pop("fqdn", None)


@schemathesis.check
def what_fits_the_schema_is_understood(context: Any, response: Any, case: Any) -> None:
    """A request as described is never called malformed."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code in (400, 415) or (response.status_code == 422 and response.json()["type"] != RULE):
        raise AssertionError(f"refused although it fits the schema: {response.text}")
