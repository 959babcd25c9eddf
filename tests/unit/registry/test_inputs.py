# SPDX-License-Identifier: GPL-3.0-or-later
"""One model validates what comes as JSON and what comes as the texts of a form."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from ddnsd.registry import inputs
from ddnsd.registry.errors import Code, Invalid
from ddnsd.registry.inputs import Comment, Expiry, FullName, Ipv4, Ipv6, KeyHosts, Networks, RowId, Ttl, from_form

YEAR_2100 = 4_102_444_800_000_000


class Host(BaseModel):
    fqdn: FullName
    ipv4: Ipv4 | None = None
    ipv6: Ipv6 | None = None
    ttl: Ttl | None = None
    comment: Comment | None = None


class StrictHost(Host):
    model_config = ConfigDict(strict=True)


class Token(BaseModel):
    networks: Networks = []
    expires: Expiry | None = None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"fqdn": " WWW.Example.org. "}, {"fqdn": "www.example.org"}),
        ({"ipv4": "192.0.2.1"}, {"ipv4": "192.0.2.1"}),
        ({"ipv6": "2001:DB8:0::1"}, {"ipv6": "2001:db8::1"}),
        ({"ttl": "60"}, {"ttl": 60}),
        ({"ttl": "", "comment": " "}, {}),
    ],
)
def test_texts_of_a_form_become_values_of_the_registry(texts: dict[str, str], expected: dict[str, Any]) -> None:
    found = from_form(Host, {"fqdn": "www.example.org", **texts})
    assert found.model_dump(exclude_defaults=True) == {"fqdn": "www.example.org", **expected}


def errors_of(model: type[BaseModel], texts: dict[str, Any]) -> dict[str, Code]:
    with pytest.raises(Invalid) as raised:
        from_form(model, texts)
    return {name: reason.code for name, reason in raised.value.fields.items()}


def test_all_errors_of_a_form_are_found_at_once() -> None:
    texts = {"ipv4": "127.0.0.1", "ipv6": "192.0.2.1", "ttl": "86401", "comment": "x" * 256}
    assert errors_of(Host, texts) == {
        "fqdn": Code.NAME_MISSING,
        "ipv4": Code.ADDRESS_UNUSABLE,
        "ipv6": Code.ADDRESS_OF_OTHER_FAMILY,
        "ttl": Code.TTL_OUT_OF_RANGE,
        "comment": Code.TEXT_TOO_LONG,
    }


def test_a_text_of_a_form_is_printable() -> None:
    assert errors_of(Host, {"fqdn": "www.example.org", "comment": "a\x07b"}) == {"comment": Code.NOT_PRINTABLE}


@pytest.mark.parametrize("text", ["0", "86401", "-1", "+60", "6_0", "1.5", "٦٠", "sixty"])
def test_a_ttl_is_1_to_86400_in_digits(text: str) -> None:
    assert errors_of(Host, {"fqdn": "www.example.org", "ttl": text}) == {"ttl": Code.TTL_OUT_OF_RANGE}


def test_json_has_one_kind_of_numbers_and_no_numbers_in_texts() -> None:
    assert StrictHost.model_validate({"fqdn": "www.example.org", "ttl": 60.0}).ttl == 60
    for value in (60.5, "60", True):
        with pytest.raises(ValidationError):
            StrictHost.model_validate({"fqdn": "www.example.org", "ttl": value})


def test_a_field_that_comes_several_times_is_a_list() -> None:
    class Key(BaseModel):
        hosts: KeyHosts

    found = from_form(Key, {"hosts": ["A.example.org", "b.example.org"]})
    assert found.hosts == ["a.example.org", "b.example.org"]
    assert errors_of(Key, {"hosts": ["a.example.org"] * 1001}) == {"hosts": Code.SCHEMA}


def test_networks_are_canonical_and_an_expiry_is_a_moment_in_the_future() -> None:
    token = Token.model_validate({"networks": ["192.0.2.7/24"], "expires": "2100-01-01T01:00:00+01:00"})
    assert (token.networks, token.expires) == (["192.0.2.0/24"], YEAR_2100)
    for values in (
        {"networks": ["192.0.2.0/33"]},
        {"expires": "2100-01-01T00:00:00"},
        {"expires": "2020-01-01T00:00Z"},
    ):
        with pytest.raises(ValidationError) as raised:
            Token.model_validate(values)
        assert [error["type"] for error in raised.value.errors()] == [inputs.RULE]


@pytest.mark.parametrize(("text", "number"), [("17", 17), ("", 0), ("-1", 0), ("1e3", 0), ("١", 0), ("9" * 19, 0)])
def test_an_id_is_digits_and_any_other_text_is_no_row(text: str, number: int) -> None:
    class Path(BaseModel):
        id: RowId

    assert inputs.row_id(text) == number
    assert Path.model_validate({"id": text}).id == number
