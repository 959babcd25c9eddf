# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns plain mappings, from YAML, JSON or an inventory, into declarations.

    version: 1
    server: URL
    stack: NAME, or {name, moved_from, protect, max_changes, gives}
    defaults: {domain, and every key of a host}
    domains: {NAME: {public, comment, ttl, group, available, dns_updates, owner, primary, key,
                     dnssec_policy, gss_realm, gss_hosts, network, reverse, adopt, adopt_from}}
    keys: {NAME: {hosts, secret}}
    hosts: {NAME: {ipv4, ipv6, alias, wildcard, comment, ttl, labels, protect, ptr, records, related, secret,
            certificate, moved_from, adopt, adopt_from, fqdn}}

A host is declared in full: a field that is not named has the default, or no value (wildcard: false). Null is no value,
also if there is a default. Default labels are merged with a host's labels. If an address is named neither in the host
nor in `defaults`, it depends on the other one:

    ipv4        ipv6        ipv4 becomes    ipv6 becomes
    -           -           KEEP            KEEP
    literal     -           literal         None
    dynamic     -           DYNAMIC         KEEP
    null        -           None            KEEP

The same is true with the families exchanged. A literal is an address, or a list of several.

With `alias`, a host has no addresses, no wildcard, no RRsets, no related names and no certificate; their defaults do
not matter. A host with an address or `dynamic` has no alias. If neither is named, an alias is kept.

RRsets are kept if a host does not name `records`. If it does, they are all of the host's RRsets, together with default
ones; `{}` is none. Null removes a default RRset, `dynamic` leaves an RRset to others. If only defaults name RRsets, a
host has these, and keeps others. The same is true of `related`.

`protect` of a host or stack, `ptr` of a host, and `gives` of a stack, are kept if they are not named.

A domain is also declared in full, except `available`, `dns_updates`, `owner`, `primary`, `key`, `dnssec_policy`,
`gss_realm`, `gss_hosts`, `network` and `reverse`, which are kept if they are not named. All errors are reported at
once.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import fields, replace
from pathlib import PurePath
from typing import Any, Callable, Iterable, Mapping, Sequence, Tuple, TypeVar

from . import names, records
from .errors import DeclarationError, Location, Problem
from .model import (
    DYNAMIC,
    EXEC,
    FILE,
    KEEP,
    NONE,
    STACK_FIELDS,
    VAULT,
    CertificateSpec,
    Declaration,
    DomainSpec,
    HostSpec,
    KeySpec,
    SecretSpec,
    Sentinel,
)
from .policy import Limits

T = TypeVar("T")
Keeper = TypeVar("Keeper", HostSpec, KeySpec)
"""What has a secret."""
Path = Tuple[Any, ...]
"""The keys from the top of the document to a value."""
Locate = Callable[[Path], "Location | None"]
"""Returns the position of the key at a path, or of its value if only that is known."""

