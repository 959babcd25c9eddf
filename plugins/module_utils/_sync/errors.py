# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, as one tree; `exit_code` is that of `ddnsctl`.

SyncError                       1
├── DeclarationError            1   everything wrong with a declaration, at once
├── Conflicts                   1   declared hosts that belong to somebody else
├── NotSupported                1   the server cannot do what is declared
├── ServerError                 1
│   ├── Unreachable                 nothing was sent
│   ├── LostAnswer                  sent, but no answer came: it may have been carried out
│   ├── Unauthorized                401: no valid token
│   └── Refused                     the server said no, and why
├── Unsafe                      3   more deletions than the limits allow
├── PartlyApplied               4   some changes failed; the others are done
└── Stale                       5   what a saved plan rests on has changed
"""

from __future__ import annotations

from typing import NamedTuple, Sequence


class Location(NamedTuple):
    """A place in a declaration: a file (or `-`, or an inventory's name), line and column from 1; 0 is unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join(str(part) for part in self if part)


class Problem(NamedTuple):
    """One thing that is wrong: what, where, and what to do about it."""

    text: str
    where: Location | None = None
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return place + self.text + (f" ({self.hint})" if self.hint else "")


class SyncError(Exception):
    """Every error of the engine."""

    exit_code = 1
    lost = False
    """Whether what was asked for may have been done all the same."""


class _Problems(SyncError):
    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class DeclarationError(_Problems):
    """The declaration is not valid."""


class Conflicts(_Problems):
    """Declared hosts exist already and belong to somebody else."""


class NotSupported(_Problems):
    """The server cannot do what is declared."""


class ServerError(SyncError):
    """A request failed."""

    lost = True


class Unreachable(ServerError):
    """The request was certainly not carried out."""

    lost = False


class LostAnswer(ServerError):
    """The request may have been carried out."""


class Unauthorized(ServerError):
    """The server does not accept the token."""

    lost = False


class Refused(ServerError):
    """The server answered with an error: its HTTP status, what it says, and what it says of single fields.

    An error of the server's own, or of a proxy, leaves open whether anything was done. What the server says of one
    change of a call does not.
    """

    def __init__(
        self, status: int, text: str, fields: dict[str, str] | None = None, *, of_one_change: bool = False
    ) -> None:
        super().__init__(text)
        self.status, self.fields, self.of_one_change = status, fields or {}, of_one_change
        self.lost = not of_one_change and (status >= 500 or status == 408)


class Unsafe(SyncError):
    """More deletions than the limits allow; `names` are the hosts concerned."""

    exit_code = 3

    def __init__(self, text: str, names: Sequence[str]) -> None:
        super().__init__(text)
        self.names = tuple(names)


class PartlyApplied(SyncError):
    """Some changes failed."""

    exit_code = 4


class Stale(_Problems):
    """The registered hosts are no longer those that the plan was made for."""

    exit_code = 5
