# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as users write them; the service's rules, with words."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsctl.sync import names
from ddnsd.registry import addresses as service_addresses
from ddnsd.registry import names as service_names
from ddnsd.registry.errors import InvalidAddress


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("www", "www.dyn.example.org"),
        (" WWW ", "www.dyn.example.org"),
        ("www.Lab.Example.org.", "www.lab.example.org"),
        ("a.b", "a.b"),
        ("xn--bcher-kva.example.org", "xn--bcher-kva.example.org"),
    ],
)
def test_host_names(given_name: str, name: str) -> None:
    assert names.host_name(given_name, "dyn.example.org") == name
    assert names.host_name(name) == name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "must be text, not the number 7; put it in quotes"),
        (True, "must be text, not true"),
        (False, "must be text, not false"),
        (None, "must be text, not null"),
        ([], "must be text, not a list"),
        ({}, "must be text, not a mapping"),
        (" ", "is empty"),
        ("www", "not a full name; write www.DOMAIN"),
        ("org.", "a top-level name"),
        (".", "empty label"),
        ("a..b", "empty label"),
        ("a_b.example.org", "letters, digits and hyphens"),
        ("-a.example.org", "begins and ends"),
        ("*.a.example.org", "declare a.example.org with `wildcard: true`"),
        ("a" * 64 + ".example.org", "has 64 characters; a label has at most 63"),
        (".".join(["a" * 49] * 6), "has 299 characters; a full name has at most 253"),
        ("bücher.example.org", "outside ASCII; write xn--bcher-kva.example.org"),
        ("straße.example.org", "labels that begin with xn--"),
        ("a\u2024.example.org", "labels that begin with xn--"),
        ("ü" * 80 + ".example.org", "labels that begin with xn--"),
    ],
)
def test_ill_formed_host_names(value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        names.host_name(value)


def test_a_relative_name_is_judged_with_its_domain() -> None:
    with pytest.raises(ValueError, match="a full name has at most 253"):
        names.host_name("a" * 60, ".".join(["a" * 49] * 4))


def test_domain_names() -> None:
    assert names.domain_name("Dyn.Example.ORG.") == "dyn.example.org"
    with pytest.raises(ValueError, match="not a full domain name"):
        names.domain_name("org")
    with pytest.raises(ValueError, match="empty label"):
        names.domain_name("..")


@given(st.text(alphabet="aZ09-._ *é\n", max_size=12) | st.from_regex(r"[a-z-]{60,70}(\.[a-z]{1,63}){1,4}\Z"))
def test_names_are_those_of_the_service(text: str) -> None:
    folded = service_names.fold(text)
    try:
        assert names.host_name(text) == folded
        assert service_names.is_full(folded)
    except ValueError:
        assert not service_names.is_full(folded)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 10.0.0.1 ", "10.0.0.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/24", "192.0.2.1"),
        ("192.0.2.0/32", "192.0.2.0"),
        ("169.1.0.1", "169.1.0.1"),
    ],
)
def test_ipv4(value: str, address: str) -> None:
    assert names.ipv4(value) == address


