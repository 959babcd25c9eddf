# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolves what declarations are composed of, before they are validated: includes, variables, ranges and defaults.

    include: [hosts/web.yml]                    files with further hosts, or with shared values
    vars: {net: 192.0.2}                        `${net}` in any text below; null: it must be given
    environments: {prod: {net: 198.51.100}}     values for --env prod
    x-common: &common {ttl: 300}                not read; a place for anchors
    hosts: {"node-[01..20]": {ipv4: "${net}.${n}"}}

`vars`, `environments` and `defaults` apply to their own file and to the files that it includes; the nearer file wins. A
file without hosts and domains passes them on to the file that includes it, too. `server` is never composed.

The result has a document for each file, with only the keys of `declare`. Positions are those of the files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Callable, NamedTuple, Protocol

from .problems import DeclarationError, Location, Problem
from .reader import Document, Map, Placed, Seq, read
from .variables import DIGITS, NUMBER, Outside, Scope, Spend, Substitution, add, declared, like

INCLUDE, VARS, ENVIRONMENTS, IGNORED = "include", "vars", "environments", "x-"
DEFAULTS, HOSTS, DOMAINS, KEYS, SERVER = "defaults", "hosts", "domains", "keys", "server"
LABELS, SECRET, FILE, VAULT = "labels", "secret", "file", "vault"
COMPOSED = (INCLUDE, VARS, ENVIRONMENTS)
"""Keys that a resolved declaration no longer has."""
_PLAIN = ("version", SERVER)
"""Keys whose values are taken as they are."""
STDIN = "-"
MOST_FILES, MOST_LEVELS = 1000, 20
MOST_HOSTS = 100_000
"""The most hosts that all ranges may make."""
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_BOUNDS = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})\Z", re.ASCII)

Report = Callable[..., None]
"""Reports a problem: its path, what is wrong, and what to do."""


class Files(Protocol):
    """Access to files. A file is named as in messages."""

    def path(self, file: str) -> str:
        """Where the file is."""

    def content(self, file: str) -> bytes:
        """The content. Raises OSError."""


class _Include(NamedTuple):
    where: Location | None
    file: str
    path: str


class _File(NamedTuple):
    """A file with the files that it includes."""

    document: Document
    path: str
    where: Location | None
    """Where it is included; None if the user has named it."""
    included: tuple[_File, ...]

    def value(self, key: str) -> Any:
        """The value of a key at the top level; None without one."""
        return self.document.data.get(key) if isinstance(self.document.data, Mapping) else None

    @property
    def shares(self) -> bool:
        """Whether it has only values for other files."""
        return not any(map(self.value, (HOSTS, DOMAINS, KEYS)))

    def all(self) -> Iterator[_File]:
        """This file and all that it includes."""
        yield self
        for file in self.included:
            yield from file.all()


class _Shared(NamedTuple):
    """What applies to a file: variables, and the `defaults` of files, the nearest first."""

    variables: Mapping[str, Any] = {}
    environments: Mapping[str, Mapping[str, Any]] = {}
    defaults: tuple[tuple[Document, Mapping[Any, Any]], ...] = ()

    def over(self, other: _Shared) -> _Shared:
        """Both; these values come first."""
        names = {**other.environments, **self.environments}
        environments = {n: {**other.environments.get(n, {}), **self.environments.get(n, {})} for n in names}
        return _Shared({**other.variables, **self.variables}, environments, self.defaults + other.defaults)


