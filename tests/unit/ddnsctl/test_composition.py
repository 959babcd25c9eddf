# SPDX-License-Identifier: GPL-3.0-or-later
"""Includes, variables, environments, ranges and shared defaults → one declaration, or all problems and places."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ddnsctl.loader import Sources, load
from ddnsctl.sync import declare
from ddnsctl.sync.errors import DeclarationError
from ddnsctl.sync.model import DYNAMIC, KEEP, Declaration, SecretSpec
from ddnsctl.yaml import composition, reader, variables, writer

HEAD = "version: 1\ndefaults: {domain: dyn.example.org}\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def read(text: str, **given: Any) -> Declaration:
    return load(Sources((write("a.yml", text),), **given))


def problems(text: str, **given: Any) -> list[str]:
    return wrong(lambda: read(text, **given))


def wrong(act: Callable[[], object]) -> list[str]:
    with pytest.raises(DeclarationError) as raised:
        act()
    return [str(problem) for problem in raised.value.problems]


# ---- variables


VARIABLES = (
    HEAD + "vars: {net: 192.0.2, ttl: 300, on: true, who: null}\n"
    "environments:\n  prod: {net: 198.51.100, who: all}\n  dev: {who: me}\n"
    'hosts:\n  www: {ipv4: "${net}.1", ttl: "${ttl}", wildcard: "${on}", comment: "for ${who}: ${on}, ${ttl}"}\n'
)


def test_a_variable_keeps_its_type_where_it_is_the_whole_text() -> None:
    host = read(VARIABLES, env="dev").hosts["www.dyn.example.org"]
    assert (host.ipv4, host.ttl, host.wildcard) == ("192.0.2.1", 300, True)
    assert host.comment == "for me: true, 300"


@pytest.mark.parametrize(
    ("given", "environment", "ipv4", "comment"),
    [
        ({"env": "prod"}, {}, "198.51.100.1", "for all: true, 300"),
        ({"env": "prod"}, {"DDNS_VAR_NET": "203.0.113"}, "203.0.113.1", "for all: true, 300"),
        ({"env": "prod"}, {"DDNS_VAR_net": "203.0.113", "DDNS_VAR_NET": "x"}, "203.0.113.1", "for all: true, 300"),
        (
            {"env": "prod", "variables": {"net": "10.0.0"}},
            {"DDNS_VAR_NET": "203.0.113"},
            "10.0.0.1",
            "for all: true, 300",
        ),
        ({"variables": {"who": "us"}}, {}, "192.0.2.1", "for us: true, 300"),
        ({"variables": {"who": ""}}, {"DDNS_VAR_OTHER": "x"}, "192.0.2.1", "for : true, 300"),
    ],
)
def test_values_from_outside_come_first(
    given: dict[str, Any], environment: dict[str, str], ipv4: str, comment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    host = read(VARIABLES, **given).hosts["www.dyn.example.org"]
    assert (host.ipv4, host.comment) == (ipv4, comment)


def test_names_stacks_and_domains_take_variables() -> None:
    text = (
        'version: 1\nstack: "web-${env}"\nenvironments: {prod: {d: dyn.example.org}}\n'
        'defaults: {domain: "${d}"}\nhosts: {"www-${env}": {}}\ndomains: {"x.${d}": {comment: "${env}"}}\n'
    )
    declared = read(text, env="prod")
    assert declared.stack == "web-prod"
    assert list(declared.hosts) == ["www-prod.dyn.example.org"]
    assert declared.domains["x.dyn.example.org"].comment == "prod"


def test_a_doubled_dollar_sign_is_literal() -> None:
    text = HEAD + 'hosts: {a: {comment: "$${net} $5 $x {y} $$"}}\n'
    assert read(text).hosts["a.dyn.example.org"].comment == "${net} $5 $x {y} $$"


def test_a_variable_that_only_the_command_line_has_is_enough() -> None:
    text = HEAD + 'hosts: {a: {ipv4: "${address}"}}\n'
    assert read(text, variables={"address": "192.0.2.9"}).hosts["a.dyn.example.org"].ipv4 == "192.0.2.9"


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        (
            'hosts: {a: {comment: "${nett}"}}',
            {},
            "a.yml:4:13: hosts.a.comment: there is no variable `nett` (did you mean `net`?)",
        ),
        (
            'hosts: {a: {comment: "${net"}}',
            {},
            "a.yml:4:13: hosts.a.comment: `${` is not closed by `}` (write `$${` for the characters themselves)",
        ),
        (
            'hosts: {a: {comment: "${a b}"}}',
            {},
            "a.yml:4:13: hosts.a.comment: `${a b}` is not a variable (write `$${` for the characters themselves)",
        ),
        (
            'hosts: {a: {comment: "${other}"}}',
            {},
            "a.yml:4:13: hosts.a.comment: there is no variable `other` "
            "(set it in `vars`, with --var, or with DDNS_VAR_other)",
        ),
        (
            'hosts: {a: {comment: "${n}"}}',
            {},
            "a.yml:4:13: hosts.a.comment: the variable `n` has a value only in a host with a range "
            "(such as node-[01..20])",
        ),
        ('hosts: {"a${nett}": {}}', {}, "a.yml:4:9: hosts.a${nett}: there is no variable `nett` (did you mean `net`?)"),
        (
            'hosts: {a: {labels: {b: "${size}"}}}',
            {},
            "a.yml:4:22: hosts.a.labels.b: the variable `size` has no value "
            "(choose an environment with --env: dev, prod)",
        ),
        (
            'hosts: {a: {comment: "${size}"}}',
            {"env": "dev"},
            "a.yml:4:13: hosts.a.comment: the variable `size` has no value "
            "(set it in `vars`, with --var, or with DDNS_VAR_size)",
        ),
        ('hosts: {a: {ipv4: "${net}"}}', {}, "a.yml:4:13: hosts.a.ipv4: '192.0.2' is not an IPv4 address"),
        ("hosts: {}", {"variables": {"nett": "1"}}, "--var nett: no declaration has this variable (did you mean net?)"),
        ("hosts: {}", {"variables": {"n": "1"}}, "--var n: the name `n` is reserved"),
        ("hosts: {}", {"variables": {"net": "${x}"}}, "--var net: a variable's value cannot contain `${`"),
        ("hosts: {}", {"env": "prd"}, "--env prd: no declaration has this environment (did you mean prod?)"),
    ],
)
def test_mistakes_with_variables(text: str, given: dict[str, Any], expected: str) -> None:
    head = "version: 1\nvars: {net: 192.0.2}\nenvironments: {prod: {size: 1}, dev: {}}\n"
    assert problems(head + text + "\n", domain="dyn.example.org", **given) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vars: [1]", "a.yml:3:1: vars: must be a mapping of names to values"),
        (
            "vars: {a-b: 1}",
            "a.yml:3:8: vars.a-b: a variable's name has letters, digits and underscores, and begins with no digit",
        ),
        ("vars: {env: 1}", "a.yml:3:8: vars.env: the name `env` is reserved"),
        ("vars: {a: [1]}", "a.yml:3:8: vars.a: a variable's value is text, a whole number, a boolean or null"),
        ("vars: {a: 1, b: '${a}'}", "a.yml:3:14: vars.b: a variable's value cannot contain `${`"),
        (
            "environments: [prod]",
            "a.yml:3:1: environments: must be a mapping of names to variables (such as prod: {net: 192.0.2})",
        ),
        (
            "environments: {a b: {}}",
            "a.yml:3:16: environments.a b: an environment's name has letters, digits, dots, hyphens and underscores",
        ),
        ("environments: {prod: 1}", "a.yml:3:16: environments.prod: must be a mapping of names to values"),
    ],
)
def test_mistakes_in_sections_of_variables(text: str, expected: str) -> None:
    assert problems(HEAD + text + "\n") == [expected]


def test_the_server_is_never_composed() -> None:
    text = 'version: 1\nvars: {x: evil.example}\nserver: "https://${x}"\n'
    assert problems(text) == [
        "a.yml:3:1: server: cannot contain variables (use --server or DDNS_SERVER for what differs)"
    ]
    write("b.yml", "version: 1\nserver: https://evil.example\n")
    assert problems("version: 1\ninclude: b.yml\n") == [
        "b.yml:2:1: server: an included file cannot name the server "
        "(name it in the file that includes this one, or use --server)"
    ]


# ---- ranges


def test_a_range_makes_a_host_for_each_number() -> None:
    text = HEAD + 'hosts: {"node-[08..10]": {ipv4: "192.0.2.${n}", comment: "Node ${nn}"}, "x[1..2]-y": {}}\n'
    hosts = read(text).hosts
    assert {name.partition(".")[0]: (host.ipv4, host.comment) for name, host in hosts.items()} == {
        "node-08": ("192.0.2.8", "Node 08"),
        "node-09": ("192.0.2.9", "Node 09"),
        "node-10": ("192.0.2.10", "Node 10"),
        "x1-y": (KEEP, None),
        "x2-y": (KEEP, None),
    }
    assert str(hosts["node-09.dyn.example.org"].where) == "a.yml:3:9"


def test_the_bounds_of_a_range_may_be_variables() -> None:
    text = HEAD + 'vars: {count: 3}\nhosts: {"n[1..${count}].dyn.example.org": {labels: {n: "${n}"}}}\n'
    assert list(read(text).hosts) == ["n1.dyn.example.org", "n2.dyn.example.org", "n3.dyn.example.org"]
    assert len(read(text, variables={"count": "12"}).hosts) == 12


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("n[1-3]", "has no valid range (a name may have one range, such as node-[01..20])"),
        ("n[]", "has no valid range (a name may have one range, such as node-[01..20])"),
        ("n[1..2", "has no valid range (a name may have one range, such as node-[01..20])"),
        ("n1]", "has no valid range (a name may have one range, such as node-[01..20])"),
        ("n[[1..2]]", "has no valid range (a name may have one range, such as node-[01..20])"),
        ("n[1..2]-[1..2]", "has no valid range (a name may have one range, such as node-[01..20])"),
        ("n[-1..2]", "has no valid range (a name may have one range, such as node-[01..20])"),
        ("n[3..1]", "the range 3..1 begins above its end (write [1..3])"),
        ("n[01..100]", "the range 01..100 has a different number of digits (write [01..20])"),
        ("n[1..100001]", "ranges make more than 100000 hosts (declare fewer)"),
        ("n[1..999999999]", "ranges make more than 100000 hosts (declare fewer)"),
    ],
)
def test_mistakes_in_ranges(name: str, expected: str) -> None:
    assert problems(HEAD + f'hosts: {{"{name}": {{}}}}\n') == [f"a.yml:3:9: hosts.{name}: {expected}"]


def test_a_name_is_declared_once() -> None:
    text = HEAD + 'hosts:\n  "n[1..3]": {}\n  n2: {}\n'
    assert problems(text) == ["a.yml:5:3: hosts.n2: n2 is declared twice (remove one)"]


# ---- includes


def test_files_include_each_other_by_relative_paths() -> None:
    write("d/web.yml", HEAD + "include: [parts/one.yml, ../two.yml]\nstack: web\nhosts: {a: {}}\n")
    write("d/parts/one.yml", HEAD + "hosts: {b: {secret: {file: s/b}}}\n")
    write("two.yml", HEAD + "hosts: {c: {}}\n")
    declared = load(Sources(("d/web.yml",)))
    assert sorted(declared.hosts) == ["a.dyn.example.org", "b.dyn.example.org", "c.dyn.example.org"]
    assert declared.hosts["b.dyn.example.org"].secret == SecretSpec("file", "d/parts/s/b")
    assert str(declared.hosts["c.dyn.example.org"].where) == "two.yml:3:9"


def test_a_folder_reads_an_included_file_once() -> None:
    write("d/web.yml", "version: 1\nvars: {net: 192.0.2}\ninclude: sub/one.yml\n")
    write("d/sub/one.yml", HEAD + 'hosts: {a: {ipv4: "${net}.1"}}\n')
    assert list(load(Sources(("d",))).hosts) == ["a.dyn.example.org"]
    assert list(load(Sources(("d/sub/one.yml", "d/web.yml"))).hosts) == ["a.dyn.example.org"]


def test_shared_values_apply_where_they_are_included_and_below() -> None:
    write(
        "common.yml",
        "version: 1\nvars: {net: 192.0.2, team: all}\n"
        "defaults: {domain: dyn.example.org, ttl: 60, labels: {org: x, team: '${team}'}}\n",
    )
    write(
        "a.yml",
        "version: 1\ninclude: [common.yml, db.yml, mail.yml]\nvars: {net: 198.51.100}\n"
        "hosts: {a: {ipv4: '${net}.1'}}\n",
    )
    write(
        "db.yml",
        "version: 1\nvars: {team: db}\ndefaults: {ttl: 300, labels: {role: db}}\nhosts: {db: {ipv4: '${net}.2'}}\n",
    )
    write("mail.yml", "version: 1\nhosts: {mail: {ipv4: '${net}.3', ttl: null}}\n")
    hosts = load(Sources(("a.yml",))).hosts
    assert {name.partition(".")[0]: (host.ipv4, host.ttl, host.labels) for name, host in hosts.items()} == {
        "a": ("198.51.100.1", 60, {"org": "x", "team": "all"}),
        "db": ("198.51.100.2", 300, {"org": "x", "team": "db", "role": "db"}),
        "mail": ("198.51.100.3", None, {"org": "x", "team": "all"}),
    }


def test_the_environments_of_files_are_merged() -> None:
    write("common.yml", "version: 1\nenvironments: {prod: {net: 192.0.2, ttl: 60}}\n")
    text = (
        HEAD + "include: common.yml\nenvironments: {prod: {net: 198.51.100}}\n"
        "hosts: {a: {ipv4: '${net}.1', ttl: '${ttl}'}}\n"
    )
    host = read(text, env="prod").hosts["a.dyn.example.org"]
    assert (host.ipv4, host.ttl) == ("198.51.100.1", 60)


def test_secrets_of_shared_defaults_are_relative_to_their_file() -> None:
    write("shared/common.yml", HEAD.replace("org}", "org, secret: {file: 'secrets/{name}'}}"))
    write("web/a.yml", "version: 1\ninclude: ../shared/common.yml\nhosts: {a: {}, b: {secret: {file: own/b}}}\n")
    hosts = load(Sources(("web/a.yml",))).hosts
    assert hosts["a.dyn.example.org"].secret == SecretSpec("file", "shared/secrets/a")
    assert hosts["b.dyn.example.org"].secret == SecretSpec("file", "web/own/b")


def test_mistakes_have_the_place_of_the_file_they_are_in() -> None:
    write("common.yml", "version: 1\n\ndefaults:\n  domain: dyn.example.org\n  ttl: 0\n  comment: '${nothing}'\n")
    write("one.yml", "version: 1\nhosts: {b: {ipv4: 192.0.2.300}}\n")
    found = problems("version: 1\ninclude:\n- common.yml\n- one.yml\n- none.yml\nhosts: {a: {}}\n")
    assert [line.split(" (")[0] for line in found] == [
        "a.yml:5:3: include: none.yml does not exist",
        "common.yml:6:3: defaults.comment: there is no variable `nothing`",
        "common.yml:5:3: defaults.ttl: must be a whole number of seconds from 1 to 86400, not 0",
        "one.yml:2:13: hosts.b.ipv4: '192.0.2.300' is not an IPv4 address",
    ]


def test_circles_are_refused_with_all_places() -> None:
    write("b.yml", "version: 1\ninclude:\n  - a.yml\n")
    text = "version: 1\ninclude: b.yml\n"
    expected = "include: the files include each other (the others are included at "
    assert problems(text) == [f"b.yml:3:5: {expected}a.yml:2:1)"]
    assert wrong(lambda: load(Sources((".",)))) == [f"b.yml:3:5: {expected}a.yml:2:1)"]
    assert problems("version: 1\ninclude: ./x/../a.yml\n") == [
        "a.yml:2:1: include: the file includes itself (remove it)"
    ]
    write("c.yml", "version: 1\ninclude: d.yml\n")
    write("d.yml", "version: 1\ninclude: e.yml\n")
    write("e.yml", "version: 1\ninclude: c.yml\n")
    assert wrong(lambda: load(Sources(("c.yml",)))) == [f"e.yml:2:1: {expected}c.yml:2:1, d.yml:2:1)"]


def test_hosts_are_included_once() -> None:
    write("one.yml", HEAD + "hosts: {b: {}}\n")
    write("two.yml", "version: 1\ninclude: one.yml\n")
    assert problems("version: 1\ninclude: [one.yml, two.yml]\n") == [
        "two.yml:2:1: include: one.yml is included twice, and it has hosts or domains (first at a.yml:2:11)"
    ]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ("/etc/hosts", "a.yml:2:1: include: '/etc/hosts' is not relative (write it relative to this file)"),
        ("~/x.yml", "a.yml:2:1: include: '~/x.yml' is not relative (write it relative to this file)"),
        ("https://x/y", "a.yml:2:1: include: 'https://x/y' is not relative (write it relative to this file)"),
        ("'${env}.yml'", "a.yml:2:1: include: cannot contain variables (use `environments` for what differs)"),
        ("[b.yml, 7]", "a.yml:2:18: include.1: must be the path of a file, or a list of paths"),
        ("{a: b}", "a.yml:2:1: include: must be the path of a file, or a list of paths"),
        ("d", "a.yml:2:1: include: d cannot be read: is a directory"),
    ],
)
def test_mistakes_in_includes(include: str, expected: str) -> None:
    write("b.yml", "version: 1\n")
    Path("d").mkdir()
    assert problems(f"version: 1\ninclude: {include}\n") == [expected]


def test_a_bad_file_is_told_once() -> None:
    write("b.yml", "version: 1\nhosts: [\n")
    write("c.yml", "version: 1\ninclude: b.yml\n")
    (found,) = problems("version: 1\ninclude: [b.yml, c.yml]\n")
    assert found.startswith("b.yml:3:1: is not valid YAML")


# ---- caps


def test_files_that_multiply_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composition, "MOST_FILES", 100)
    for level in range(10):
        write(f"{level}.yml", f"version: 1\ninclude: [{level + 1}.yml, {level + 1}.yml]\n")
    write("10.yml", "version: 1\n")
    found = wrong(lambda: load(Sources(("0.yml",))))
    assert found[0].endswith("include: more than 100 files are included")


def test_a_long_chain_is_refused() -> None:
    for level in range(30):
        write(f"{level}.yml", f"version: 1\ninclude: {level + 1}.yml\n")
    (found,) = wrong(lambda: load(Sources(("0.yml",))))
    assert found == "20.yml:2:1: include: more than 20 levels are included"


def test_long_texts_are_refused() -> None:
    text = HEAD + f"vars: {{a: {'x' * 60_000}}}\nhosts: {{h: {{comment: '${{a}}${{a}}'}}}}\n"
    assert problems(text)[0] == (
        "a.yml:4:13: hosts.h.comment: becomes longer than 65536 characters (use shorter variables)"
    )


def test_what_is_made_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variables, "MOST_VALUES", 100)
    text = HEAD + "hosts: {'n[1..99]': {ipv4: '192.0.2.${n}', labels: {n: '${n}'}}}\n"
    assert problems(text) == [
        "a.yml: ranges, aliases and variables make more than 100 values (declare less in one run)"
    ]


LAUGHS = "x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


def test_aliases_that_multiply_are_refused() -> None:
    (found,) = reader.read(f"version: 1\n{LAUGHS}hosts: {{h: {{ttl: *a8}}}}\n".encode(), "f.yml").problems
    assert str(found).endswith("the aliases repeat more than 2000000 values (use fewer aliases, or smaller ones)")
    assert found.where is not None
    assert found.where.line == 7


# ---- anchors and defaults


def test_keys_for_anchors_are_not_read() -> None:
    text = HEAD + "x-common: &common {ttl: 300, comment: '${net}'}\n"
    text += "vars: {net: here}\nx-more: [1, {a: b}]\nhosts: {a: {<<: *common}}\n"
    host = read(text).hosts["a.dyn.example.org"]
    assert (host.ttl, host.comment) == (300, "here")


def test_every_key_of_a_host_has_a_default() -> None:
    text = (
        "version: 1\ndefaults: {domain: dyn.example.org, ipv4: dynamic, ipv6: null, wildcard: true, comment: c,"
        " ttl: 60, labels: {a: b}, secret: none, adopt: true, adopt_from: ann, moved_from: '{name}.old.example.org'}\n"
        "hosts: {a: {}, b: {ipv4: 192.0.2.1, adopt: null, adopt_from: null, moved_from: null}, c.old.example.org: {}}\n"
    )
    hosts = read(text).hosts
    a, b = hosts["a.dyn.example.org"], hosts["b.dyn.example.org"]
    assert (a.ipv4, a.ipv6, a.wildcard, a.comment, a.ttl, a.labels) == (DYNAMIC, None, True, "c", 60, {"a": "b"})
    assert (a.secret, a.adopt, a.adopt_from, a.moved_from) == (SecretSpec("none"), True, "ann", "a.old.example.org")
    assert (b.ipv4, b.ipv6, b.adopt, b.adopt_from, b.moved_from) == ("192.0.2.1", None, False, None, None)
    assert hosts["c.old.example.org"].moved_from is None


def test_full_names_have_a_default() -> None:
    text = HEAD.replace("{domain", "{fqdn: '{name}.lab.example.org', domain")
    hosts = read(text + "hosts: {a: {}, b.c.example.org: {}, d: {fqdn: d.example.org}, e: {fqdn: null}}\n").hosts
    assert list(hosts) == ["a.lab.example.org", "b.lab.example.org", "d.example.org", "e.dyn.example.org"]


def test_a_missing_address_depends_on_the_other_one_unless_it_has_a_default() -> None:
    text = (
        HEAD.replace("{domain", "{ipv6: dynamic, domain") + "hosts: {a: {ipv4: 192.0.2.1}, b: {ipv6: '2001:db8::1'}}\n"
    )
    hosts = read(text).hosts
    assert [(h.ipv4, h.ipv6) for h in hosts.values()] == [("192.0.2.1", DYNAMIC), (None, "2001:db8::1")]


def test_defaults_that_would_be_the_same_for_all_hosts_are_refused() -> None:
    found = problems("version: 1\ndefaults: {moved_from: old, fqdn: a.example.org, ipv4: 7}\n")
    assert [line.split(";")[0] for line in found] == [
        "a.yml:2:12: defaults.moved_from: 'old' is the same name for all hosts",
        "a.yml:2:29: defaults.fqdn: 'a.example.org' is the same name for all hosts",
        "a.yml:2:50: defaults.ipv4: must be text, not the number 7",
    ]


# ---- the resolved declaration


def test_a_rendered_declaration_is_equal() -> None:
    write("common.yml", HEAD.replace("org}", "org, secret: {file: 's/{name}'}, labels: {v: '1.10'}}"))
    text = (
        "version: 1\nserver: https://ddns.example.org\nstack: {name: web, max_changes: 30%}\ninclude: common.yml\n"
        "vars: {net: 192.0.2}\n"
        "domains: {lab.example.org: {public: true, available: false}, dyn.example.org: {}}\n"
        'hosts:\n  "n[1..2]": {ipv4: "${net}.${n}", comment: "$${x} ${n}"}\n'
        "  a: {ipv4: dynamic, secret: none, wildcard: yes}\n  b: {ipv6: '2001:db8::1', moved_from: c, adopt: true}\n"
        "  c.lab.example.org: {ipv4: null, adopt_from: ann, secret: {vault: /x}}\n  d: {}\n"
        "  a-host-with-a-long-name: {comment: 'A comment that does not fit into one line with all the other things'}\n"
    )
    declared = read(text)
    rendered = writer.rendered(declare.as_data(declared))
    assert load(Sources((write("b.yml", rendered),))) == declared
    assert declare.declaration(declare.as_data(declared)) == declared
    assert "n2.dyn.example.org" in rendered
    assert "vars" not in rendered


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("{max_changes: 30%}", "a.yml:2:1: stack.name: is missing (write the name of the stack)"),
        ("{name: a b}", "a.yml:2:9: stack.name: 'a b' is not a stack name"),
        ("{name: web, max_change: 3}", "a.yml:2:20: stack.max_change: unknown key (did you mean `max_changes`?)"),
        ("{name: web, max_changes: 130%}", "a.yml:2:20: stack.max_changes: '130%' is not a limit"),
        ("[web]", "a.yml:2:1: stack: must be text, not a list"),
    ],
)
def test_mistakes_in_the_stack(stack: str, expected: str) -> None:
    (found,) = problems(f"version: 1\nstack: {stack}\n")
    assert found.startswith(expected)


def test_the_limits_of_files_agree() -> None:
    write("a.yml", "version: 1\nstack: {name: web, max_changes: 30%}\n")
    write("b.yml", "version: 1\nstack: web\n")
    write("c.yml", "version: 1\nstack: {name: web, max_changes: 3}\n")
    assert str(load(Sources(("a.yml", "b.yml"))).max_changes) == "30%"
    (found,) = wrong(lambda: load(Sources(("a.yml", "c.yml"))))
    assert found.startswith("c.yml:1:1: max_changes is 3 here and 30% elsewhere (at a.yml:1:1)")
