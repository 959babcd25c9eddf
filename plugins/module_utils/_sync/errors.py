# SPDX-License-Identifier: GPL-3.0-or-later
"""All errors of the engine, as one tree. The numbers are exit codes of `ddnsctl`.

SyncError                       1
├── DeclarationError            1   all errors of a declaration
├── Conflicts                   1   declared hosts that belong to another stack or user
├── NotApplicable               1   the server, or a file for a secret, refuses changes of a plan
├── NotSupported                1   the server does not support what is declared
├── ServerError                 1
│   ├── Unreachable                 nothing was sent
│   ├── LostAnswer                  sent, but no answer came: the change may be made
│   ├── Unauthorized                401: no valid token
│   └── Refused                     the server refused, with a reason
│       └── LeaseLost               the lease of the stack has ended, or was taken away
├── Unsafe                      3   more deletions than the limits allow
├── PartlyApplied               4   some changes failed; the others are done
├── Stale                       5   hosts of a saved plan have changed
└── Leased                      6   somebody else applies the stack
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence


class Location(NamedTuple):
    """A position in a declaration: file (or `-`, or an inventory), line and column from 1; 0 is unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join(str(part) for part in self if part)


class Problem(NamedTuple):
    """One error: what is wrong, where, and what to do."""

    text: str
    where: Location | None = None
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return place + self.text + (f" ({self.hint})" if self.hint else "")


class SyncError(Exception):
    """Base class of the engine's errors."""

    exit_code = 1
    lost = False
    """Whether the change may be made in spite of the error."""
    plan: Any = None
    """The plan (`plan.Plan`) that is refused, to show it; None if there is none."""


class _Problems(SyncError):
    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class DeclarationError(_Problems):
    """The declaration is not valid."""


class Conflicts(_Problems):
    """Declared hosts are already registered and belong to another stack or user."""

    def __init__(self, problems: Sequence[Problem], plan: Any = None) -> None:
        super().__init__(problems)
        self.plan = plan


class NotApplicable(Conflicts):
    """Changes of the plan would be refused. Nothing has been changed."""


class NotSupported(_Problems):
    """The server does not support what is declared."""


class ServerError(SyncError):
    """A request failed."""

    lost = True


class Unreachable(ServerError):
    """The request was not sent, so nothing is changed."""

    lost = False


class LostAnswer(ServerError):
    """No answer came, so the change may or may not be made."""


class Unauthorized(ServerError):
    """The server does not accept the token."""

    lost = False


class Refused(ServerError):
    """The server answered with an error: HTTP status, message, and messages for single fields. `kind` is its type.

    After an internal error, or one of a proxy, the change may be made. This is not so if the server reports the error
    for one change of a call (`of_one_change`). After a 429, nothing is changed, and `retry_after` has the seconds
    after which the server accepts the call.
    """

    def __init__(
        self,
        status: int,
        text: str,
        fields: dict[str, str] | None = None,
        *,
        of_one_change: bool = False,
        retry_after: int = 0,
        kind: str = "",
    ) -> None:
        super().__init__(text)
        self.retry_after, self.kind = retry_after, kind
        self.status, self.fields, self.of_one_change = status, fields or {}, of_one_change
        self.lost = not of_one_change and (status >= 500 or status == 408)


class LeaseLost(Refused):
    """The lease of the stack has ended, or somebody took it away. Nothing has been changed by this call."""


class Unsafe(SyncError):
    """More deletions than the limits allow. `names` are the hosts to delete or replace."""

    exit_code = 3

    def __init__(self, text: str, names: Sequence[str]) -> None:
        super().__init__(text)
        self.names = tuple(names)


class PartlyApplied(SyncError):
    """Some changes failed."""

    exit_code = 4


class Stale(_Problems):
    """Registered hosts have changed since the plan was made."""

    exit_code = 5


class Leased(SyncError):
    """Somebody else applies a declaration of the stack now."""

    exit_code = 6