_TOP = ("version", "server", "stack", "defaults", "domains", "hosts", "keys")
_KEY_OPTIONS = ("hosts", "secret")
_STACK = ("name", "moved_from", "protect", "max_changes", "gives")
_ADDRESSES: dict[str, Callable[[Any], str | list[str]]] = {"ipv4": names.ipv4s, "ipv6": names.ipv6s}
_BESIDE_ALIAS = (*_ADDRESSES, "wildcard", "records", "related", "certificate")
"""What an alias does not have."""
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "wildcard": names.flag,
    "comment": names.comment,
    "ttl": names.ttl,
    "labels": names.labels,
    "protect": names.flag,
    "ptr": names.flag,
}
_CERTIFICATE = ("key", FILE)
_HOST = (
    *_ADDRESSES,
    "alias",
    *_PLAIN,
    "records",
    "related",
    "secret",
    "certificate",
    "moved_from",
    "adopt",
    "adopt_from",
    "fqdn",
)
_DEFAULTS = ("domain", *_HOST)
_DOMAIN: dict[str, Callable[[Any], Any]] = {
    "public": names.flag,
    "comment": names.comment,
    "ttl": names.ttl,
    "group": names.group,
    "available": names.flag,
    "dns_updates": names.flag,
    "adopt": names.flag,
    "adopt_from": names.user,
    "owner": names.user,
    "primary": names.endpoint,
    "dnssec_policy": names.dnssec_policy,
    "gss_realm": names.gss_realm,
    "gss_hosts": names.flag,
    "network": names.network,
    "reverse": names.reverse,
}
_KEY = "key"
_DOMAIN_KEYS = (*_DOMAIN, _KEY)
_NOTHING: dict[str, Any] = {
    "wildcard": False,
    "comment": None,
    "ttl": None,
    "labels": {},
    "protect": False,
    "ptr": False,
}
_KEPT = ("protect", "ptr")
"""Fields of a host that are kept if they are not named."""
_NO_DOMAIN_OPTIONS: dict[str, Any] = {"public": False, "comment": None, "ttl": None, "group": None, "adopt": False}
_TOLD = (*_ADDRESSES, "alias", "available", "dns_updates", "gss_hosts", "records", "related")
"""Fields for which null or an empty mapping is not the same as no value."""
_COMPLETE = {"keeps_records": False, "keeps_related": False}
_NAME = "{name}"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def declaration(data: Any, *, default_domain: str | None = None, locate: Locate = lambda _path: None) -> Declaration:
    """The declaration in a document. `default_domain` is used if it names none. Raises DeclarationError."""
    reader = _Reader(locate)
    declared = reader.document(data, default_domain)
    reader.problems += _clashes(declared.hosts.values(), declared.keys.values())
    reader.finish()
    return declared


def host_spec(
    fqdn: Any, options: Mapping[str, Any], *, default_domain: str | None = None, locate: Locate = lambda _path: None
) -> HostSpec:
    """One host with only some fields declared. Fields that are not in `options` are KEEP. Raises DeclarationError."""
    reader = _Reader(locate)
    domain = reader.default_domain(("domain",), default_domain, None)
    name = reader.value(("fqdn",), lambda value: names.host_name(value, domain), fqdn, "")
    reader.known_keys((), options, tuple(key for key in _HOST if key != "fqdn"))
    spec = reader.host((), name, options, {}, domain)
    reader.finish()
    return spec


def merge(declarations: Sequence[Declaration]) -> Declaration:
    """Merge documents. Raises DeclarationError if something is declared twice, or stacks or servers differ."""
    problems: list[Problem] = []
    stack = _agreed("stack", declarations, problems)
    server = _agreed("server", declarations, problems)
    max_changes: Limits | None = _agreed("max_changes", declarations, problems)
    options = {name: _agreed(name, declarations, problems) for name in ("moved_from", *STACK_FIELDS)}
    hosts = _united("host", [d.hosts for d in declarations], problems)
    domains = _united("domain", [d.domains for d in declarations], problems)
    keys = _united("key", [d.keys for d in declarations], problems)
    problems += _clashes(hosts.values(), keys.values())
    if problems:
        raise DeclarationError(problems)
    where = declarations[0].where if declarations else None
    return Declaration(stack, server, hosts, domains, where, max_changes, keys, **options)


def as_data(declared: Declaration) -> dict[str, Any]:
    """The plain values that `declaration` turns into an equal declaration again. Nothing is left to a default."""
    limit = declared.max_changes
    options = {
        "moved_from": declared.moved_from,
        "protect": declared.protect,
        "max_changes": None if limit is None else str(limit),
        "gives": None if declared.gives is None else dict(declared.gives),
    }
    named = {name: value for name, value in options.items() if value is not None}
    stack: Any = {"name": declared.stack, **named} if named else declared.stack
    content: dict[str, Any] = {"version": 1, "server": declared.server, "stack": stack}
    for key, specs in (("domains", declared.domains), ("hosts", declared.hosts), ("keys", declared.keys)):
        content[key] = {name: _options(spec) for name, spec in specs.items()}
    return {key: value for key, value in content.items() if value not in (None, {})}


