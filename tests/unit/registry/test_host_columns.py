# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields as columns: what changes, and that nothing changes twice."""

import json
from typing import Any

import pytest

from ddnsd.db.rows import Host
from ddnsd.registry import host_columns
from ddnsd.registry.errors import Invalid

BLANK: dict[str, Any] = dict.fromkeys(Host._fields) | {
    "wildcard": 0,
    "available": 1,
    "abuse": 0,
    "abuse_blocked": 0,
    "blocked_by_domain": 0,
    "client_faults": 3,
    "server_faults": 0,
    "labels": "{}",
    "tls_ipv4": 0,
    "tls_ipv6": 0,
    "owner_id": 7,
}


def host(**values: Any) -> Host:
    return Host(**{**BLANK, **values})


V6 = {"ipv6": "2001:db8::1", "prefix": "2001:db8::/64", "interface_id": "2001:db8::1"}

# (host, values, columns that change beside the stamps of the families)
CASES: list[tuple[Host, dict[str, Any], dict[str, Any]]] = [
    (host(), {}, {}),
    (host(), {"ipv4": "192.0.2.1"}, {"ipv4": "192.0.2.1"}),
    (host(), {"ipv6": "2001:db8::1"}, V6),
    (host(**V6), {"ipv6": None}, {"ipv6": None, "prefix": None}),
    (host(prefix="2001:db8::/64"), {"ipv6": None}, {"prefix": None}),
    (host(**V6 | {"interface_id": "2001:db8:7::1"}), {"ipv6": "2001:db8::1"}, {}),
    (host(ipv4="192.0.2.1", inferred="ipv4"), {"ipv4": "192.0.2.2"}, {"ipv4": "192.0.2.2", "inferred": None}),
    (host(ipv4="192.0.2.1", inferred="ipv4"), {"ipv6": "2001:db8::1"}, V6),
    (host(), {"wildcard": False, "available": True, "comment": None, "labels": {}}, {}),
    (host(), {"labels": {"b": "ü", "a": ""}}, {"labels": '{"a":"","b":"\\u00fc"}'}),
    (host(), {"abuse_blocked": True}, {"abuse_blocked": True}),
    (host(), {"abuse_blocked": False}, {}),
    (host(abuse=1), {"abuse_blocked": False}, {"abuse": False, "client_faults": 0}),
    (host(abuse_blocked=1), {"abuse_blocked": False}, {"abuse_blocked": False, "client_faults": 0}),
    (host(), {"owner_id": 8}, {"owner_id": 8}),
]


@pytest.mark.parametrize(("before", "values", "expected"), CASES)
def test_cases(before: Host, values: dict[str, Any], expected: dict[str, Any]) -> None:
    changed = host_columns.columns(before, values, tls=True)
    stamps = {name for name in changed if name.startswith(("updated_", "tls_"))}
    assert {name: value for name, value in changed.items() if name not in stamps} == expected
    families = [family for family in ("ipv4", "ipv6") if family in expected]
    assert stamps == {f"{prefix}_{family}" for prefix in ("updated", "tls") for family in families}
    assert host_columns.columns(before._replace(**changed), values, tls=True) == {}


def test_labels_are_stored_as_ascii_json_in_order() -> None:
    text = host_columns.labels_text({"z": "☃", "a": '"'})
    assert text.isascii()
    assert list(json.loads(text).items()) == [("a", '"'), ("z", "☃")]


@pytest.mark.parametrize(
    ("field", "text", "canonical"),
    [
        ("ipv4", "192.0.2.1", "192.0.2.1"),
        ("ipv6", "2001:DB8::0:1", "2001:db8::1"),
        ("ipv4", "192.0.2.1/32", None),
        ("ipv4", "::ffff:192.0.2.1", "192.0.2.1"),
        ("ipv6", "::ffff:192.0.2.1", None),
        ("ipv4", "0.0.0.0", None),
        ("ipv6", "::1", None),
        ("ipv4", "", None),
        ("ipv4", "192.0.2.1,192.0.2.2", None),
        ("ipv6", "fe80::1%1", None),
    ],
)
def test_addresses(field: str, text: str, canonical: str | None) -> None:
    if canonical is None:
        with pytest.raises(Invalid) as refused:
            host_columns.addresses(field, [text])
        assert set(refused.value.fields) == {field}
    else:
        assert host_columns.addresses(field, [text]) == canonical
