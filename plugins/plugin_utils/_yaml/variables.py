# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of declarations: their values, and `${name}` in texts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .problems import DeclarationError, Location, Problem
from .reader import Map, Seq

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
ENVIRONMENT = "DDNS_VAR_"
ENV = "env"
"""The variable with the name of the chosen environment."""
NUMBER, DIGITS = "n", "nn"
"""The variables of a host that a range makes: its number, and the digits in its name."""
RESERVED = (ENV, NUMBER, DIGITS)
MOST_TEXT = 65_536
"""The most characters of a text with variables."""
MOST_VALUES = 5_000_000
"""The most values that may be made from one declaration."""
_MARK = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")


class Outside(NamedTuple):
    """What the user gives besides the files."""

    env: str | None = None
    """The chosen environment."""
    given: Mapping[str, Any] = {}
    """Values of variables that come before all others."""
    surroundings: Mapping[str, str] = {}
    """Environment variables of the process. Those like DDNS_VAR_NAME come before the values in files."""
    env_option: str = "--env"
    var_option: str = "--var"

    def find(self, name: str) -> Any:
        """The value of a variable; None if none is given."""
        if name in self.given:
            return self.given[name]
        exact = self.surroundings.get(ENVIRONMENT + name)
        return exact if exact is not None else self.surroundings.get(ENVIRONMENT + name.upper())

    def unknown_environment(self, environments: Iterable[str]) -> Problem | None:
        """The problem if the chosen environment is none of these."""
        if self.env is None or self.env in environments:
            return None
        text = f"{self.env_option} {self.env}: no declaration has this environment"
        return Problem(text, None, nearest(self.env, environments))

    def problems(self, variables: Iterable[str]) -> list[Problem]:
        """What is wrong with the given values. `variables` are those that the files know."""
        found = []
        for name, value in self.given.items():
            option = f"{self.var_option} {name}"
            if wrong := _name_problem(name) or _value_problem(value) or ("has no value" if value is None else ""):
                found.append(Problem(f"{option}: {wrong}"))
            elif name not in variables:
                found.append(Problem(f"{option}: no declaration has this variable", None, nearest(name, variables)))
        return found


class Scope(NamedTuple):
    """The variables that a file may use."""

    outside: Outside
    variables: Mapping[str, Any] = {}
    environments: Mapping[str, Mapping[str, Any]] = {}
    numbers: Mapping[str, Any] = {}
    """The variables of a range."""

    def value(self, name: str) -> Any:
        """The value of a variable; None if it has none."""
        if name in self.numbers:
            return self.numbers[name]
        if name in RESERVED:
            return self.outside.env if name == ENV else None
        value = self.outside.find(name)
        if value is None and self.outside.env is not None:
            value = self.environments.get(self.outside.env, {}).get(name)
        return self.variables.get(name) if value is None else value

    def problem(self, name: str) -> tuple[str, str]:
        """Why a variable has no value, and what to do."""
        if _name_problem(name) and name not in RESERVED:
            return f"`${{{name}}}` is not a variable", "write `$${` for the characters themselves"
        if name in (NUMBER, DIGITS):
            return f"the variable `{name}` has a value only in a host with a range", "such as node-[01..20]"
        known = {*self.variables, *(key for values in self.environments.values() for key in values)}
        env_option = _option(self.outside.env_option)
        if name == ENV or any(name in values for values in self.environments.values()):
            if self.outside.env is None:
                return f"the variable `{name}` has no value", f"choose an environment with {env_option}: " + (
                    ", ".join(sorted(self.environments)) or "none is declared"
                )
        elif name not in known and (close := difflib.get_close_matches(name, known, 1)):
            return f"there is no variable `{name}`", f"did you mean `{close[0]}`?"
        text = "the variable `{}` has no value" if name in known else "there is no variable `{}`"
        return text.format(
            name
        ), f"set it in `vars`, with {_option(self.outside.var_option)}, or with {ENVIRONMENT}{name}"