def _options(spec: HostSpec | DomainSpec | KeySpec) -> dict[str, Any]:
    """The options of a host, domain or key, without those that say nothing."""
    found = {}
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.name == "key_file" and value is not None:
            found["key"] = {FILE: value}
        if field.name in ("dnssec_policy", "gss_realm") and value is None:
            value = NONE
        if isinstance(value, SecretSpec):
            value = value.kind if value.kind == NONE else value.as_data()
        if isinstance(value, CertificateSpec):
            value = {"key": value.key, FILE: value.file}
        silent = value is KEEP or (field.name not in (*_TOLD, *_KEPT) and value in (None, False, {}, ()))
        hidden = ("fqdn", "name", "where", "keeps_records", "keeps_related", "key", "key_file")
        if field.name not in hidden and not silent:
            found[field.name] = {k: _rrset(v) for k, v in value.items()} if field.name == "records" else _plain(value)
    if found.get("alias", ...) is None and any(found.get(family) for family in _ADDRESSES):
        del found["alias"]  # an address says it
    return found


def _plain(value: Any) -> Any:
    """The value as in a document."""
    if isinstance(value, Sentinel):
        return value.value
    return dict(value) if isinstance(value, Mapping) else value


def _rrset(content: Any) -> Any:
    """An RRset as in a document. Without a TTL it is a list."""
    return content["values"] if isinstance(content, Mapping) and content.get("ttl") is None else _plain(content)


def rebased(declared: Declaration, base: str) -> Declaration:
    """The declaration with relative paths of secrets and keys below the folder `base`."""
    hosts = {name: _with_certificate(_rebased(spec, base), base) for name, spec in declared.hosts.items()}
    domains = {
        name: replace(spec, key_file=_below(base, spec.key_file)) if spec.key_file else spec
        for name, spec in declared.domains.items()
    }
    keys = {name: _rebased(spec, base) for name, spec in declared.keys.items()}
    return replace(declared, hosts=hosts, domains=domains, keys=keys)


def _below(base: str, path: str) -> str:
    return os.path.normpath(PurePath(base) / path)


def _with_certificate(spec: HostSpec, base: str) -> HostSpec:
    if spec.certificate is None:
        return spec
    return replace(
        spec, certificate=CertificateSpec(_below(base, spec.certificate.key), _below(base, spec.certificate.file))
    )


def _rebased(spec: Keeper, base: str) -> Keeper:
    if spec.secret is None or not spec.secret.in_file:
        return spec
    return replace(spec, secret=replace(spec.secret, path=_below(base, spec.secret.path)))


def _agreed(key: str, declarations: Sequence[Declaration], problems: list[Problem]) -> Any:
    naming = [d for d in declarations if getattr(d, key) is not None]
    for other in naming[1:]:
        first, value = getattr(naming[0], key), getattr(other, key)
        if value != first and not (key == "server" and names.same_server(value, first)):
            place = f" (at {naming[0].where})" if naming[0].where else ""
            problems.append(Problem(f"{key} is {value} here and {first} elsewhere{place}", other.where, "keep one"))
    return getattr(naming[0], key) if naming else None


def _united(kind: str, parts: Iterable[Mapping[str, Any]], problems: list[Problem]) -> dict[str, Any]:
    united: dict[str, Any] = {}
    for part in parts:
        for name, spec in part.items():
            if name in united:
                problems.append(_twice(kind, name, spec.where, united[name].where))
            else:
                united[name] = spec
    return united


def _twice(kind: str, name: str, where: Location | None, first: Location | None) -> Problem:
    return Problem(f"{kind} {name} is declared twice", where, f"first at {first}" if first else "remove one")


def _clashes(hosts: Iterable[HostSpec], keys: Iterable[KeySpec]) -> list[Problem]:
    """Contradictions between hosts and keys: former names that are in use, two secrets in one file."""
    by_name = {spec.fqdn: spec for spec in hosts}
    problems = _shared_files(by_name.values(), keys)
    sources: dict[str, HostSpec] = {}
    for spec in by_name.values():
        if spec.moved_from is not None:
            other = sources.setdefault(spec.moved_from, spec)
            if other is not spec:
                text = f"{other.fqdn} and {spec.fqdn} are both moved from {spec.moved_from}"
                problems.append(Problem(text, spec.where, "keep `moved_from` at one of them"))
            if spec.moved_from in by_name:
                text = f"{spec.fqdn} is moved from {spec.moved_from}, which is declared too"
                problems.append(Problem(text, spec.where, "remove `moved_from`, or the old host"))
    return problems


