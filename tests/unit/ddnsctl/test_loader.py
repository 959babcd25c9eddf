# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, folders, standard input and inventories → one declaration."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ddnsctl.loader import Sources, load
from ddnsctl.sync.errors import DeclarationError, SyncError
from ddnsctl.sync.model import DYNAMIC, KEEP, SecretSpec

HEAD = "version: 1\nstack: web\ndefaults: {domain: dyn.example.org}\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def problems(sources: Sources) -> list[str]:
    with pytest.raises(DeclarationError) as raised:
        load(sources)
    return [str(problem) for problem in raised.value.problems]


def test_a_folder_s_files_are_one_declaration() -> None:
    write("d/b.yaml", "version: 1\nhosts: {b.dyn.example.org: {ipv4: 192.0.2.2}}\n")
    write("d/a.yml", HEAD + "hosts: {a: {ipv4: 192.0.2.1}}\n")
    write("d/not.txt", "nonsense: [")
    write("d/.hidden.yml", "nonsense: [")
    declared = load(Sources(("d",)))
    assert list(declared.hosts) == ["a.dyn.example.org", "b.dyn.example.org"]
    assert declared.stack == "web"
    assert str(declared.hosts["b.dyn.example.org"].where) == "d/b.yaml:2:9"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.BytesIO(json.dumps({"version": 1, "hosts": {"a.example.org": None}}).encode())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=text))
    assert list(load(Sources(("-",))).hosts) == ["a.example.org"]


def test_a_file_that_is_named_twice_counts_once() -> None:
    write("a.yml", HEAD + "hosts: {a: {}}\n")
    assert list(load(Sources(("a.yml", "a.yml"))).hosts) == ["a.dyn.example.org"]


def test_everything_that_is_wrong_anywhere_is_told_at_once() -> None:
    write("a.yml", HEAD + "hsots: {}\nhosts: {a: {ipv4: 192.0.2.300}}\n")
    write("b.yml", "a: [1\n")
    Path("empty").mkdir()
    found = problems(Sources(("a.yml", "b.yml", "nothing.yml", "empty"), stack="a b"))
    assert [line.split(": ")[0] for line in found] == [
        "--stack",
        "nothing.yml",
        "empty",
        "a.yml:4:1",
        "a.yml:5:13",
        "b.yml:2:1",
    ]
    assert "did you mean `hosts`?" in found[3]


def test_subfolders_are_read_and_hidden_ones_are_not() -> None:
    for file, name in (("d/a.yml", "a"), ("d/e/B.YML", "b"), ("d/e/f/c.Yaml", "c"), ("d/.git/x.yml", "x")):
        write(file, HEAD + f"hosts: {{{name}: {{}}}}\n")
    write("d/e/readme.txt", "no YAML: [")
    declared = load(Sources(("d",)))
    assert sorted(declared.hosts) == [f"{name}.dyn.example.org" for name in "abc"]


def test_a_file_is_read_once_by_whatever_path() -> None:
    write("d/a.yml", HEAD + "hosts: {a: {}}\n")
    Path("link.yml").symlink_to("d/a.yml")
    paths = ("d/a.yml", "d", "./d/../d/a.yml", str(Path("d/a.yml").absolute()), "link.yml")
    assert list(load(Sources(paths)).hosts) == ["a.dyn.example.org"]


def test_a_number_stays_a_label_as_it_is_written() -> None:
    write("a.yml", HEAD + "hosts: {a: {labels: {version: 1.10, build: 007, plus: +5, on: yes, n: 12}}}\n")
    labels = load(Sources(("a.yml",))).hosts["a.dyn.example.org"].labels
    assert labels == {"version": "1.10", "build": "007", "plus": "+5", "on": "true", "n": "12"}


def test_hosts_of_two_files_may_not_clash() -> None:
    write("a.yml", HEAD + "hosts: {a: {}}\n")
    write("b.yml", HEAD + "hosts: {A.dyn.example.org: {}}\n")
    assert problems(Sources(("a.yml", "b.yml"))) == [
        "b.yml:4:9: host a.dyn.example.org is declared twice (first at a.yml:4:9)"
    ]


