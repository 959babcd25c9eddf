# SPDX-License-Identifier: GPL-3.0-or-later
"""The configurations' texts: what is in them, and that no secret leaves its quotes."""

import base64
import gzip
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ddnsctl import cloud_init
from ddnsd.auth.tsig_secrets import tsig_secret
from ddnsd.dns.tsig import TsigKey
from ddnsd.web.portal import escaping
from ddnsd.web.portal.client_configs import (
    PLACEHOLDER,
    SHIPPED,
    TSIG_PLACEHOLDER,
    DnsTarget,
    Target,
    configuration,
    configurations,
    dns_configurations,
    shipped,
)
from ddnsd.web.portal.client_programs import CATALOGUE, DNS_CATALOGUE, FIELDS
from ddnsd.web.update_port import UpdatePort

FQDN, SERVER, SECRET = "vm-7.dyn.example.org", "https://ddns.example.org", "s3cret-of_the.host"
WITHOUT_URL = ("cloud-init", "systemd", "opnsense", "ansible", "lego-http", "acme-dns")
HOSTILE = """a'b"c\\d$e%f${HOME} #g %h {{ 7*7 }} `id` $(id) &;|<>!*?~:/@\\"""
SECRETS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60)


def text(name: str, secret: str = SECRET, part: int = 0, **more: str) -> str:
    found = configuration(Target(FQDN, more.pop("server", SERVER), secret, **more), name)
    assert found is not None
    return found.parts[part].text


@pytest.mark.parametrize("server", [SERVER, f"{SERVER}/", "http://[2001:db8::1]:8053", f"{SERVER}/ddns"])
def test_every_text_has_the_host_and_nothing_left_open(server: str) -> None:
    all_of_them = list(configurations(Target(FQDN, server, SECRET)))
    assert [c.name for c in all_of_them] == [entry.name for entry in CATALOGUE]
    for found in all_of_them:
        whole = "".join(part.text for part in found.parts)
        assert FQDN in whole, found.name
        assert "//nic" not in whole, found.name
        assert ("nic/update" in whole) or (found.name in WITHOUT_URL), found.name
        assert SECRET in whole, found.name
        assert all(part.text.endswith("\n") and "\n\n\n" not in part.text for part in found.parts), found.name


@pytest.mark.parametrize(("name", "part"), [("cloud-init", "refresh = 1d\n"), ("systemd", "'refresh = 1d'")])
def test_an_updater_that_the_portal_sets_up_reports_daily(name: str, part: str) -> None:
    written = text(name)
    assert part in written
    assert written.index(f"[{FQDN}]") < written.index("refresh = 1d"), "for this name, and no other provider's"


def test_without_a_secret_a_placeholder_stands_there() -> None:
    for found in configurations(Target(FQDN, SERVER)):
        assert PLACEHOLDER in "".join(part.text for part in found.parts), found.name


def test_a_keys_login_is_used_for_its_hosts() -> None:
    for name in ("curl", "ddclient-3", "inadyn", "fritzbox", "home-assistant", "terraform", "lego-http", "acme-dns"):
        assert "k-abc123" in text(name, login="k-abc123")


def test_fields_are_pairs() -> None:
    for found in configurations(Target(FQDN, SERVER, HOSTILE)):
        for part in found.parts:
            if part.language == FIELDS:
                assert dict(part.fields)["Password"] == HOSTILE
                assert all(label and value for label, value in part.fields)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fqdn": "vm 7.example.org"},
        {"fqdn": "vm\n.example.org"},
        {"fqdn": "a'b.example.org"},
        {"server": "https://ddns.example.org/a b"},
        {"server": "javascript:alert(1)"},
        {"server": "https://a:b@ddns.example.org"},
        {"server": "https://ddns.example.org?x=1"},
        {"secret": "two\nlines"},
        {"secret": ""},
        {"secret": "schlüssel"},
        {"login": "a b"},
    ],
)
def test_what_needs_no_quoting_is_refused_where_it_would(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"not usable in a configuration: {next(iter(wrong))}"):
        Target(**({"fqdn": FQDN, "server": SERVER} | wrong))


def test_the_updaters_files_and_no_others() -> None:
    folder = Path(__file__).parents[3] / "roles" / "ddns_client" / "files"
    assert {name: shipped(name) for name in SHIPPED} == {name: (folder / name).read_bytes() for name in SHIPPED}
    with pytest.raises(ValueError, match="ddns-update-with"):
        shipped("ddns-update-with")


# ---- a secret ends where it should; each reader is that of the language, or a small one of its strings


