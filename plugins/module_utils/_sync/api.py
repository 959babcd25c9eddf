# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces between the engine, servers and HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from .changes import Change
from .errors import Refused, SyncError, Unauthorized
from .model import Capabilities, Key, Registered, RegisteredStack

try:
    from typing import Protocol
except ImportError:  # pragma: no cover - Python 3.7
    Protocol = object  # type: ignore[assignment]


@dataclass(frozen=True)
class Response:
    """An HTTP answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """HTTP to one base URL, with the caller's token. It follows no redirects and never repeats a request."""

    url: str

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Response:
        """Send a request. Any status is an answer. Without `query`, `path` may end in an encoded query.

        `anonymous`: send no token.

        Several threads may call it at the same time. Raises Unreachable, LostAnswer.
        """


@dataclass(frozen=True)
class Done:
    """The result of a change: `applied`, `pending` (saved, but not in DNS yet), `unchanged`, or `failed`.

    `failed` is returned instead of raised if a secret was made before the error, which is in `error`. `warnings` are
    texts of the server. `removes` is what else a deletion removes, as in `Change`, if the change was only checked.
    """

    status: str
    secret: str | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()


class Server(Protocol):
    """A Dynamic DNS service. `rest` and `egi` implement it. All methods raise ServerError."""

    url: str
    capabilities: Capabilities

    @property
    def stacks(self) -> Stacks | None:
        """None if the server has only names of stacks."""

    def registered(
        self, names: Iterable[str] | None = None, stack: str | None = None, domains: Iterable[str] = ()
    ) -> Registered:
        """Everything that the caller may see. With `names`, only hosts with these names, of the stack, or in `domains`.

        A server may return more hosts. All domains are returned, unless all hosts were named and found.
        """

    def registered_keys(self) -> tuple[Key, ...]:
        """The caller's keys. Only if the server has `keys`."""

    def silent(self, days: int) -> set[str]:
        """Names of hosts that sent no request for so many days. Raises NotSupported."""

    def execute(self, change: Change, key: str = "") -> Done:
        """Make one change if its preconditions hold; `key` as in `execute_many`. Raises Stale, Refused …"""

    def execute_many(self, changes: Sequence[Change], key: str) -> list[Done | SyncError]:
        """As `execute`, for many hosts at once, in order.

        If the server `replays`, a second call with the same changes and the same key changes nothing and returns the
        answers of the first call.
        """

    def check(self, changes: Sequence[Change]) -> list[Done | SyncError]:
        """What `execute_many` would answer for these changes of hosts. Nothing is changed, and no secret is made.

        Only if the server `checks`.
        """

    def valid(self, fqdn: str, secret: str) -> bool:
        """Whether this is the host's secret. Raises NotSupported."""

    def all_valid(self, secrets: Mapping[str, str]) -> Mapping[str, bool]:
        """As `valid` for secrets by full name, all at once. Hosts that the caller may not see are missing."""

    def enrolment(self, fqdn: str, lifetime: int) -> str:
        """A new token, with which the host's machine can set the host's secret once, within `lifetime` seconds.

        Earlier tokens become invalid. Raises NotSupported.
        """


class Stacks(Protocol):
    """Stacks as objects of a server, with leases. All methods raise ServerError."""

    lease: str
    """The id of the lease that is held; empty without one."""
    all_stored: bool
    """Whether all new secrets of the stack are stored, so that the server forgets them when the lease is given back."""

    def acquire(self, stack: str, note: str, commit: str | None, former: str = "") -> None:
        """Take the lease of the stack. Changes carry it from now on, and fail with LeaseLost when it has ended.

        `note` tells others who holds it. `former` is the id of a lease to continue, if it has not ended. Raises Leased.
        """

    def rules(self, stack: str) -> RegisteredStack | None:
        """The rules of the stack; None if there is no such stack."""

    def change(self, change: Change) -> Done:
        """Make a change of a stack."""

    def renew(self) -> None:
        """Renew the lease for a minute. Raises LeaseLost."""

    def release(self) -> None:
        """Give the lease back. Raises LeaseLost."""

    def lost_secrets(self) -> tuple[dict[str, str], int]:
        """New secrets that an earlier run may not have stored, and the number of calls that other tokens made.

        Only while the lease is held. Some secrets may have been replaced since.
        """

    def unlock(self, stack: str) -> str:
        """Take the lease of the stack from its holder, and return who that was; empty if nobody holds it."""


def object_in(response: Response) -> dict[str, Any]:
    """The JSON object in the answer; an empty one if the answer is something else."""
    try:
        content = json.loads(response.body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def describe(response: Response) -> str:
    """An answer in a few words, for messages: its status, its content type, and where it redirects to."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip() or "no content type"
    place = response.headers.get("location")
    return f"answered {response.status} ({kind})" + (f", a redirect to {place}" if place else "")


def unauthorized(url: str) -> Unauthorized:
    """The error for a 401."""
    return Unauthorized(
        f"{url} does not accept the token: it is missing, mistyped, expired or revoked. "
        "Create one in the service's portal or with `ddnsd token add`, and set it in DDNS_TOKEN"
    )


def refused(response: Response, text: str, fields: dict[str, str] | None = None, kind: str = "") -> Refused:
    """The error for an answer that is neither a success nor a 401. Without a text, it describes the answer."""
    wait = response.headers.get("retry-after", "") if response.status == 429 else ""
    text = text or f"the server {describe(response)}"
    return Refused(response.status, text, fields, retry_after=int(wait) if wait.isdecimal() else 0, kind=kind)
