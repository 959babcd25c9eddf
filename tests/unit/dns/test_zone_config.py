# SPDX-License-Identifier: GPL-3.0-or-later
"""`zone` statements: what we write, and what BIND makes of it when it shows it."""

from pathlib import Path

import pytest

from ddnsd.dns.bind.zone_config import Features, grants, parts, serves_file, zone_block
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

KEY = TsigKey("ddnsd.a.example", secret="aGVsbG8=")
FILE = Path("/var/lib/bind/a folder/a.example.zone")
SHOWN = (
    'zone "a.example" { type primary; file "/var/lib/bind/a folder/a.example.zone"; inline-signing no; '
    'update-policy { grant "ddnsd.a.example" zonesub "ANY"; }; allow-transfer  { key "ddnsd.a.example"; key "t"; }; '
    'dnssec-policy "default"; key-directory "/keys"; };\n'
)


def test_what_bind_shows_equals_what_it_was_given() -> None:
    given = zone_block(FILE, KEY, ["t"], features=Features("default"), key_directory=Path("/keys"))
    assert parts(given) == parts(SHOWN)
    assert len(parts(given)) == 7


@pytest.mark.parametrize(
    "other",
    [
        zone_block(FILE, KEY, ["t"]),
        zone_block(FILE, KEY, ["t"], features=Features("insecure"), key_directory=Path("/keys")),
        zone_block(FILE, KEY, [], features=Features("default"), key_directory=Path("/keys")),
        zone_block(FILE, KEY, ["t"], features=Features("default"), key_directory=Path("/keys"), hidden=True),
        zone_block(
            FILE, TsigKey("x", secret="aGVsbG8="), ["t"], features=Features("default"), key_directory=Path("/keys")
        ),
    ],
)
def test_what_differs_differs(other: str) -> None:
    assert parts(other) != parts(SHOWN)


def test_no_secret_is_in_it() -> None:
    assert KEY.secret not in zone_block(FILE, KEY, ["t"], hidden=True)


def test_whose_zone_it_is() -> None:
    assert serves_file(SHOWN, FILE)
    assert not serves_file(SHOWN, FILE.with_name("b.zone"))
    assert grants(SHOWN, KEY)
    assert not grants(SHOWN, TsigKey("ddnsd.a", secret="aGVsbG8="))


@pytest.mark.parametrize("name", ["", "a b", 'a"; }', "a;b", "x" * 64])
def test_a_policy_has_a_simple_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid name for a dnssec-policy"):
        zone_block(FILE, KEY, features=Features(name), key_directory=Path("/keys"))


def test_members_of_a_realm_write_their_own_addresses() -> None:
    given = zone_block(FILE, KEY, zone="a.example", features=Features(None, "A.EXAMPLE"), name_servers=["ns.a.example"])
    assert (
        'deny "A.EXAMPLE" ms-subdomain _msdcs.a.example. ANY; deny "A.EXAMPLE" krb5-subdomain _msdcs.a.example. ANY; '
        'deny "A.EXAMPLE" ms-subdomain ns.a.example. ANY; deny "A.EXAMPLE" krb5-subdomain ns.a.example. ANY; '
        'grant "A.EXAMPLE" ms-self . A AAAA; grant "A.EXAMPLE" krb5-self . A AAAA; };'
    ) in given
    assert 'grant "CORP.EXAMPLE" ms-subdomain a.example. A AAAA;' in zone_block(
        FILE, KEY, zone="a.example", features=Features(None, "CORP.EXAMPLE")
    )


@pytest.mark.parametrize("realm", ["", "a.example", "A EXAMPLE", 'A"; }', "A..B", ".A", "-A", "A" * 256])
def test_a_realm_is_in_capitals(realm: str) -> None:
    with pytest.raises(ValueError, match="is not a valid Kerberos realm"):
        zone_block(FILE, KEY, zone="a.example", features=Features(None, realm))


def test_parental_agents_are_those_of_signed_zones() -> None:
    agents = [Endpoint("192.0.2.53", 53), Endpoint("2001:db8::53", 5353)]
    signed = zone_block(FILE, KEY, features=Features("default"), key_directory=Path("/keys"), parental_agents=agents)
    assert "parental-agents { 192.0.2.53 port 53; 2001:db8::53 port 5353; };" in signed
    assert "parental-agents" not in zone_block(FILE, KEY, parental_agents=agents)
