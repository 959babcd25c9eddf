# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_token`: a token for the API. `ddns_token_info`: the tokens of a user."""

from __future__ import annotations

from datetime import datetime, timezone
from ipaddress import ip_network
from typing import Any, Callable, Mapping, Sequence

from .._sync.errors import DeclarationError, Problem
from . import credential
from .credential import Kind
from .resource import rest_server
from .spec import CONNECTION, Spec
from .task import Task

_LIST = {"type": "list", "elements": "str"}
SCOPES = ("read", "write", "admin")
SPEC = credential.SPEC + Spec(
    {
        "scopes": {**_LIST, "choices": list(SCOPES)},
        "domains": _LIST,
        "hosts": _LIST,
        "networks": _LIST,
        "expires": {"type": "str"},
    }
)
INFO = CONNECTION + Spec({"name": _LIST})


def run(task: Task) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, token (if present), secret (if one was made and is asked for)."""
    given = {right: task.params[right] for right in TOKEN.rights if task.params[right] is not None}
    return credential.run(task, TOKEN, given)


def info(task: Task) -> dict[str, Any]:
    """Result keys: changed, tokens (by name)."""
    wanted = task.params["name"]
    found = sorted(rest_server(task, "tokens").items(TOKEN.path), key=lambda token: str(token["name"]))
    return {"changed": False, "tokens": [token for token in found if wanted is None or token["name"] in wanted]}


def _canonical(rights: Mapping[str, Any]) -> dict[str, Any]:
    """Sorted lists, networks without host bits, and the end in UTC. Raises DeclarationError."""
    found = {right: sorted(set(value)) if isinstance(value, list) else value for right, value in rights.items()}
    parsers: dict[str, Callable[[Any], Any]] = {"networks": _networks, "expires": _moment}
    for right in parsers.keys() & {right for right, value in found.items() if value}:
        found[right] = _parsed(right, parsers[right], found[right])
    return found


def _parsed(right: str, parse: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        raise DeclarationError([Problem(f"{right}: {error}")]) from None


def _networks(texts: Sequence[str]) -> list[str]:
    return sorted(str(ip_network(text, strict=False)) for text in texts)


def _moment(text: str) -> str:
    """The time in UTC. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} is not a time with a time zone, such as 2027-01-31T12:00:00Z")
    return moment.astimezone(timezone.utc).isoformat()


def _has_ended(token: Mapping[str, Any]) -> bool:
    end = token["expires"]
    return bool(end) and datetime.fromisoformat(_moment(end)) <= datetime.now(timezone.utc)


TOKEN = Kind(
    "token",
    "/api/tokens",
    "id",
    ("scopes", "domains", "hosts", "networks", "expires"),
    secret=lambda made: str(made["token"]),
    is_in=lambda _content, _registered: True,  # a token does not show to which name it belongs
    canonical=_canonical,
    has_ended=_has_ended,
)
