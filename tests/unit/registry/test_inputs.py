# SPDX-License-Identifier: GPL-3.0-or-later
"""One model validates what comes as JSON and what comes as the texts of a form."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from ddnsd.registry import inputs
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.inputs import (
    Comment,
    Expiry,
    FullName,
    Ipv4s,
    Ipv6s,
    KeyInput,
    Networks,
    RowId,
    TokenInput,
    Ttl,
    from_form,
)
from ddnsd.registry.token_scope import TokenScope

YEAR_2100 = 4_102_444_800_000_000


class Host(BaseModel):
    fqdn: FullName
    ipv4: Ipv4s | None = None
    ipv6: Ipv6s | None = None
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
    found = from_form(KeyInput, {"name": "router", "hosts": [" A.example.org ", "", "b.example.org"]})
    assert found.hosts == ["a.example.org", "b.example.org"]
    assert errors_of(KeyInput, {"name": "router", "hosts": ["a.example.org"] * 1001}) == {"hosts": Code.LIST_TOO_LONG}


@pytest.mark.parametrize("hosts", [[], ["", " "]])
def test_a_key_has_a_name_and_a_host(hosts: list[str]) -> None:
    assert errors_of(KeyInput, {"name": " ", "hosts": hosts}) == {"name": Code.NAME_MISSING, "hosts": Code.LIST_EMPTY}


@pytest.mark.parametrize(
    ("name", "code"), [("a\nb", Code.NOT_PRINTABLE), ("a" * 101, Code.TEXT_TOO_LONG), ("", Code.NAME_MISSING)]
)
def test_the_name_of_a_token_or_a_key(name: str, code: Code) -> None:
    assert errors_of(KeyInput, {"name": name, "hosts": ["a.example.org"]}) == {"name": code}
    assert errors_of(TokenInput, {"name": name, "scopes": ["read"]}) == {"name": code}
    assert from_form(TokenInput, {"name": "a" * 100, "scopes": ["read"]}).name == "a" * 100


def reasons_of(model: type[BaseModel], texts: dict[str, Any]) -> dict[str, Reason]:
    with pytest.raises(Invalid) as raised:
        from_form(model, texts)
    return dict(raised.value.fields)


def test_all_errors_of_a_token_are_found_at_once_with_the_text_that_is_wrong() -> None:
    texts = {
        "scopes": ["read", "all"],
        "domains": ["example.org", "exa_mple.org"],
        "hosts": ["*.example.org"] * 101,
        "networks": ["192.0.2.0/24", "192.0.2.0/33"],
    }
    assert reasons_of(TokenInput, texts) == {
        "name": Reason(Code.NAME_MISSING),
        "scopes": Reason(Code.NOT_A_CHOICE, choices="'read', 'write' or 'admin'"),
        "domains": Reason(Code.NAME_PATTERN_INVALID, pattern="exa_mple.org"),
        "hosts": Reason(Code.LIST_TOO_LONG, limit=100),
        "networks": Reason(Code.NETWORK_INVALID, network="192.0.2.0/33"),
    }


def test_a_host_of_a_key_that_is_no_full_name_is_in_the_reason() -> None:
    texts = {"name": "router", "hosts": ["a.example.org", "nas"]}
    assert reasons_of(KeyInput, texts) == {"hosts": Reason(Code.NAME_INVALID, name="nas")}


def test_what_a_new_token_may_do() -> None:
    texts = {"name": "ci", "scopes": ["write", "read", "write"], "hosts": ["a.*"], "networks": ["192.0.2.7/24"]}
    texts |= {"stacks": ["Web-*"]}
    wanted = from_form(TokenInput, texts).scope(YEAR_2100)
    assert wanted == TokenScope(("write", "read"), (), ("a.*",), ("192.0.2.0/24",), YEAR_2100, ("Web-*",))


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
