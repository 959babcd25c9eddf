# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam: HTTP below, servers above."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from .changes import Change
from .errors import Refused, SyncError, Unauthorized
from .model import Capabilities, Registered

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
    """HTTP to one base URL, with the caller's token. It follows no redirects and repeats nothing."""

    url: str

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Any status is an answer. Without `query`, `path` may end in an encoded query. Raises Unreachable, LostAnswer.

        Several threads may call it at the same time.
        """


@dataclass(frozen=True)
class Done:
    """What became of a change: `applied`, `pending` (durable, DNS follows), `unchanged`, or `failed`.

    `failed` is answered rather than raised where a secret was made before something went wrong: `error` says what.
    """

    status: str
    secret: str | None = None
    error: str = ""


class Server(Protocol):
    """What the engine asks of a server; `rest` and `egi` implement it. Everything raises ServerError."""

    url: str
    capabilities: Capabilities

    def registered(self, names: Iterable[str] | None = None) -> Registered:
        """What the caller may see: everything, or only the hosts of these names, with all domains."""

    def execute(self, change: Change, key: str = "") -> Done:
        """Carry out one change under its preconditions; a key as with `execute_many`. Raises Stale, Refused …"""

    def execute_many(self, changes: Sequence[Change], key: str) -> list[Done | SyncError]:
        """As `execute`, for many hosts at once, in order.

        A call with the same changes and the same key as an earlier one does nothing again where the server `replays`:
        it has the answers of the first one.
        """

    def valid(self, fqdn: str, secret: str) -> bool:
        """Whether the host's secret is this one. Raises NotSupported."""

    def enrolment(self, fqdn: str, lifetime: int) -> str:
        """A token with which the host's machine sets the host's secret, once, within `lifetime` seconds.

        It ends a former one. Raises NotSupported.
        """


def object_in(response: Response) -> dict[str, Any]:
    """The JSON object that is the answer; an empty one when the answer is something else."""
    try:
        content = json.loads(response.body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def describe(response: Response) -> str:
    """An answer in a few words, for messages: its status, what it is, and where a redirect leads."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip() or "no content type"
    place = response.headers.get("location")
    return f"answered {response.status} ({kind})" + (f", a redirect to {place}" if place else "")


def unauthorized(url: str) -> Unauthorized:
    """The error for a 401."""
    return Unauthorized(
        f"{url} does not accept the token: it is missing, mistyped, expired or revoked. "
        "Make one in the service's portal or with `ddnsd token add`, and give it in DDNS_TOKEN"
    )


def refused(response: Response, text: str, fields: dict[str, str] | None = None) -> Refused:
    """The error for an answer that is neither a success nor a 401; without a text, what answered."""
    return Refused(response.status, text or f"the server {describe(response)}", fields)