def test_secrets_are_relative_to_the_file_that_declares_them() -> None:
    hosts = "hosts: {a: {secret: {file: s/a}}, b: {secret: {vault: /abs/b}}}\n"
    write("d/a.yml", HEAD + hosts)
    declared = load(Sources(("d/a.yml",)))
    assert declared.hosts["a.dyn.example.org"].secret == SecretSpec("file", "d/s/a")
    assert declared.hosts["b.dyn.example.org"].secret == SecretSpec("vault", "/abs/b")


def test_the_stack_and_domain_of_the_command_line_count_where_none_is_named() -> None:
    write("a.yml", "version: 1\nhosts: {a: {}}\n")
    declared = load(Sources(("a.yml",), stack="web", domain="lab.example.org"))
    assert (declared.stack, list(declared.hosts)) == ("web", ["a.lab.example.org"])
    write("b.yml", HEAD)
    assert problems(Sources(("b.yml",), stack="other")) == [
        "b.yml:1:1: the declaration names the stack web, but --stack names other (remove one of them)"
    ]


INVENTORY = """\
all:
  hosts:
    web1: {ansible_host: 192.0.2.1, ddns: {comment: Front}}
    web2.lab.example.org: {ansible_host: "2001:db8::2", ddns: {wildcard: true}}
    named: {ansible_host: 192.0.2.3, ddns: {fqdn: x.lab.example.org, ipv4: dynamic, secret: {file: s/x}}}
    elsewhere: {ansible_host: jump.example.org, ddns: {}}
    undeclared: {ansible_host: 192.0.2.5}
"""


def test_an_inventory() -> None:
    write("inv/hosts.yml", INVENTORY)
    write("web.yml", HEAD)
    declared = load(Sources(("web.yml",), ("inv/hosts.yml",)))
    assert {name: (host.ipv4, host.ipv6) for name, host in declared.hosts.items()} == {
        "web1.dyn.example.org": ("192.0.2.1", None),
        "web2.lab.example.org": (None, "2001:db8::2"),
        "x.lab.example.org": (DYNAMIC, KEEP),
        "elsewhere.dyn.example.org": (KEEP, KEEP),
    }
    assert declared.hosts["x.lab.example.org"].secret == SecretSpec("file", "inv/s/x")
    assert str(declared.hosts["web1.dyn.example.org"].where) == "inv/hosts.yml[web1]"


def test_an_inventory_s_problems_name_its_hosts() -> None:
    write("i.yml", "all:\n  hosts:\n    a: {ddns: 7}\n    b: {ddns: {comment: '{{ x }}', ipv4: 1.2.3}}\n")
    found = problems(Sources((), ("i.yml",), domain="dyn.example.org"))
    assert [line.split(": ")[:2] for line in found] == [
        ["i.yml[a]", "ddns"],
        ["i.yml[b]", "ddns.comment"],
        ["i.yml[b]", "hosts.b.ipv4"],
    ]


def test_an_inventory_that_is_none() -> None:
    assert "ansible-inventory cannot read it" in problems(Sources((), ("nothing.yml",)))[0]


def test_without_ansible_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SyncError, match="pip install ansible-core"):
        load(Sources((), ("i.yml",)))


def test_vaults_in_an_inventory() -> None:
    write("password", "open sesame\n")
    given = ["ansible-vault", "encrypt_string", "--vault-password-file", "password", "Secret comment"]
    text = subprocess.run(given, capture_output=True, text=True, check=True).stdout
    write("i/hosts.ini", "a.example.org ansible_host=192.0.2.1\n")
    comment = "\n".join("    " + line for line in text.splitlines())
    write("i/host_vars/a.example.org.yml", f"ddns:\n  comment: {comment.strip()}\n")
    write("i/group_vars/all.yml", "ansible_host: 192.0.2.9\n")
    encrypt = ["ansible-vault", "encrypt", "--vault-password-file", "password", "i/group_vars/all.yml"]
    subprocess.run(encrypt, capture_output=True, check=True)
    options = ("--vault-password-file", "password")
    host = load(Sources((), ("i/hosts.ini",), options)).hosts["a.example.org"]
    assert host.comment == "Secret comment"
    assert "cannot" in problems(Sources((), ("i/hosts.ini",)))[0]


def test_a_document_without_content_is_no_declaration() -> None:
    write("a.yml", "---\n")
    assert problems(Sources(("a.yml",))) == ["a.yml:1:1: version: is missing (write `version: 1`)"]
