# SPDX-License-Identifier: GPL-3.0-or-later
"""Selects hosts and domains by patterns of their names, for plans of a part of a declaration."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Iterable, Mapping, Sequence, TypeVar

from .errors import DeclarationError, Problem
from .model import Declaration

T = TypeVar("T")


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a full name, or its first label, matches a pattern such as `web-*`. Without patterns, all names match."""
    label = name.partition(".")[0]
    folded = (pattern.lower().rstrip(".") for pattern in patterns)
    return not patterns or any(fnmatchcase(name, pattern) or fnmatchcase(label, pattern) for pattern in folded)


def declared(declaration: Declaration, patterns: Sequence[str]) -> Declaration:
    """The declaration with the matching hosts and domains."""
    if not patterns:
        return declaration
    hosts, domains = _matching(declaration.hosts, patterns), _matching(declaration.domains, patterns)
    return replace(declaration, hosts=hosts, domains=domains, keys=_matching(declaration.keys, patterns))


def require_matches(patterns: Iterable[str], known: Iterable[str]) -> None:
    """Raises DeclarationError if a pattern matches no known name: it may be misspelt."""
    names = list(known)
    unmatched = [pattern for pattern in patterns if not any(matches(name, [pattern]) for name in names)]
    if unmatched:
        hint = "check the pattern; `ddnsctl validate --render` lists all declared names"
        raise DeclarationError([Problem(f"no host or domain matches {pattern}", None, hint) for pattern in unmatched])


def _matching(things: Mapping[str, T], patterns: Sequence[str]) -> dict[str, T]:
    return {name: thing for name, thing in things.items() if matches(name, patterns)}
