# SPDX-License-Identifier: GPL-3.0-or-later
"""Mappings → declarations: every problem at once, each with its place."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from ddnsctl.sync.declare import as_data, declaration, host_spec, merge, rebased
from ddnsctl.sync.errors import DeclarationError, Location, Problem
from ddnsctl.sync.model import DYNAMIC, KEEP, CertificateSpec, Declaration, DomainSpec, HostSpec, SecretSpec

FILE = "hosts.yml"


def locate(path: tuple[Any, ...]) -> Location:
    """A place that shows the path: its length as the line, that of the last key as the column."""
    return Location(FILE, len(path) + 1, len(str(path[-1])) if path else 1)


def read(**top: Any) -> Declaration:
    return declaration({"version": 1, **top}, locate=locate)


def host(name: str = "www.dyn.example.org", /, **options: Any) -> HostSpec:
    return read(hosts={name: options}).hosts[name]


def problems(top: Any, **arguments: Any) -> list[str]:
    with pytest.raises(DeclarationError) as raised:
        declaration(top, **{"locate": locate, **arguments})
    return [str(problem) for problem in raised.value.problems]


def complaints(**top: Any) -> list[str]:
    return problems({"version": 1, **top})


def test_the_whole_form() -> None:
    read_in = declaration(
        {
            "version": 1,
            "server": "https://ddns.example.org/",
            "stack": "web-prod",
            "defaults": {"domain": "dyn.example.org", "ttl": 60, "labels": {"team": "web", "tier": "1"}},
            "domains": {"dyn.example.org": {"public": True, "comment": "Shared"}, "lab.example.org": None},
            "hosts": {
                "www": {"ipv4": "192.0.2.10", "ipv6": "2001:DB8::10", "wildcard": True, "labels": {"tier": 2}},
                "VM-7.dyn.example.org.": {"ipv4": "dynamic", "secret": {"file": "secrets/vm-7"}, "ttl": None},
                "api": {"ipv4": "192.0.2.11", "moved_from": "old-api", "adopt": True, "labels": None},
            },
        }
    )
    labels = {"team": "web", "tier": "1"}
    addressed = partial(HostSpec, alias=None)
    www = addressed("www.dyn.example.org", "192.0.2.10", "2001:db8::10", True, None, 60, {"team": "web", "tier": "2"})
    secret = SecretSpec("file", "secrets/vm-7")
    vm7 = addressed("vm-7.dyn.example.org", DYNAMIC, KEEP, False, None, None, labels, secret)
    api = addressed(
        "api.dyn.example.org", "192.0.2.11", None, False, None, 60, {}, None, "old-api.dyn.example.org", True
    )
    assert read_in == Declaration(
        "web-prod",
        "https://ddns.example.org",
        {spec.fqdn: spec for spec in (www, vm7, api)},
        {
            "dyn.example.org": DomainSpec("dyn.example.org", True, "Shared", None, None, KEEP),
            "lab.example.org": DomainSpec("lab.example.org", False, None, None, None, KEEP),
        },
    )


@pytest.mark.parametrize(
    ("options", "addresses"),
    [
        ({}, (KEEP, KEEP)),
        ({"ipv4": "192.0.2.1"}, ("192.0.2.1", None)),
        ({"ipv6": "2001:db8::1"}, (None, "2001:db8::1")),
        ({"ipv4": "Dynamic"}, (DYNAMIC, KEEP)),
        ({"ipv6": "dynamic"}, (KEEP, DYNAMIC)),
        ({"ipv4": None}, (None, KEEP)),
        ({"ipv4": "dynamic", "ipv6": "2001:db8::1"}, (DYNAMIC, "2001:db8::1")),
        ({"ipv4": None, "ipv6": None}, (None, None)),
    ],
)
def test_address_families(options: dict[str, Any], addresses: tuple[Any, Any]) -> None:
    spec = host(**options)
    assert (spec.ipv4, spec.ipv6) == addresses


def test_a_host_is_declared_in_full() -> None:
    assert host() == HostSpec("www.dyn.example.org", KEEP, KEEP, False, None, None, {})
    assert read(hosts={"a.example.org": None}).hosts["a.example.org"].wildcard is False


def test_defaults_and_what_overrides_them() -> None:
    defaults = {"wildcard": "yes", "comment": "All", "ttl": "120", "secret": {"file": "secrets/{name}"}, "labels": None}
    named = {"wildcard": None, "comment": None, "ttl": 30, "secret": None, "labels": {"a": "b"}}
    hosts = read(defaults=defaults, hosts={"a.example.org": None, "b.example.org": named}).hosts
    secret = SecretSpec("file", "secrets/a")
    assert hosts["a.example.org"] == HostSpec("a.example.org", KEEP, KEEP, True, "All", 120, {}, secret)
    assert hosts["b.example.org"] == HostSpec("b.example.org", KEEP, KEEP, False, None, 30, {"a": "b"})


def test_places_of_secrets() -> None:
    assert host(secret={"vault": "vault/{fqdn}.yml"}).secret == SecretSpec("vault", "vault/www.dyn.example.org.yml")
    assert host(secret={"file": "a", "vault": None}).secret == SecretSpec("file", "a")
    command = host(secret={"exec": ["vault", "kv", "put", "ddns/{name}", "{fqdn}=-"]}).secret
    assert command == SecretSpec("exec", command=("vault", "kv", "put", "ddns/www", "www.dyn.example.org=-"))
    for value in ("none", " None "):
        assert host(secret=value).secret == SecretSpec("none")


@pytest.mark.parametrize("kind", ["file", "vault"])
def test_two_secrets_never_share_a_file(kind: str) -> None:
    shared = {kind: "secrets.yml"}
    hosts = {"a.example.org": {"secret": shared}, "b.example.org": {"secret": shared}}
    (text,) = problems({"version": 1, "hosts": hosts})
    assert "the secrets of a.example.org and b.example.org would go to the same file secrets.yml" in text
    keys = {"router": {"hosts": ["a.example.org"], "secret": {"file": "./secrets.yml"}}}
    (text,) = problems({"version": 1, "stack": "s", "hosts": {"a.example.org": {"secret": shared}}, "keys": keys})
    assert "the secrets of a.example.org and the key router would go to the same file ./secrets.yml" in text
    (text,) = problems({"version": 1, "defaults": {"secret": shared}})
    assert f"defaults.secret.{kind}: is the same file for all hosts (add {{name}} or {{fqdn}} to it)" in text
    both = {"defaults": {"secret": "none"}, "hosts": {"a.example.org": None, "b.example.org": None}}
    assert len(read(**both).hosts) == 2


def test_files_of_certificates() -> None:
    given = {"key": "tls/{name}.key", "file": "tls/{fqdn}.pem"}
    defaults = {"certificate": given, "domain": "example.org"}
    hosts: dict[str, Any] = {"a": None, "b": {"certificate": None}, "c": {"alias": "x.example.net."}}
    declared = rebased(read(defaults=defaults, hosts=hosts), "/base")
    found = {name: spec.certificate for name, spec in declared.hosts.items()}
    files = CertificateSpec("/base/tls/a.key", "/base/tls/a.example.org.pem")
    assert found == {"a.example.org": files, "b.example.org": None, "c.example.org": None}
    assert declaration(as_data(declared)).hosts == declared.hosts
    shared = {"key": "a.key", "file": "./s"}
    for other in ({"certificate": {"key": "b.key", "file": "s"}}, {"secret": {"file": "s"}}):
        hosts = {"a.example.org": {"certificate": shared}, "b.example.org": other}
        (text,) = problems({"version": 1, "hosts": hosts})
        assert "cannot have the file" in text
        assert "(name one file for each)" in text


def test_inventory_names() -> None:
    spec = read(defaults={"domain": "dyn.example.org"}, hosts={"vm_7": {"fqdn": "vm-7", "ipv4": "192.0.2.7"}})
    assert list(spec.hosts) == ["vm-7.dyn.example.org"]
    assert spec.hosts["vm-7.dyn.example.org"].where == Location(FILE, 3, 4)
    assert declaration({"version": "1", "hosts": {"a": {"fqdn": None}}}, default_domain="example.org").hosts


def test_the_default_domain_of_an_option() -> None:
    assert list(declaration({"version": 1, "hosts": {"a": None}}, default_domain="Lab.example.org.").hosts) == [
        "a.lab.example.org"
    ]
    text = "hosts.yml:2:6: domain: 'lab' is not a full domain name, such as dyn.example.org"
    assert problems({"version": 1, "hosts": {"a": None}}, default_domain="lab") == [text]
    with pytest.raises(DeclarationError, match=r"^domain: 'lab' is not a full domain name"):
        host_spec("a", {"moved_from": "b"}, default_domain="lab")


def test_places_are_kept() -> None:
    read_in = read(hosts={"www.dyn.example.org": None}, domains={"dyn.example.org": None})
    assert read_in.where == Location(FILE, 1, 1)
    assert read_in.hosts["www.dyn.example.org"].where == Location(FILE, 3, 19)
    assert read_in.domains["dyn.example.org"].where == Location(FILE, 3, 15)


@pytest.mark.parametrize(
    ("top", "text"),
    [
        (None, "hosts.yml:2:7: version: is missing (write `version: 1`)"),
        ([], "hosts.yml:1:1: must be a mapping, not a list"),
        ("a", "hosts.yml:1:1: must be a mapping, not text"),
        ({"version": 2}, "hosts.yml:2:7: version: must be 1, not 2"),
        ({"version": True}, "version: must be 1, not True"),
    ],
)
def test_documents_that_are_none(top: Any, text: str) -> None:
    (problem,) = problems(top)
    assert text in problem


@pytest.mark.parametrize(
    ("top", "text"),
    [
        ({"host": {}}, "hosts.yml:2:4: host: unknown key (did you mean `hosts`?)"),
        ({"zzz": {}}, "zzz: unknown key (known: version, server, stack, defaults, domains, hosts, keys)"),
        ({"stack": "a b"}, "hosts.yml:2:5: stack: 'a b' is not a stack name"),
        ({"server": "a"}, "hosts.yml:2:6: server: 'a' is not a URL"),
        ({"hosts": []}, "hosts.yml:2:5: hosts: must be a mapping, not a list"),
        ({"defaults": {"domian": "a.b"}}, "defaults.domian: unknown key (did you mean `domain`?)"),
        ({"defaults": {"ttl": 0}}, "hosts.yml:3:3: defaults.ttl: must be a whole number"),
        ({"defaults": {"domain": "a_b.c"}, "hosts": {"www": None}}, "defaults.domain: 'a_b.c' is not a host name"),
        ({"defaults": {"secret": {"file": "a"}}}, "defaults.secret.file: is the same file for all hosts (add {name}"),
        ({"defaults": {"secret": {"file": "a/{host}"}}}, "unknown placeholder {host} (known: {name}, {fqdn})"),
        ({"defaults": {"secret": {}}}, "defaults.secret: needs either `file`, `vault` or `exec`"),
        (
            {"defaults": {"secret": {"exec": ["a"]}}},
            "defaults.secret.exec: is the same command for all hosts (add {name}",
        ),
        ({"defaults": {"secret": {"exec": ["a", "{x}"]}}}, "unknown placeholder {x} (known: {name}, {fqdn})"),
        ({"hosts": {"a.b": {"secret": {"exec": "a"}}}}, "hosts.a.b.secret.exec: must be a list: the program and its"),
        ({"hosts": {"a.b": {"secret": {"exec": ["", "a"]}}}}, "hosts.a.b.secret.exec: is empty"),
        (
            {"defaults": {"certificate": {"key": "{name}", "file": "b"}}},
            "certificate.file: is the same file for all hosts",
        ),
        (
            {"hosts": {"a.b": {"certificate": {"key": "k"}}}},
            "hosts.a.b.certificate: needs `file` (name the files of the",
        ),
        ({"hosts": {"a.b": {"certificate": "x"}}}, "hosts.a.b.certificate: must be a mapping, not text"),
        ({"hosts": {"a.b": {"certificate": {"key": "k", "file": "k"}}}}, "cannot have the file k, because a.b has it"),
        ({"hosts": {"a.b": {"certificate": {"key": "k", "file": "{x}"}}}}, "unknown placeholder {x}"),
        (
            {"hosts": {"a.b": {"alias": "c.d.", "certificate": {"key": "k", "file": "f"}}}},
            "hosts.a.b.alias: an alias has no certificate",
        ),
        ({"domains": {"org": None}}, "hosts.yml:3:3: domains.org: 'org' is not a full domain name"),
        ({"domains": {"a.b": {"pubic": 1}}}, "domains.a.b.pubic: unknown key (did you mean `public`?)"),
        ({"domains": {"a.b": {"public": 1}}}, "hosts.yml:4:6: domains.a.b.public: must be true or false, not 1"),
        (
            {"domains": {"a.b": None, "A.b.": None}},
            "hosts.yml:3:4: domain a.b is declared twice (first at hosts.yml:3:3)",
        ),
        ({"hosts": {"www": None}}, "hosts.yml:3:3: hosts.www: 'www' is not a full name; write www.DOMAIN"),
        ({"hosts": {7: None}}, "hosts.yml:3:1: hosts.7: must be text, not the number 7"),
        ({"hosts": {"a.b": "192.0.2.1"}}, "hosts.a.b: must be a mapping, not text"),
        ({"hosts": {"a.b": {"ipv5": 1}}}, "hosts.yml:4:4: hosts.a.b.ipv5: unknown key (did you mean `ipv"),
        ({"hosts": {"a.b": {"ipv4": "::1"}}}, "hosts.yml:4:4: hosts.a.b.ipv4: '::1' is a loopback address"),
        ({"hosts": {"a.b": {"ipv4": "dynamc"}}}, "is not an IPv4 address (did you mean `dynamic`?)"),
        ({"hosts": {"a.b": {"ipv4": 1.2}}}, "hosts.a.b.ipv4: must be text, not the number 1.2"),
        ({"hosts": {"a.b": {"labels": []}}}, "hosts.a.b.labels: must be a mapping of names to text"),
        ({"hosts": {"a.b": {"adopt": "maybe"}}}, "hosts.a.b.adopt: must be true or false"),
        ({"hosts": {"a.b": {"adopt_from": True}}}, "hosts.a.b.adopt_from: must be text"),
        ({"hosts": {"a.b": {"adopt_from": "a\nb"}}}, "hosts.a.b.adopt_from: must be the name of a user"),
        ({"hosts": {"a.b": {"secret": "x"}}}, "hosts.a.b.secret: must be a mapping, not text"),
        ({"hosts": {"a.b": {"secret": {"file": 1}}}}, "hosts.a.b.secret.file: must be text"),
        ({"hosts": {"a.b": {"secret": {"file": "a", "vault": "b"}}}}, "hosts.a.b.secret: needs either"),
        ({"hosts": {"a.b": {"moved_from": "a.b."}}}, "hosts.a.b.moved_from: is the host's own name (remove it)"),
        ({"hosts": {"a.b": {"moved_from": "c"}}}, "hosts.a.b.moved_from: 'c' is not a full name"),
        ({"hosts": {"x": {"fqdn": "a_b.c"}}}, "hosts.yml:4:4: hosts.x.fqdn: 'a_b.c' is not a host name"),
        ({"hosts": {"a.b": None, "A.b.": None}}, "hosts.yml:3:4: host a.b is declared twice (first at hosts.yml:3:3)"),
        (
            {"hosts": {"a.b": {"secret": {"file": "s"}}, "c.b": {"secret": {"file": "s"}}}},
            "the secrets of a.b and c.b would go to the same file s",
        ),
        (
            {"hosts": {"a.b": {"moved_from": "o.b"}, "c.b": {"moved_from": "o.b"}}},
            "a.b and c.b are both moved from o.b",
        ),
        (
            {"hosts": {"a.b": {"moved_from": "c.b"}, "c.b": None}},
            "a.b is moved from c.b, which is declared too (remove `moved_from`",
        ),
    ],
)
def test_a_problem_and_its_place(top: Mapping[str, Any], text: str) -> None:
    (problem,) = complaints(**top)
    assert text in problem


def test_labels_that_are_wrong_leave_the_default_ones() -> None:
    assert len(complaints(defaults={"labels": {"a": "b"}}, hosts={"a.b": {"labels": {"": ""}}})) == 1


def test_all_problems_are_reported_at_once() -> None:
    found = complaints(stak="a", hosts={"a": {"ipv4": "x", "tll": 1, "wildcard": 5}, "b": {"secret": {"fil": "a"}}})
    subjects = [problem.split(": ")[1] for problem in found]
    assert subjects[:4] == ["stak", "hosts.a.tll", "hosts.a", "hosts.a.wildcard"]
    assert subjects[4:] == ["hosts.a.ipv4", "hosts.b", "hosts.b.secret.fil", "hosts.b.secret"]


def test_without_places_the_path_says_where() -> None:
    (problem,) = problems({"version": 1, "hosts": {"a.b": {"ttl": 0}}}, locate=lambda _path: None)
    assert problem.startswith("hosts.a.b.ttl: must be")
    found = problems({"version": 1, "hosts": {"a.b": None, "A.B": None}}, locate=lambda _path: None)
    assert found == ["host a.b is declared twice (remove one)"]


def test_one_host_of_which_some_is_declared() -> None:
    assert host_spec("WWW", {}, default_domain="Example.org.") == HostSpec("www.example.org")
    options = {"ipv4": "192.0.2.1", "comment": None, "labels": {"a": 1}, "secret": {"file": "{fqdn}"}}
    spec = host_spec("www.example.org", options)
    secret = SecretSpec("file", "www.example.org")
    assert spec == HostSpec("www.example.org", "192.0.2.1", comment=None, labels={"a": "1"}, secret=secret, alias=None)
    assert (spec.ipv6, spec.wildcard, spec.ttl) == (KEEP, KEEP, KEEP)


def test_what_is_wrong_with_one_host() -> None:
    with pytest.raises(DeclarationError) as raised:
        host_spec("www", {"ipv4": "x", "fqdn": "y"}, locate=locate)
    assert [str(problem)[:24] for problem in raised.value.problems] == [
        "hosts.yml:2:4: fqdn: 'ww",
        "hosts.yml:2:4: fqdn: unk",
        "hosts.yml:2:4: ipv4: 'x'",
    ]


def part(file: str, **top: Any) -> Declaration:
    return declaration({"version": 1, **top}, locate=lambda path: Location(file, len(path)))


def test_several_documents() -> None:
    one = part("a.yml", stack="web", hosts={"a.b": None}, domains={"b.c": None})
    two = part("b.yml", server="http://s", stack="web", hosts={"c.b": None})
    merged = merge([one, two, part("c.yml")])
    assert merged == Declaration("web", "http://s", {**one.hosts, **two.hosts}, one.domains)
    assert merged.where == Location("a.yml")
    assert merge([]) == Declaration()
    assert merge([merged]) == merged


def test_documents_that_contradict_each_other() -> None:
    one = part("a.yml", stack="web", hosts={"a.b": {"secret": {"file": "s"}}}, domains={"b.c": None})
    two = part("b.yml", stack="db", hosts={"A.b": None, "c.b": {"secret": {"file": "s"}}}, domains={"B.C": None})
    with pytest.raises(DeclarationError) as raised:
        merge([one, two])
    assert list(raised.value.problems) == [
        Problem("stack is db here and web elsewhere (at a.yml)", Location("b.yml"), "keep one"),
        Problem("host a.b is declared twice", Location("b.yml", 2), "first at a.yml:2"),
        Problem("domain b.c is declared twice", Location("b.yml", 2), "first at a.yml:2"),
        Problem(
            "the secrets of a.b and c.b would go to the same file s",
            Location("b.yml", 2),
            "name one file for each",
        ),
    ]
    with pytest.raises(DeclarationError, match="server is http://b here and http://a elsewhere"):
        merge([Declaration(server="http://a"), Declaration(server="http://b")])


def test_a_name_with_a_wildcard_leaves_room_for_it() -> None:
    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 47, "dyn.example.org"])[-251:]
    assert host(longest, wildcard=True).wildcard
    assert host(f"xx{longest}", wildcard=False).fqdn == f"xx{longest}"
    for options in ({"wildcard": True}, {}):
        (found,) = complaints(hosts={f"x{longest}": options}, defaults={"wildcard": True})
        assert "has a wildcard, and its name has 252 characters" in found
        assert "at most 251" in found
    assert "a domain has at most 189" in complaints(domains={f"{longest[-190:]}": None})[0]


def test_several_addresses() -> None:
    several = host(ipv4=["192.0.2.10", "192.0.2.9", "192.0.2.10"], ipv6=["2001:DB8::1"])
    assert (several.ipv4, several.ipv6) == (["192.0.2.9", "192.0.2.10"], "2001:db8::1")
    assert host(ipv4=["192.0.2.1", "192.0.2.2"]).ipv6 is None
    (empty,) = complaints(hosts={"a.b.org": {"ipv4": []}})
    assert "has 0 addresses; a list has 1 to 16" in empty
    (mixed,) = complaints(hosts={"a.b.org": {"ipv4": ["192.0.2.1", "2001:db8::7"]}})
    assert "belongs under `ipv6`" in mixed


NOTHING: dict[str, Any] = {"ipv4": None, "ipv6": None, "wildcard": False, "records": {}, "related": {}}
FRONT = "front.example.net."


def test_an_alias_has_nothing_else_and_no_defaults_of_these() -> None:
    defaults = {"ipv4": "dynamic", "wildcard": True, "records": {"MX": ["10 a.b."]}, "related": {"nas": "::7"}}
    read_in = read(defaults=defaults, hosts={"a.b.org": {"alias": "Front.example.NET."}, "c.b.org": {}}).hosts
    alias = vars(read_in["a.b.org"])
    assert {name: alias[name] for name in NOTHING} == NOTHING
    assert (alias["alias"], alias["keeps_records"], alias["keeps_related"]) == (FRONT, False, False)
    assert (read_in["c.b.org"].alias, read_in["c.b.org"].ipv4) == (None, DYNAMIC)
    (both,) = complaints(hosts={"a.b.org": {"alias": FRONT, "ipv4": "192.0.2.1", "records": {"TXT": ["x"]}}})
    assert "an alias has no ipv4, no records (remove these, or the alias)" in both
    (relative,) = complaints(hosts={"a.b.org": {"alias": "front.example.net"}})
    assert "write front.example.net." in relative


def test_whether_an_alias_is_kept() -> None:
    assert host().alias is KEEP
    assert host(alias=None).alias is host(ipv4="192.0.2.1").alias is host(ipv6="dynamic").alias is None
    read_in = read(
        defaults={"alias": FRONT}, hosts={"a.b.org": {}, "c.b.org": {"ipv4": "192.0.2.1"}, "d.b.org": {"alias": None}}
    )
    assert [spec.alias for spec in read_in.hosts.values()] == [FRONT, None, None]
    assert host(alias=FRONT, wildcard="no").alias == FRONT
    one = host_spec("a.b.org", {"alias": FRONT})
    assert (one.ipv4, one.wildcard, one.comment) == (None, False, KEEP)


def test_related_names() -> None:
    hosts = {"a.b.org": {"related": {"NAS": "::0:7", "tv": None}}, "c.b.org": {}, "d.b.org": {"related": {}}}
    read_in = read(defaults={"related": {"tv": "::8", "cam": "::9"}}, hosts=hosts).hosts
    assert read_in["a.b.org"].related == {"tv": None, "cam": "::9", "nas": "::7"}
    assert (read_in["c.b.org"].related, read_in["c.b.org"].keeps_related) == ({"tv": "::8", "cam": "::9"}, True)
    assert (read_in["d.b.org"].related, read_in["d.b.org"].keeps_related) == ({}, False)
    assert host(related=None).related == {}
    for wrong in (
        {"a.b": "::7"},
        {"nas": "::"},
        {"nas": "zzz"},
        {"nas": 7},
        {"nas": "fe80::1%eth0"},
        {"nas": "::1", "NAS": "::2"},
        ["nas"],
    ):
        assert len(complaints(hosts={"a.b.org": {"related": wrong}})) == 1


def test_what_is_rendered_is_read_again() -> None:
    hosts = {
        "a.b.org": {"alias": FRONT},
        "c.b.org": {"ipv4": ["192.0.2.1", "192.0.2.2"], "related": {"values": "::7"}, "labels": {"values": "x"}},
        "d.b.org": {"alias": None, "records": {}},
        "e.b.org": {},
    }
    declared = read(hosts=hosts)
    assert declaration(as_data(declared), locate=locate) == declared