class Resolved(NamedTuple):
    """The documents, which may have problems of their own, and all problems of composing them."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


def resolve(documents: Sequence[Document], outside: Outside, files: Files) -> Resolved:
    """Resolve documents that the user has named. One that another one includes is not read on its own."""
    composer = _Composer(outside, files)
    roots = [composer.file(found, _Include(None, found.file, files.path(found.file))) for found in documents]
    included = {file.path for root in roots for file in root.all() if file.where is not None}
    # in a circle, every file is included; the problem is reported
    kept = [root for root in roots if root.path not in included]
    found: list[Document] = []
    if not composer.problems and (unknown := composer.unknown_environment(kept)):
        return Resolved((), (unknown,))
    try:
        for root in kept:
            found += composer.resolved(root, _Shared())
    except DeclarationError as error:
        composer.problems += error.problems
    if not composer.problems and not any(document.problems for document in found):
        composer.check_outside()
    return Resolved(tuple(found), tuple(dict.fromkeys(composer.problems)))


class _Composer:
    def __init__(self, outside: Outside, files: Files) -> None:
        self.outside, self.files = outside, files
        self.problems: list[Problem] = []
        self.read: dict[str, Document] = {}
        self.count = self.made = 0
        self.circles: set[frozenset[Location | None]] = set()
        self.places: dict[str, Location | None] = {}
        """Where the files with hosts and domains are included."""
        self.spend = Spend()
        self.variables: set[str] = set()

    def unknown_environment(self, roots: Sequence[_File]) -> Problem | None:
        """The problem if no file has the chosen environment. Otherwise each of its variables would be one."""
        given = (file.value(ENVIRONMENTS) for root in roots for file in root.all())
        known = {str(name) for section in given if isinstance(section, Mapping) for name in section}
        return self.outside.unknown_environment(known)

    def check_outside(self) -> None:
        """Report variables that no file has."""
        self.problems += self.outside.problems(self.variables)

    # ---- files

    def file(self, document: Document, include: _Include, above: tuple[_Include, ...] = ()) -> _File:
        """A file, with all that it includes."""
        if document.problems:
            document = document._replace(data=None)
        chain = (*above, include)
        found = self.includes(document) if isinstance(document.data, Mapping) else ()
        parts = tuple(part for entry in found if (part := self.part(entry, chain)) is not None)
        return _File(document, include.path, include.where, parts)

    def includes(self, document: Document) -> Iterator[_Include]:
        """The entries of `include`."""
        given = document.data.get(INCLUDE)
        if given is None:
            return
        for index, name in enumerate(given if isinstance(given, list) else [given]):
            path = (INCLUDE, index) if isinstance(given, list) else (INCLUDE,)
            if not isinstance(name, str) or not name.strip():
                self.report(document, path, "must be the path of a file, or a list of paths")
            elif Path(name).is_absolute() or "://" in name or name.startswith("~"):
                self.report(document, path, f"{name!r} is not relative", "write it relative to this file")
            elif "${" in name:
                self.report(document, path, "cannot contain variables", "use `environments` for what differs")
            else:
                file = os.path.normpath(_folder(document.file) / name)
                yield _Include(document.locate(path), file, self.files.path(file))

    def part(self, include: _Include, chain: tuple[_Include, ...]) -> _File | None:
        """An included file; None if it cannot be read."""
        self.count += 1
        paths = [entry.path for entry in chain]
        if include.path in paths:
            circle = [*chain[paths.index(include.path) + 1 :], include]
            if frozenset(entry.where for entry in circle) not in self.circles:
                self.circles.add(frozenset(entry.where for entry in circle))
                text, hint = "include: the file includes itself", "remove it"
                if len(circle) > 1:
                    text = "include: the files include each other"
                    hint = f"the others are included at {', '.join(str(entry.where) for entry in circle[:-1])}"
                self.problems.append(Problem(text, include.where, hint))
            return None
        if self.count > MOST_FILES or len(chain) > MOST_LEVELS:
            limit = f"{MOST_FILES} files" if self.count > MOST_FILES else f"{MOST_LEVELS} levels"
            self.problems.append(Problem(f"include: more than {limit} are included", include.where))
            return None
        document = self.content(include)
        return None if document is None else self.file(document, include, chain)

    def content(self, include: _Include) -> Document | None:
        """The document of an included file, which is read once."""
        if include.path not in self.read:
            try:
                self.read[include.path] = read(self.files.content(include.file), include.file)
            except OSError as error:
                missing = isinstance(error, FileNotFoundError)
                why = "does not exist" if missing else (error.strerror or str(error)).lower()
                text = f"include: {include.file} {'' if missing else 'cannot be read: '}{why}"
                self.problems.append(Problem(text, include.where))
                return None
        return self.read[include.path]

    # ---- values

    def resolved(self, file: _File, outer: _Shared) -> Iterator[Document]:
        """The documents of a file and of all that it includes."""
        if not file.shares:
            if file.path in self.places:
                first = self.places[file.path]
                text = f"include: {file.document.file} is included twice, and it has hosts or domains"
                self.problems.append(Problem(text, file.where, f"first at {first}" if first else ""))
                return
            self.places[file.path] = file.where
        shared = self.shared(file, outer)
        for part in file.included:
            yield from self.resolved(part, shared)
        yield self.document(file, shared)

    def shared(self, file: _File, outer: _Shared) -> _Shared:
        """What applies in a file: its own values, those of files with nothing else, the last first, and `outer`."""
        for part in file.included:
            if part.shares:
                outer = self.shared(part, _Shared()).over(outer)
        report = partial(self.report, file.document)
        variables = declared(file.value(VARS), (VARS,), report)
        environments = self.own_environments(file, report)
        self.variables |= variables.keys()
        defaults = file.value(DEFAULTS)
        chain = ((file.document, defaults),) if isinstance(defaults, Mapping) else ()
        return _Shared(variables, environments, chain).over(outer)

    def own_environments(self, file: _File, report: Report) -> dict[str, dict[str, Any]]:
        """The values of variables by environment."""
        given = file.value(ENVIRONMENTS)
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            report((ENVIRONMENTS,), "must be a mapping of names to variables", "such as prod: {net: 192.0.2}")
            return {}
        found = {}
        for name, values in given.items():
            path = (ENVIRONMENTS, name)
            if not isinstance(name, str) or not _ENVIRONMENT.match(name):
                report(path, "an environment's name has letters, digits, dots, hyphens and underscores", "")
            else:
                found[name] = declared(values, path, report)
                self.variables |= found[name].keys()
        return found

    def document(self, file: _File, shared: _Shared) -> Document:
        """A file's document without what is composed."""
        source = file.document
        if not isinstance(source.data, Mapping):
            return source
        if file.where is not None and source.data.get(SERVER) is not None:
            hint = "name it in the file that includes this one, or use --server"
            self.report(source, (SERVER,), "an included file cannot name the server", hint)
        if "${" in str(source.data.get(SERVER)):
            self.report(source, (SERVER,), "cannot contain variables", "use --server or DDNS_SERVER for what differs")
        self.spend.where = Location(source.file) if source.file else None
        scope = Scope(self.outside, shared.variables, shared.environments)
        substitution = Substitution(partial(self.report, source), self.variables, self.spend)
        data = like(source.data)
        for key, value in source.data.items():
            if key in COMPOSED or (isinstance(key, str) and key.startswith(IGNORED)):
                continue
            if key == HOSTS and isinstance(value, Mapping):
                value = self.hosts(value, source, scope, substitution)
            elif not (key in _PLAIN or key == DEFAULTS or source.plain):
                value = substitution.value((key,), value, scope)
            add(data, source.data, key, key, value)
        if shared.defaults and isinstance(source.data.get(DEFAULTS) or {}, Mapping):
            self.defaults(data, source, shared, scope)
        return source._replace(data=data)

    def defaults(self, data: Any, source: Document, shared: _Shared, scope: Scope) -> None:
        """Set the `defaults` of all files that apply. Values of another file keep their places there."""
        found = like(data)
        origins: dict[str, Document] = {}
        for document, given in reversed(shared.defaults):
            values = given if document is source else _placed(given, document.file)
            for key, value in values.items():
                if key == LABELS and isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
                    value = _merged(found[key], value)
                add(found, values, key, key, value)
                origins[key] = document
        data[DEFAULTS] = found
        nearest = shared.defaults[0][0]
        if isinstance(data, Map) and isinstance(nearest.data, Map):
            data.nodes[DEFAULTS] = Placed(nearest.file, nearest.data.nodes[DEFAULTS].start_mark)
        report = partial(self.report, source._replace(data=data))
        resolved: Any = Substitution(report, self.variables, self.spend).value((DEFAULTS,), found, scope)
        if origins.get(SECRET, source) is not source:
            resolved[SECRET] = _moved(resolved[SECRET], _folder(origins[SECRET].file), _folder(source.file))
        data[DEFAULTS] = resolved

    def hosts(
        self, given: Mapping[Any, Any], source: Document, scope: Scope, substitution: Substitution
    ) -> Mapping[Any, Any]:
        """The hosts of a file. A range in a name makes a host for each number."""
        if source.plain and not any("[" in key or "]" in key for key in given if isinstance(key, str)):
            return given
        found: Any = like(given)
        for key, options in given.items():
            path = (HOSTS, key)
            name = substitution.key((HOSTS,), key, scope)
            for full, numbers in self.names(name, path, substitution.report):
                if full in found:
                    substitution.report(path, f"{full} is declared twice", "remove one")
                    continue
                inner = scope._replace(numbers=numbers) if numbers else scope
                value = options if source.plain else substitution.value(path, options, inner)
                add(found, given, key, full, value)
        return found  # type: ignore[no-any-return]

    def names(self, name: Any, path: tuple[Any, ...], report: Report) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The names that a name with a range stands for, each with the variables of its number."""
        if not isinstance(name, str) or not ("[" in name or "]" in name):
            yield name, {}
            return
        ranges = _RANGE.findall(name)
        bounds = _BOUNDS.match(ranges[0]) if len(ranges) == 1 else None
        before, after = _RANGE.sub("\0", name).partition("\0")[::2]
        if bounds is None or set("[]\0") & set(before + after):
            report(path, "has no valid range", "a name may have one range, such as node-[01..20]")
            return
        first, last = bounds[1], bounds[2]
        padded = len(first) if first != "0" and first.startswith("0") else 0
        if int(first) > int(last):
            report(path, f"the range {first}..{last} begins above its end", f"write [{last}..{first}]")
        elif padded and len(first) != len(last):
            report(path, f"the range {first}..{last} has a different number of digits", "write [01..20]")
        elif self.made + int(last) - int(first) >= MOST_HOSTS:
            report(path, f"ranges make more than {MOST_HOSTS} hosts", "declare fewer")
        else:
            self.made += int(last) - int(first) + 1
            for number in range(int(first), int(last) + 1):
                digits = str(number).zfill(padded)
                yield f"{before}{digits}{after}", {NUMBER: number, DIGITS: digits}

    def report(self, document: Document, path: tuple[Any, ...], text: str, hint: str = "") -> None:
        """Add a problem. Its text begins with the path."""
        self.problems.append(Problem(f"{'.'.join(map(str, path))}: {text}", document.locate(path), hint))


def _folder(file: str) -> Path:
    return Path() if file == STDIN else Path(file).parent


def _moved(secret: Any, origin: Path, folder: Path) -> Any:
    """A secret whose path is relative to the folder of another file."""
    if not isinstance(secret, Mapping) or origin == folder:
        return secret
    copy = like(secret)
    for key, path in secret.items():
        relative = key in (FILE, VAULT) and isinstance(path, str) and path
        moved = os.path.normpath(Path(os.path.relpath(origin, folder)) / path) if relative else path
        add(copy, secret, key, key, moved)
    return copy


def _placed(value: Any, file: str) -> Any:
    """A copy whose positions name the file."""
    if isinstance(value, Map):
        copy = Map((key, _placed(item, file)) for key, item in value.items())
        copy.nodes = {key: Placed(file, node.start_mark) for key, node in value.nodes.items()}
        return copy
    if isinstance(value, Seq):
        items = Seq(_placed(item, file) for item in value)
        items.nodes = [Placed(file, node.start_mark) for node in value.nodes]
        return items
    return value


def _merged(far: Mapping[Any, Any], near: Mapping[Any, Any]) -> Mapping[Any, Any]:
    both = like(near)
    for part in (far, near):
        for key, value in part.items():
            add(both, part, key, key, value)
    return both  # type: ignore[no-any-return]