class Substitution:
    """Puts values of variables into the texts of one file, and reports problems with the place of the text."""

    def __init__(self, report: Callable[[tuple[Any, ...], str, str], None], used: set[str], spend: Spend) -> None:
        self.report, self.used, self.spend = report, used, spend

    def value(self, path: tuple[Any, ...], value: Any, scope: Scope) -> Any:
        """A copy of a value with all texts and keys substituted."""
        self.spend(1)
        if isinstance(value, str):
            return self.text(path, value, scope)
        if isinstance(value, Mapping):
            return self.mapping(path, value, scope)
        if isinstance(value, list):
            items = Seq(self.value((*path, index), item, scope) for index, item in enumerate(value))
            items.nodes = getattr(value, "nodes", [])
            return items if isinstance(value, Seq) else list(items)
        return value

    def mapping(self, path: tuple[Any, ...], value: Mapping[Any, Any], scope: Scope) -> Mapping[Any, Any]:
        """As `value`. A key that two keys become is a problem."""
        copy: Any = like(value)
        for key, item in value.items():
            found = self.key(path, key, scope)
            if found in copy:
                self.report((*path, key), f"becomes {found!r}, which is there already", "")
                continue
            add(copy, value, key, found, self.value((*path, key), item, scope))
        return copy  # type: ignore[no-any-return]

    def key(self, path: tuple[Any, ...], key: Any, scope: Scope) -> Any:
        """A key with its variables substituted; always text, if it was."""
        found = self.text((*path, key), key, scope) if isinstance(key, str) else key
        return found if not isinstance(key, str) or isinstance(found, str) else as_text(found)

    def text(self, path: tuple[Any, ...], text: str, scope: Scope) -> Any:
        """A text with its variables substituted. If it is one variable and nothing else, it has the variable's type."""
        if "${" not in text:
            return text
        whole = _MARK.fullmatch(text)
        if whole is not None and whole[1] is not None:
            return self.variable(path, whole[1], scope)
        length = 0

        def replaced(match: re.Match[str]) -> str:
            nonlocal length
            if match[0] == "$${":
                return "${"
            if match[1] is None:
                self.report(path, "`${` is not closed by `}`", "write `$${` for the characters themselves")
                return ""
            part = as_text(self.variable(path, match[1], scope))
            length += len(part)
            return part if length <= MOST_TEXT else ""

        result = _MARK.sub(replaced, text)
        self.spend(length // 64)
        if length > MOST_TEXT:
            self.report(path, f"becomes longer than {MOST_TEXT} characters", "use shorter variables")
        return result

    def variable(self, path: tuple[Any, ...], name: str, scope: Scope) -> Any:
        """The value of a variable. Without one, the problem is reported, and it is an empty text."""
        self.used.add(name)
        value = scope.value(name)
        if value is None:
            self.report(path, *scope.problem(name))
            return ""
        return value


class Spend:
    """Counts the values that are made. Raises DeclarationError if there are too many."""

    def __init__(self) -> None:
        self.left = MOST_VALUES
        self.where: Location | None = None
        """The file that is being resolved."""

    def __call__(self, count: int) -> None:
        """Count values."""
        self.left -= count
        if self.left < 0:
            text = f"ranges, aliases and variables make more than {MOST_VALUES} values"
            raise DeclarationError([Problem(text, self.where, "declare less in one run")])


def declared(given: Any, path: tuple[Any, ...], report: Callable[[tuple[Any, ...], str, str], None]) -> dict[str, Any]:
    """The variables in a mapping of names to values. Reports those that are not valid."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        report(path, "must be a mapping of names to values", "")
        return {}
    found = {}
    for name, value in given.items():
        if wrong := _name_problem(name) or _value_problem(value):
            report((*path, name), wrong, "")
        else:
            found[name] = value
    return found


def like(value: Mapping[Any, Any]) -> Any:
    """An empty mapping of the same kind."""
    if not isinstance(value, Map):
        return {}
    copy = Map()
    copy.nodes = {}
    return copy


def add(copy: Any, source: Mapping[Any, Any], key: Any, name: Any, value: Any) -> None:
    """Add a value under a name, with the place of `key` in `source`."""
    copy[name] = value
    if isinstance(copy, Map) and isinstance(source, Map):
        copy.nodes[name] = source.nodes[key]


def as_text(value: Any) -> str:
    """A value in the middle of a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the nearest known name, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names[:10])}" if names else "none is declared"


def _option(name: str) -> str:
    return name if name.startswith("-") else f"the option `{name}`"


def _name_problem(name: Any) -> str:
    if not isinstance(name, str) or not NAME.match(name):
        return "a variable's name has letters, digits and underscores, and begins with no digit"
    return f"the name `{name}` is reserved" if name in RESERVED else ""


def _value_problem(value: Any) -> str:
    if value is not None and not isinstance(value, (str, int)):
        return "a variable's value is text, a whole number, a boolean or null"
    if isinstance(value, str) and "${" in value:
        return "a variable's value cannot contain `${`"
    return f"has more than {MOST_TEXT} characters" if isinstance(value, str) and len(value) > MOST_TEXT else ""