def _shared_files(hosts: Iterable[HostSpec], keys: Iterable[KeySpec]) -> list[Problem]:
    """A problem for each secret, certificate or key that would go to the file of another one."""
    problems: list[Problem] = []
    files: dict[str, str] = {}
    named = [(spec.fqdn, spec) for spec in hosts] + [(f"the key {spec.name}", spec) for spec in keys]
    for name, spec in named:
        if spec.secret is not None and spec.secret.in_file:
            other = files.setdefault(os.path.normpath(spec.secret.path), name)
            if other != name:
                text = f"the secrets of {other} and {name} would go to the same file {spec.secret.path}"
                problems.append(Problem(text, spec.where, "name one file for each"))
    for host in hosts:
        for path in (host.certificate.key, host.certificate.file) if host.certificate is not None else ():
            plain = os.path.normpath(path)
            if plain in files:
                text = f"the certificate of {host.fqdn} cannot have the file {path}, because {files[plain]} has it"
                problems.append(Problem(text, host.where, "name one file for each"))
            files[plain] = host.fqdn
    return problems


class _Reader:
    """Reads one document and collects its problems."""

    def __init__(self, locate: Locate) -> None:
        self.locate = locate
        self.problems: list[Problem] = []

    def finish(self) -> None:
        """Raises DeclarationError if anything is wrong."""
        if self.problems:
            raise DeclarationError(self.problems)

    def report(self, path: Path, text: str, hint: str = "") -> None:
        """Add a problem. Its text begins with the path."""
        subject = ".".join(map(str, path))
        self.problems.append(Problem(f"{subject}: {text}" if subject else text, self.locate(path), hint))

    def value(self, path: Path, parse: Callable[[Any], T], value: Any, otherwise: T) -> T:
        """The parsed value; if it is invalid, `otherwise`, and the problem is reported."""
        try:
            return parse(value)
        except ValueError as error:
            self.report(path, str(error))
            return otherwise

    def known_keys(self, path: Path, given: Mapping[Any, Any], known: Sequence[str]) -> None:
        """Report each unknown key."""
        for key in given:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean `{close[0]}`?" if close else "known: " + ", ".join(known)
                self.report((*path, key), "unknown key", hint)

    def mapping(self, path: Path, value: Any) -> Mapping[Any, Any]:
        """The value, which must be a mapping or null."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.report(path, f"must be a mapping, not {names.kind(value)}")
            return {}
        return value

    def document(self, data: Any, default_domain: str | None) -> Declaration:
        """A whole document."""
        top = self.mapping((), data)
        if self.problems:
            return Declaration()
        self.known_keys((), top, _TOP)
        self.version(top)
        server = self.optional(top, "server", names.server_url)
        given = self.mapping(("defaults",), top.get("defaults"))
        self.known_keys(("defaults",), given, _DEFAULTS)
        domain = self.default_domain(("domain",), default_domain, None)
        domain = self.default_domain(("defaults", "domain"), given.get("domain"), domain)
        defaults = self.defaults(given)
        stack, options = self.stack(top.get("stack"), domain)
        domains = self.domains(self.mapping(("domains",), top.get("domains")))
        hosts = self.hosts(self.mapping(("hosts",), top.get("hosts")), defaults, domain)
        keys = self.keys(self.mapping(("keys",), top.get("keys")), domain)
        for name in sorted((options.get("gives") or {}).keys() & hosts.keys()):
            self.report(("stack", "gives", name), "is declared here, too", "move it to the other declaration")
        return Declaration(stack, server, hosts, domains, self.locate(()), keys=keys, **options)

    def version(self, top: Mapping[Any, Any]) -> None:
        """Check that it is version 1."""
        version = top.get("version")
        if version is None:
            self.report(("version",), "is missing", "write `version: 1`")
        elif isinstance(version, bool) or version not in (1, "1", "1.0"):
            self.report(("version",), f"must be 1, not {version!r}", "this program reads only version 1")

    def optional(self, top: Mapping[Any, Any], key: str, parse: Callable[[Any], str]) -> str | None:
        """A text; None if it is missing or null."""
        return None if top.get(key) is None else self.value((key,), parse, top[key], "")

    def stack(self, value: Any, domain: str | None) -> tuple[str | None, dict[str, Any]]:
        """The name of the stack, and the fields of `Declaration` for its options."""
        if value is None or not isinstance(value, Mapping):
            return (None if value is None else self.value(("stack",), names.stack, value, "")), {}
        self.known_keys(("stack",), value, _STACK)
        if value.get("name") is None:
            self.report(("stack", "name"), "is missing", "write the name of the stack")
        parsers: dict[str, Callable[[Any], Any]] = {
            "name": names.stack,
            "moved_from": names.stack,
            "protect": names.flag,
            "max_changes": lambda given: Limits.parse(str(given)),
            "gives": lambda given: self.gives(given, domain),
        }
        found = {
            key: self.value(("stack", key), parse, value[key], None)
            for key, parse in parsers.items()
            if value.get(key) is not None
        }
        if found.get("moved_from") and found.get("moved_from") == found.get("name"):
            self.report(("stack", "moved_from"), "is the stack's own name", "remove it")
            del found["moved_from"]
        return found.pop("name", None), found

    def gives(self, value: Any, domain: str | None) -> dict[str, str]:
        """Full names of hosts, and the stacks that may take them."""
        path = ("stack", "gives")
        found = {}
        for key, stack in self.mapping(path, value).items():
            name = self.value((*path, key), lambda given: names.host_name(given, domain), key, "")
            found[name] = self.value((*path, key), names.stack, stack, "")
        return found

    def default_domain(self, path: Path, value: Any, otherwise: str | None) -> str | None:
        """The domain of names without a dot. An invalid one is reported once, and not again for each name."""
        return otherwise if value is None else self.value(path, names.domain_name, value, "invalid")

    def defaults(self, given: Mapping[Any, Any]) -> dict[str, Any]:
        """The default values by field. The secret is a template."""
        found: dict[str, Any] = {
            key: self.value(("defaults", key), parse, given[key], None)
            for key, parse in {**_PLAIN, **_DEFAULT_ONLY}.items()
            if given.get(key) is not None
        }
        if given.get("records"):
            found["records"] = self.records(("defaults", "records"), given["records"])
            found["keeps_records"] = True
        if given.get("related"):
            found["related"] = self.related(("defaults", "related"), given["related"])
            found["keeps_related"] = True
        if given.get("alias") is not None:
            found["alias"] = self.value(("defaults", "alias"), names.alias, given["alias"], None)
        if given.get("secret") is not None:
            template = self.secret(("defaults", "secret"), given["secret"])
            varies = template and _PLACEHOLDER.search(" ".join((template.path, *template.command)))
            if template and template.kind != NONE and not varies:
                what = "command" if template.kind == EXEC else "file"
                hint = "add {name} or {fqdn} to it"
                self.report(("defaults", "secret", template.kind), f"is the same {what} for all hosts", hint)
            found["secret"] = template
        if given.get("certificate") is not None:
            files = self.certificate(("defaults", "certificate"), given["certificate"])
            for kind in _CERTIFICATE if files is not None else ():
                if not _PLACEHOLDER.search(getattr(files, kind)):
                    text = "is the same file for all hosts"
                    self.report(("defaults", "certificate", kind), text, "add {name} or {fqdn} to it")
            found["certificate"] = files
        found = {key: value for key, value in found.items() if value is not None}
        for family, parse in _ADDRESSES.items():
            if family in given:  # null is a value: no record
                found[family] = self.address(("defaults", family), parse, given[family])
        return found

    def secret(self, path: Path, value: Any) -> SecretSpec | None:
        """The file or the command for a secret, with placeholders, or `none`; None if it is null or invalid."""
        if isinstance(value, str) and value.strip().lower() == NONE:
            return SecretSpec(NONE)
        given = self.mapping(path, value)
        self.known_keys(path, given, (FILE, VAULT, EXEC))
        named = [key for key in (FILE, VAULT, EXEC) if given.get(key) is not None]
        if len(named) != 1:
            if isinstance(value, Mapping):
                self.report(path, "needs either `file`, `vault` or `exec`")
            return None
        (kind,) = named
        if kind == EXEC:
            nothing: tuple[str, ...] = ()
            command = self.value((*path, kind), _command, given[kind], nothing)
            self.placeholders((*path, kind), command)
            return SecretSpec(kind, command=command) if command else None
        where = self.value((*path, kind), names.text, given[kind], "")
        self.placeholders((*path, kind), [where])
        return SecretSpec(kind, where)

    def certificate(self, path: Path, value: Any) -> CertificateSpec | None:
        """The files of a certificate and its key, with placeholders; None if it is null or invalid."""
        given = self.mapping(path, value)
        self.known_keys(path, given, _CERTIFICATE)
        if given is not value:
            return None
        files = {}
        for kind in _CERTIFICATE:
            if given.get(kind) is None:
                self.report(path, f"needs `{kind}`", "name the files of the key and of the certificate")
            else:
                files[kind] = self.value((*path, kind), names.text, given[kind], "")
                self.placeholders((*path, kind), [files[kind]])
        return CertificateSpec(**files) if len(files) == len(_CERTIFICATE) else None

    def placeholders(self, path: Path, texts: Iterable[str]) -> None:
        """Report each unknown placeholder."""
        for placeholder in _PLACEHOLDER.findall(" ".join(texts)):
            if placeholder not in ("name", "fqdn"):
                self.report(path, f"unknown placeholder {{{placeholder}}}", "known: {name}, {fqdn}")

    def domains(self, given: Mapping[Any, Any]) -> dict[str, DomainSpec]:
        """The declared domains, by name."""
        found: dict[str, DomainSpec] = {}
        for key, value in given.items():
            path = ("domains", key)
            name = self.value(path, names.domain_name, key, "")
            options = self.mapping(path, value)
            self.known_keys(path, options, _DOMAIN_KEYS)
            fields = dict(_NO_DOMAIN_OPTIONS)
            for option, item in options.items():
                if option in _DOMAIN and item is not None:
                    fields[option] = self.value((*path, option), _DOMAIN[option], item, None)
            if options.get(_KEY) is not None:
                fields["key_file"] = self.key_file((*path, _KEY), options[_KEY])
            self.keep("domain", found, DomainSpec(name, where=self.locate(path), **fields))
        return found

    def key_file(self, path: Path, value: Any) -> str | None:
        """The file with a TSIG key; None if it is invalid."""
        given = self.mapping(path, value)
        self.known_keys(path, given, (FILE,))
        if given.get(FILE) is None:
            self.report(path, "needs `file`", "name the file with the TSIG key")
            return None
        return self.value((*path, FILE), names.text, given[FILE], None)

    def keys(self, given: Mapping[Any, Any], domain: str | None) -> dict[str, KeySpec]:
        """The declared keys, by name."""
        found: dict[str, KeySpec] = {}
        for key, value in given.items():
            path = ("keys", key)
            name = self.value(path, names.credential, key, "")
            options = self.mapping(path, value)
            self.known_keys(path, options, _KEY_OPTIONS)
            hosts = options.get("hosts")
            if not isinstance(hosts, list) or not hosts:
                self.report((*path, "hosts"), "needs a list of hosts")
                hosts = []
            full = {
                self.value((*path, "hosts", index), lambda given_name: names.host_name(given_name, domain), host, "")
                for index, host in enumerate(hosts)
            }
            if options.get("secret") is None:
                self.report((*path, "secret"), "is missing", "name a file, or write `secret: none`")
            secret = None if options.get("secret") is None else self.secret((*path, "secret"), options["secret"])
            self.keep("key", found, KeySpec(name, tuple(sorted(full)), secret, self.locate(path)))
        return found

    def keep(self, kind: str, found: dict[str, Any], spec: Any) -> None:
        """Add a spec under its name. Reports a duplicate; an invalid name is already reported."""
        name = spec.fqdn if isinstance(spec, HostSpec) else spec.name
        if name in found:
            self.problems.append(_twice(kind, name, spec.where, found[name].where))
        elif name:
            found[name] = spec

    def hosts(self, given: Mapping[Any, Any], defaults: Mapping[str, Any], domain: str | None) -> dict[str, HostSpec]:
        """The declared hosts, by full name."""
        found: dict[str, HostSpec] = {}
        own = {name: value for name, value in _NOTHING.items() if name not in _KEPT}
        nothing = {**own, "labels": {}, **{field: value for field, value in defaults.items() if field != "fqdn"}}
        for key, value in given.items():
            path = ("hosts", key)
            options = self.mapping(path, value)
            self.known_keys(path, options, _HOST)
            own, place = (options["fqdn"], (*path, "fqdn")) if options.get("fqdn") is not None else (key, path)
            if "fqdn" in defaults and "fqdn" not in options:
                own = defaults["fqdn"].replace(_NAME, str(key).partition(".")[0])
            name = self.value(place, lambda given_name: names.host_name(given_name, domain), own, "")
            self.keep("host", found, self.host(path, name, options, nothing, domain))
        return found

    def host(
        self, path: Path, name: str, options: Mapping[Any, Any], otherwise: Mapping[str, Any], domain: str | None
    ) -> HostSpec:
        """One host. `otherwise` has the values of fields that are not named; fields in neither are KEEP."""
        fields: dict[str, Any] = dict(otherwise)
        for key, value in options.items():
            parse = _PLAIN.get(key)
            if parse is not None:
                fields[key] = _NOTHING[key] if value is None else self.value((*path, key), parse, value, None)
        if otherwise.get("labels") and options.get("labels") is not None:
            fields["labels"] = {**otherwise["labels"], **(fields["labels"] or {})}
        if "records" in options:
            own = self.records((*path, "records"), options["records"] or {})
            defaults = otherwise.get("records", {}) if own else {}
            fields.update(records={**defaults, **own}, keeps_records=False)
        if "related" in options:
            named = self.related((*path, "related"), options["related"] or {})
            defaults = otherwise.get("related", {}) if named else {}
            fields.update(related={**defaults, **named}, keeps_related=False)
        if "certificate" in options:
            fields["certificate"] = self.certificate((*path, "certificate"), options["certificate"])
        if fields.get("certificate") is not None:
            files = fields["certificate"]
            fields["certificate"] = CertificateSpec(*(_filled_text(text, name) for text in (files.key, files.file)))
        fields.update(self.addresses(path, options, otherwise, full=bool(otherwise)))
        fields.update(self.alias(path, options, otherwise, fields))
        if "secret" in options:
            fields["secret"] = self.secret((*path, "secret"), options["secret"])
        if fields.get("secret") is not None:
            fields["secret"] = _filled(fields["secret"], name)
        if "adopt" in options:
            given = options["adopt"]
            fields["adopt"] = given is not None and self.value((*path, "adopt"), names.flag, given, False)
        if "adopt_from" in options:
            given = options["adopt_from"]
            fields["adopt_from"] = None if given is None else self.value((*path, "adopt_from"), names.user, given, None)
        if "moved_from" in options:
            given = options["moved_from"]
            fields["moved_from"] = None if given is None else self.former(path, name, given, domain)
        elif fields.get("moved_from") is not None:
            former = fields["moved_from"].replace(_NAME, name.partition(".")[0])
            former = self.value(("defaults", "moved_from"), lambda given: names.host_name(given, domain), former, name)
            fields["moved_from"] = None if former == name else former
        if fields.get("wildcard") is True and len(name) > names.WILDCARD_NAME_LENGTH:
            self.report(path, f"has a wildcard, and its name has {len(name)} characters", names.WILDCARD_ADVICE)
        return HostSpec(name, where=self.locate(path), **fields)

    def records(self, path: Path, value: Any) -> Mapping[str, Any]:
        """The declared RRsets."""
        return self.value(path, _records, value, {})

    def related(self, path: Path, value: Any) -> Mapping[str, str | None]:
        """The declared related names."""
        return self.value(path, _related, value, {})

    def alias(
        self, path: Path, options: Mapping[Any, Any], otherwise: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The alias, and what a host with an alias does not have; see the module."""
        given = options.get("alias")
        beside = [key for key in _BESIDE_ALIAS if options.get(key) and (key != "wildcard" or fields.get(key) is True)]
        if given is not None:
            target = self.value((*path, "alias"), names.alias, given, None)
            if beside:
                text = f"an alias has no {', no '.join(beside)}"
                self.report((*path, "alias"), text, "remove these, or the alias")
        elif "alias" in options or beside or otherwise.get("alias") is None:
            addressed = any(fields.get(family, KEEP) not in (KEEP, None) for family in _ADDRESSES)
            return {"alias": None} if addressed or "alias" in options or "alias" in otherwise else {}
        else:
            target = otherwise["alias"]
        nothing: dict[str, Any] = {"records": {}, "related": {}, "certificate": None}
        return {"alias": target, "ipv4": None, "ipv6": None, "wildcard": False, **nothing, **_COMPLETE}

    def former(self, path: Path, name: str, value: Any, domain: str | None) -> str | None:
        """The full former name."""
        place = (*path, "moved_from")
        former = self.value(place, lambda given: names.host_name(given, domain), value, "")
        if former and former == name:
            self.report(place, "is the host's own name", "remove it")
            return None
        return former or None

    def addresses(
        self, path: Path, options: Mapping[Any, Any], otherwise: Mapping[str, Any], *, full: bool
    ) -> dict[str, str | list[str] | Sentinel | None]:
        """Both families, as in the table above. If `full` is false, a family that is not named is kept."""
        found: dict[str, str | list[str] | Sentinel | None] = {}
        for family, parse in _ADDRESSES.items():
            if family in options:
                found[family] = self.address((*path, family), parse, options[family])
            elif family in otherwise:
                found[family] = otherwise[family]
        if len(found) == 1 and full and isinstance(next(iter(found.values())), (str, list)):
            found = {"ipv4": None, "ipv6": None, **found}
        return found

    def address(
        self, path: Path, parse: Callable[[Any], str | list[str]], value: Any
    ) -> str | list[str] | Sentinel | None:
        """An address or several, DYNAMIC or None."""
        if value is None:
            return None
        if isinstance(value, str) and value.strip().lower() == "dynamic":
            return DYNAMIC
        try:
            return parse(value)
        except ValueError as error:
            like = isinstance(value, str) and difflib.get_close_matches(value.lower(), ["dynamic"])
            self.report(path, str(error), "did you mean `dynamic`?" if like else "")
            return KEEP