def backslashed(quoted: str) -> str:
    """What a string in double quotes says, where a backslash takes the next character as it is."""
    assert re.fullmatch(r'"(?:[^"\\]|\\.)*"', quoted), quoted
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])


def found(pattern: str, content: str) -> str:
    """The only match's group."""
    (match,) = re.findall(pattern, content, re.M)
    return str(match)


class Loader(yaml.SafeLoader):
    """YAML with the tags of Ansible and Home Assistant."""


Loader.add_constructor("!unsafe", lambda _loader, node: node.value)
Loader.add_constructor("!secret", lambda _loader, node: f"secret {node.value}")


def loaded(content: str) -> Any:
    return yaml.load(content, Loader)


def of_curl(content: str) -> str:
    *printed, line, pipe, curl, _, _, _, _, url = shlex.split(content)
    assert (printed, pipe, curl, url) == (["printf", "%s\\n"], "|", "curl", f"{SERVER}/nic/update")
    return backslashed(line.removeprefix("user = ")).removeprefix(f"{FQDN}:")


def of_runcmd(content: str) -> str:
    (command,) = loaded(content)["runcmd"]
    return quoted_url(command[1])


def quoted_url(url: str) -> str:
    userinfo = found(r"^https://([^/@]*)@ddns\.example\.org/nic/update$", url)
    return re.sub(r"%([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), userinfo.partition(":")[2])


def of_user_data(content: str) -> str:
    files = {file["path"]: file for file in loaded(content)["write_files"]}
    return str(files[f"/etc/ddns-update/secrets/{FQDN}"]["content"]).removesuffix("\n")


def of_script(content: str) -> str:
    begin = content.index("(umask")
    words = shlex.split(content[begin : content.index(f"/secrets/{FQDN})", begin)])
    assert words[:4] == ["(umask", "077;", "printf", "%s\\n"]
    return words[4]


READERS: dict[str, tuple[int, Callable[[str], str]]] = {
    "curl": (0, of_curl),
    "cloud-init": (0, of_user_data),
    "cloud-init-runcmd": (0, of_runcmd),
    "systemd": (0, of_script),
    # ddclient takes all between the first and the last quote of the line
    "ddclient-3": (0, lambda t: found(r"^password='(.*)'$", t)),
    "ddclient-4": (0, lambda t: found(r"^password='(.*)'$", t)),
    "inadyn": (0, lambda t: backslashed(found(r"^    password = (.*)$", t))),
    "openwrt": (0, lambda t: shlex.split(found(r"^\toption password (.*)$", t))[0]),
    "mikrotik": (0, lambda t: backslashed(found(r"password=(.*) output=none$", t))),
    "home-assistant": (1, lambda t: str(loaded(t)["ddns_secret"])),
    "ansible": (0, lambda t: str(loaded(t)[0]["vars"]["ddns_client_names"][0]["secret"])),
    "lego-http": (0, lambda t: shlex.split(found(r"HTTPREQ_PASSWORD=(.*)$", t))[0]),
    "acme-dns": (0, lambda t: str(json.loads(t)[FQDN]["password"])),
    "terraform": (1, lambda t: hcl_string(found(r"^ddns_secret = (.*)$", t))),
}


def hcl_string(quoted: str) -> str:
    assert "${" not in quoted
    assert "%{" not in quoted
    return str(json.loads(quoted))


def test_every_text_with_a_secret_is_read_here() -> None:
    forms = {entry.name for entry in CATALOGUE if entry.parts[0][2] == FIELDS}
    assert READERS.keys() == {entry.name for entry in CATALOGUE} - forms


@pytest.mark.parametrize("name", READERS)
@settings(deadline=None)
@given(secret=SECRETS)
@example(secret=HOSTILE)
@example(secret="${a}%{b}$${c}%%{d}")
@example(secret="'")
@example(secret="UPDATER")
def test_a_secret_stays_within_its_quotes(name: str, secret: str) -> None:
    part, read = READERS[name]
    content = text(name, secret, part)
    assert read(content) == secret
    assert len(content.splitlines()) == len(text(name, "x", part).splitlines())


@given(secret=SECRETS)
def test_systemd_reads_one_word(secret: str) -> None:
    assert backslashed(escaping.systemd(secret)) == secret.replace("%", "%%")


# ---- cloud-init


def test_user_data_is_that_of_ddnsctl() -> None:
    assert loaded(text("cloud-init")) == yaml.safe_load(cloud_init.with_secret(FQDN, SERVER, SECRET))
    assert loaded(text("cloud-init-runcmd")) == yaml.safe_load(cloud_init.with_curl(FQDN, SERVER, SECRET))
    below = f"{SERVER}/ddns"
    assert loaded(text("cloud-init", server=below)) == yaml.safe_load(cloud_init.with_secret(FQDN, below, SECRET))


def test_user_data_holds_the_updater() -> None:
    files = {file["path"]: file for file in loaded(text("cloud-init"))["write_files"]}
    program = files["/usr/local/sbin/ddns-update"]
    assert gzip.decompress(base64.b64decode(program["content"])) == shipped("ddns-update")


# ---- the port for DNS UPDATE


PORT = UpdatePort.of(["192.0.2.53:5301"], ["hmac-md5", "hmac-sha512"], "ddns.example.org")


def dns_texts(name: str, port: UpdatePort | None = PORT, login: str = "") -> list[str]:
    assert port is not None
    made = dns_configurations(DnsTarget(FQDN, "dyn.example.org", port, SECRET, login))
    assert [one.name for one in made] == [entry.name for entry in DNS_CATALOGUE]
    return [part.text for one in made if one.name == name for part in one.parts]


@pytest.mark.parametrize("name", [entry.name for entry in DNS_CATALOGUE])
def test_every_text_for_dns_has_the_key(name: str) -> None:
    whole = "".join(dns_texts(name, login="k-abc123"))
    assert tsig_secret(SECRET) in whole
    assert SECRET not in whole
    for part in ("k-abc123", "192.0.2.53"):
        assert part in whole


def test_the_key_file_of_nsupdate() -> None:
    key, _ = dns_texts("nsupdate")
    read = TsigKey.from_text(key)
    assert (read.name, read.algorithm, read.secret) == (FQDN, "hmac-sha512", tsig_secret(SECRET))


def test_the_issuer_of_cert_manager() -> None:
    secret, issuer = yaml.safe_load_all(dns_texts("cert-manager")[0])
    (solver,) = issuer["spec"]["acme"]["solvers"]
    reference = solver["dns01"]["rfc2136"].pop("tsigSecretSecretRef")
    assert secret["metadata"]["name"] == reference["name"]
    assert secret["stringData"][reference["key"]] == tsig_secret(SECRET)
    rfc2136 = {"nameserver": "192.0.2.53:5301", "tsigKeyName": FQDN, "tsigAlgorithm": "HMACSHA512"}
    assert solver == {"dns01": {"rfc2136": rfc2136}}


def test_the_page_shows_the_issuer_of_cert_manager() -> None:
    page = (Path(__file__).parents[3] / "docs" / "dns-update.md").read_text()
    (block,) = re.findall(r"## cert-manager\n.*?```yaml\n(.*?)```", page, re.DOTALL)
    port = UpdatePort("ddns.example.org", None, 5301, ("hmac-sha256",))
    made = dns_configurations(DnsTarget("home.dyn.example.org", "dyn.example.org", port))
    (text,) = (part.text for one in made if one.name == "cert-manager" for part in one.parts)
    assert list(yaml.safe_load_all(block)) == list(yaml.safe_load_all(text))


def test_the_command_of_mikrotik() -> None:
    *_, command = dns_texts("mikrotik-dns")[0].splitlines()
    path, name, *rest = command.split()
    given = dict(part.split("=", 1) for part in rest)
    assert (path, name, given["name"], given["zone"]) == ("/tool", "dns-update", '"vm-7"', '"dyn.example.org"')
    assert backslashed(given["key"]) == tsig_secret(SECRET)


def test_where_the_port_is() -> None:
    assert UpdatePort.of([], ["hmac-sha256"], "ddns.example.org") is None
    every = UpdatePort.of(["[::]:5301"], ["hmac-sha256"], "ddns.example.org")
    assert every is not None
    assert (every.server, every.address, every.endpoint) == ("ddns.example.org", None, "ddns.example.org:5301")
    assert "dns_rfc2136_server = ADDRESS\n" in dns_texts("certbot", every)[0]
    ipv6 = UpdatePort.of(["[2001:db8::53]:53"], ["hmac-md5"], "ddns.example.org")
    assert ipv6 is not None
    assert (ipv6.address, ipv6.endpoint, ipv6.algorithm) == ("2001:db8::53", "[2001:db8::53]:53", "hmac-md5")


def test_without_a_secret_a_placeholder_stands_in_texts_for_dns() -> None:
    assert PORT is not None
    for made in dns_configurations(DnsTarget(FQDN, "dyn.example.org", PORT)):
        assert TSIG_PLACEHOLDER in "".join(part.text for part in made.parts)
    with pytest.raises(ValueError, match="zone"):
        DnsTarget(FQDN, "dyn example", PORT)
