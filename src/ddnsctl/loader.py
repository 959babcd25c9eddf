# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads declarations from files, folders, standard input and inventories, and reports all their errors at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ddnsctl import output
from ddnsctl.sync import declare, names
from ddnsctl.sync.errors import DeclarationError, Location, Problem, SyncError
from ddnsctl.sync.model import Declaration
from ddnsctl.yaml import composition, folder, reader
from ddnsctl.yaml.variables import Outside

STDIN = "-"
NOTHING = "no declaration is named: name a file, a folder or - (standard input), or an inventory with -i"


@dataclass(frozen=True)
class Sources:
    """Where declarations come from."""

    paths: tuple[str, ...] = ()
    """Files, folders (their *.yml and *.yaml files by name, also those in subfolders) and `-`."""
    inventories: tuple[str, ...] = ()
    """Values for `ansible-inventory -i`."""
    vault: tuple[str, ...] = ()
    """Options of `ansible-inventory` that say where vault passwords are."""
    stack: str | None = None
    """The stack of declarations that name none."""
    domain: str | None = None
    """The default domain of declarations that name none."""
    env: str | None = None
    """The environment whose variables count."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Values of variables, which count before all others."""

    def __bool__(self) -> bool:
        return bool(self.paths or self.inventories)


def load_any(sources: Sources) -> Declaration:
    """As `load`; raises SyncError also if no source is named."""
    if not sources:
        raise SyncError(NOTHING)
    return load(sources)


def load(sources: Sources) -> Declaration:
    """The merged declaration. Raises DeclarationError; OSError when a file cannot be read."""
    problems: list[Problem] = []
    _check_options(sources, problems)
    given = [reader.read(raw, file) for file, raw in contents(sources.paths, problems)]
    documents, wrong = composition.resolve(given, _outside(sources), _Files())
    problems += wrong
    declared: list[Declaration] = []
    for document in documents:
        problems += document.problems
        if not document.problems:
            _declare(document, _base(document.file), sources.domain, declared, problems)
    domain = sources.domain or _common_domain(documents)
    for name in sources.inventories:
        _declare_inventory(name, sources, domain, declared, problems)
    if problems:
        raise DeclarationError(list(dict.fromkeys(problems)))  # files with shared values are read for several others
    return _with_stack(declare.merge(declared), sources.stack)


def of_text(text: str, name: str) -> Declaration:
    """The declaration in a text, which `name` names in messages. Raises DeclarationError."""
    (document,), problems = composition.resolve([reader.read(text.encode(), name)], Outside(), _Files())
    if found := [*document.problems, *problems]:
        raise DeclarationError(found)
    return declare.declaration(document.data, locate=document.locate)


class _Files:
    """The files that declarations include."""

    def path(self, file: str) -> str:
        """The file without links."""
        return file if file == STDIN else os.path.realpath(file)

    def content(self, file: str) -> bytes:
        """The content. Raises OSError."""
        return Path(file).read_bytes()


def _outside(sources: Sources) -> Outside:
    return Outside(sources.env, sources.variables, os.environ)


def _check_options(sources: Sources, problems: list[Problem]) -> None:
    for option, parse, value in (
        ("--stack", names.stack, sources.stack),
        ("--domain", names.domain_name, sources.domain),
    ):
        try:
            _ = value is None or parse(value)
        except ValueError as error:
            problems.append(Problem(f"{option}: {error}"))


def files(paths: Iterable[str], problems: list[Problem]) -> Iterator[str]:
    """The files that the paths name. An empty folder becomes a problem."""
    for path in paths:
        if path == STDIN or not Path(path).is_dir():
            yield path
            continue
        found = folder.declarations(path)
        yield from found
        if not found:
            problems.append(Problem(folder.EMPTY, Location(path)))


def contents(paths: Iterable[str], problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    """Each file once, by whatever path, with its content. A file that cannot be read becomes a problem."""
    seen: set[str] = set()
    for file in files(paths, problems):
        real = file if file == STDIN else os.path.realpath(file)
        if real in seen:
            continue
        seen.add(real)
        try:
            yield file, sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
        except OSError as error:
            problems.append(Problem(output.describe(error), Location(file)))


def _declare(
    document: reader.Document, base: Path, domain: str | None, declared: list[Declaration], problems: list[Problem]
) -> None:
    try:
        found = declare.declaration(document.data, default_domain=domain, locate=document.locate)
    except DeclarationError as error:
        problems += error.problems
    else:
        declared.append(_with_base(found, base))


def _declare_inventory(
    name: str, sources: Sources, domain: str | None, declared: list[Declaration], problems: list[Problem]
) -> None:
    from ddnsctl import inventory

    try:
        document = inventory.read(name, sources.vault)
    except DeclarationError as error:
        problems += error.problems
    else:
        problems += document.problems
        base = Path(name) if Path(name).is_dir() else _base(name if Path(name).is_file() else STDIN)
        _declare(document, base, domain, declared, problems)


def _common_domain(documents: Iterable[reader.Document]) -> str | None:
    """The default domain of the files, if they agree. Inventories on the same command line use it too."""
    found = {domain for document in documents if (domain := _default_domain(document.data)) is not None}
    return found.pop() if len(found) == 1 else None


def _default_domain(data: Any) -> str | None:
    defaults = data.get("defaults") if isinstance(data, dict) else None
    domain = defaults.get("domain") if isinstance(defaults, dict) else None
    return domain if isinstance(domain, str) else None


def _base(file: str) -> Path:
    return Path() if file == STDIN else Path(file).parent


def _with_base(declaration: Declaration, base: Path) -> Declaration:
    """The declaration with secrets' paths relative to the working directory instead of the declaring file."""
    return declaration if base == Path() else declare.rebased(declaration, str(base))


def _with_stack(declaration: Declaration, stack: str | None) -> Declaration:
    if stack is None or declaration.stack == stack:
        return declaration
    if declaration.stack is not None:
        text = f"the declaration names the stack {declaration.stack}, but --stack names {stack}"
        raise DeclarationError([Problem(text, declaration.where, "remove one of them")])
    return replace(declaration, stack=stack)