def _records(value: Any) -> Mapping[str, Any]:
    return records.declared(value)


def _related(value: Any) -> Mapping[str, str | None]:
    return names.related(value)


def _command(value: Any) -> tuple[str, ...]:
    """A program and its arguments."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError("must be a list: the program and its arguments")
    return tuple(map(names.text, value))


def _template(value: Any) -> str:
    """A name with the placeholder {name}."""
    given = names.text(value).strip()
    if _NAME not in given or set(_PLACEHOLDER.findall(given)) != {"name"}:
        raise ValueError(f"{given!r} is the same name for all hosts; write {_NAME} for the first label of each host")
    return given


_DEFAULT_ONLY: dict[str, Callable[[Any], Any]] = {
    "adopt": names.flag,
    "adopt_from": names.user,
    "moved_from": _template,
    "fqdn": _template,
}
"""How values of `defaults` are read that are read differently in a host."""


def _filled(template: SecretSpec, fqdn: str) -> SecretSpec:
    if "{" not in template.path and not template.command:
        return template
    command = tuple(_filled_text(text, fqdn) for text in template.command)
    return replace(template, path=_filled_text(template.path, fqdn), command=command)


def _filled_text(template: str, fqdn: str) -> str:
    return template.replace("{name}", fqdn.partition(".")[0]).replace("{fqdn}", fqdn)