@pytest.mark.parametrize(
    ("value", "address"),
    [("2001:DB8:0::1", "2001:db8::1"), ("fd00::1", "fd00::1"), ("64:ff9b::192.0.2.1", "64:ff9b::c000:201")],
)
def test_ipv6(value: str, address: str) -> None:
    assert names.ipv6(value) == address


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (192, "must be text"),
        ("", "is empty"),
        ("vm7", "'vm7' is not an IPv4 address"),
        ("192.0.2.256", "is not an IPv4 address"),
        ("192.0.2.0/24", "is a network"),
        ("192.0.2.1/33", "prefix length that is not a number from 0 to 32"),
        ("192.0.2.1/x", "prefix length"),
        ("192.0.2.1/", "prefix length"),
        ("127.0.0.1", "a loopback address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("0.0.0.0", "the unspecified address"),
        ("0.1.2.3", "a reserved address"),
        ("169.254.0.1", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("240.0.0.1", "a reserved address"),
        ("255.255.255.255", "the broadcast address"),
        ("2001:db8::1", "is an IPv6 address; it belongs under `ipv6`"),
    ],
)
def test_what_is_no_ipv4_address(value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        names.ipv4(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("fe80::1%eth0", "zone id, which only this machine knows; remove `%eth0`"),
        ("fe80::1", "a link-local address"),
        ("::1", "a loopback address"),
        ("::", "the unspecified address"),
        ("ff02::1", "a multicast address"),
        ("100::1", "a reserved address"),
        ("2001:db8::/64", "is a network"),
        ("2001:db8::g", "is not an IPv6 address"),
        ("::ffff:192.0.2.1", "is an IPv4 address; it belongs under `ipv4`"),
    ],
)
def test_what_is_no_ipv6_address(value: str, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        names.ipv6(value)


ADDRESSES = (
    st.ip_addresses().map(str)
    | st.tuples(st.sampled_from(["0.0.0.0/8", "127.0.0.0/8", "169.0.0.0/8", "224.0.0.0/3"]), st.just(4))
    .flatmap(lambda pair: st.ip_addresses(v=4, network=pair[0]))
    .map(str)
    | st.sampled_from(["fe80::/10", "::/8", "::ffff:0:0/96", "64:ff9b::/96", "ff00::/8"])
    .flatmap(lambda network: st.ip_addresses(v=6, network=network))
    .map(str)
)


@given(ADDRESSES, st.sampled_from(["", "/24", "/32", "/64", "/128", "/200", "%eth0"]))
def test_addresses_are_those_of_the_service(text: str, tail: str) -> None:
    try:
        kept: IPv4Address | IPv6Address | None = service_addresses.parse_address(text + tail)
    except InvalidAddress:
        kept = None
    found = []
    for parse in (names.ipv4, names.ipv6):
        try:
            found.append(parse(text + tail))
        except ValueError as error:
            network = "is a network" in str(error)
    assert found == ([str(kept)] if kept and not (not found and network) else [])


@pytest.mark.parametrize("name", ["a", "web-prod", "Web_1.2", "0", "a" * 63])
def test_stacks(name: str) -> None:
    assert names.stack(name) == name


@pytest.mark.parametrize("name", ["-a", "a b", "a" * 64, "é", "a\n", "[a]"])
def test_ill_formed_stacks(name: str) -> None:
    with pytest.raises(ValueError, match="is not a stack name"):
        names.stack(name)


def test_ttl() -> None:
    assert [names.ttl(value) for value in (1, 86400, "300")] == [1, 86400, 300]


@pytest.mark.parametrize("value", [0, 86401, -1, True, 1.5, "1.5", "", "9" * 30, "٣", None, []])
def test_ill_formed_ttl(value: Any) -> None:
    with pytest.raises(ValueError, match="whole number of seconds from 1 to 86400"):
        names.ttl(value)


def test_comments() -> None:
    assert names.comment(" Front end ") == " Front end "
    assert names.comment("") is None
    assert names.group("vo.example.org") == "vo.example.org"


@pytest.mark.parametrize(
    ("value", "text"),
    [("a" * 256, "has 256 characters"), ("a\nb", "line break"), ("a\x1b[m", "control character"), (5, "must be text")],
)
def test_ill_formed_comments(value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        names.comment(value)


def test_a_label_is_never_a_rounded_number() -> None:
    with pytest.raises(ValueError, match=r"label 'version' is the number 1\.1; quote it, because 1\.10 "):
        names.labels({"version": 1.10})


def test_labels() -> None:
    assert names.labels({"a": "b", "n": 1, "yes": True, "no": False}) == {
        "a": "b",
        "n": "1",
        "yes": "true",
        "no": "false",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "must be a mapping"),
        ({str(i): "" for i in range(17)}, "has 17 entries; at most 16"),
        ({"": "a"}, "not the name of a label"),
        ({1: "a"}, "not the name of a label"),
        ({"a" * 64: "a"}, "not the name of a label"),
        ({"a\n": "a"}, "not the name of a label"),
        ({"a": None}, "label 'a' must be text, not null"),
        ({"a": ["b"]}, "label 'a' must be text, not a list"),
        ({"a": "b" * 256}, "at most 255 characters"),
        ({"a": "b\n"}, "one line"),
    ],
)
def test_ill_formed_labels(value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        names.labels(value)


@pytest.mark.parametrize(("value", "flag"), [(True, True), (False, False), ("Yes", True), ("off", False)])
def test_flags(value: Any, flag: bool) -> None:
    assert names.flag(value) is flag


@pytest.mark.parametrize("value", [1, 0, "y", "", None])
def test_ill_formed_flags(value: Any) -> None:
    with pytest.raises(ValueError, match="must be true or false"):
        names.flag(value)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("192.0.2.53", "192.0.2.53:53"),
        ("192.0.2.53:5353", "192.0.2.53:5353"),
        ("2001:DB8::53", "[2001:db8::53]:53"),
        ("[2001:db8::53]", "[2001:db8::53]:53"),
        ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ("ns1.example.org:53", "ns1.example.org:53"),
    ],
)
def test_name_servers(given: str, canonical: str) -> None:
    assert names.endpoint(given) == canonical
    assert names.endpoint(canonical) == canonical


@pytest.mark.parametrize(
    "given", ["", "a b", "[x]", "192.0.2.53:0", "192.0.2.53:x", "192.0.2.53:65536", "[::1", "2001:db8::g"]
)
def test_what_is_no_name_server(given: str) -> None:
    with pytest.raises(ValueError, match=r"name server|empty"):
        names.endpoint(given)


def test_server_urls() -> None:
    assert names.server_url("https://ddns.example.org/") == "https://ddns.example.org"
    assert names.server_url("http://[::1]:8053") == "http://[::1]:8053"


@pytest.mark.parametrize(
    "value",
    [
        "ddns.example.org",
        "ftp://a.example.org",
        "https://",
        "http://[::1",
        "http://a:99999",
        "https://a/?b=c",
        "https://a#b",
        "https://a#",
        "https://a?",
    ],
)
def test_ill_formed_server_urls(value: str) -> None:
    with pytest.raises(ValueError, match="is not a URL such as"):
        names.server_url(value)


def test_credentials_of_a_url_are_not_repeated() -> None:
    with pytest.raises(ValueError, match="contains credentials") as raised:
        names.server_url("https://a:hidden@ddns.example.org")
    assert "hidden" not in str(raised.value)
