# SPDX-License-Identifier: GPL-3.0-or-later
"""EGI's Dynamic DNS API: `/nic/*`, with GET for reads and changes.

Only addresses are edited in place. Any other change is a new registration, with a new secret. Domains cannot be
created. The stack is stored in the comment (`comment_marker`). A registration takes one address. Without an address,
the service takes the caller's, and the API cannot remove it, so the plan names such hosts. The updater of a `dynamic`
host replaces the address.

If the answer to a change is lost, the list of hosts is read before another try. The API has no preconditions: they are
checked here, with a list of hosts that is at most `LOOK` seconds old.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from dataclasses import replace
from typing import Any, Callable, Iterable, Mapping, Sequence, TypeVar

from . import comment_marker
from .api import Done, Response, Stacks, Transport, describe, object_in, refused, unauthorized
from .changes import Action, Change
from .errors import LostAnswer, NotSupported, Problem, Refused, ServerError, Stale, SyncError, Unreachable
from .model import UNKNOWN, Capabilities, Domain, Host, Key, Registered
from .recheck import moved, plain
from .return_codes import outcome_of

T = TypeVar("T")

FAMILIES = ("ipv4", "ipv6")
LOOK = 2.0
TRIES = 3
_HOST = frozenset(Host.__dataclass_fields__) - {"facts"}
_DOMAIN = frozenset(Domain.__dataclass_fields__) - {"facts"}
_MEANINGS = {
    "nohost": "there is no such host, or it is not yours",
    "nxdomain": "there is no such domain, or you may not use it, or it is not available",
    "formerr": "the server does not accept this name",
    "abuse": "the server has blocked the host for abuse",
}


class EgiServer:
    """`Server` for EGI's API."""

    capabilities = Capabilities(
        server="EGI Dynamic DNS",
        fields=frozenset({"ipv4", "ipv6", "wildcard", "comment", "stack"}),
        edits=frozenset(FAMILIES),
        several=False,
        clears=False,
        own_address=True,
        bulk=False,
        replays=False,
        domains=False,
        keys=False,
        verifies=False,
        checks=False,
        enrols=False,
        certificates=False,
        stacks=False,
    )
    stacks: Stacks | None = None

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = transport.url
        self._transport, self._clock = transport, clock
        self._lock = threading.Lock()
        self._seen: Registered = Registered()
        self._seen_at = float("-inf")
        self._touched: dict[str, float] = {}

    def registered(
        self, names: Iterable[str] | None = None, stack: str | None = None, domains: Iterable[str] = ()
    ) -> Registered:
        """The caller's hosts, and all domains that the caller may use. With names only, only the hosts with these."""
        listed = self._json("/nic/domains")
        usable = [_domain(item) for kind in ("private", "public") for item in listed.get(kind) or ()]
        hosts = self._look()
        if names is not None and stack is None and not domains:
            hosts = {name: hosts[name] for name in set(names) & hosts.keys()}
        return Registered(hosts, {domain.name: domain for domain in usable})

    def execute(self, change: Change, key: str = "") -> Done:  # noqa: ARG002
        """Make one change of a host. The API has no keys. Raises Stale, Refused, LostAnswer, NotSupported …"""
        try:
            return self._execute(change)
        finally:
            with self._lock:
                self._touched.update(dict.fromkeys(_names(change), self._clock()))

    def _execute(self, change: Change) -> Done:
        if change.kind != "host":
            raise NotSupported([Problem(f"{change.name}: {self.capabilities.server} cannot change domains")])
        seen = self._recent(change)
        if change.action is Action.CREATE:
            if change.name in seen.hosts:  # after a lost answer, it would look like ours
                raise Refused(409, f"{change.name} is now registered")
            return self._create(change.name, change.after)
        if change.action is Action.DELETE and change.name not in seen.hosts:
            return Done("unchanged")
        if problems := moved(change, seen):
            raise Stale(problems)
        if change.action in (Action.REPLACE, Action.MOVE):
            return self._anew(change, seen.hosts[change.source or change.name])
        if change.action is Action.DELETE:
            return self._delete(change.name)
        if change.action is Action.ROTATE:
            return Done("applied", self._new_secret(change.name))
        return self._update(change.name, change.after)

    def execute_many(self, changes: Sequence[Change], key: str) -> list[Done | SyncError]:  # noqa: ARG002
        """Make the changes one after the other. The API has no bulk calls and no keys."""
        return [self._tried(change) for change in changes]

    def _tried(self, change: Change) -> Done | SyncError:
        try:
            return self.execute(change)
        except SyncError as error:
            return error

    def check(self, changes: Sequence[Change]) -> list[Done | SyncError]:
        """Raises NotSupported: the API cannot tell what it would refuse."""
        raise NotSupported([Problem(f"{self.capabilities.server} cannot check {len(changes)} changes beforehand")])

    def valid(self, fqdn: str, secret: str) -> bool:  # noqa: ARG002
        """Raises NotSupported: the API cannot check a secret without a change."""
        raise NotSupported([Problem(f"{fqdn}: {self.capabilities.server} cannot check whether a secret is valid")])

    def registered_keys(self) -> tuple[Key, ...]:
        """Nothing: the service has no keys."""
        return ()

    def silent(self, days: int) -> set[str]:  # noqa: ARG002
        """Raises NotSupported: the API does not tell when a host sent its last request."""
        raise NotSupported([Problem(f"{self.capabilities.server} does not tell when hosts sent their last request")])

    def all_valid(self, secrets: Mapping[str, str]) -> Mapping[str, bool]:
        """Not possible. Raises NotSupported."""
        return {name: self.valid(name, secret) for name, secret in secrets.items()}

    def enrolment(self, fqdn: str, lifetime: int) -> str:  # noqa: ARG002
        """Raises NotSupported: the API has no enrolment."""
        raise NotSupported([Problem(f"{fqdn}: {self.capabilities.server} cannot create enrolment tokens")])

    # ---- the changes

    def _create(self, name: str, values: Mapping[str, Any]) -> Done:
        query = _registration(name, values)
        first, *others = [values[family] for family in FAMILIES if values.get(family)] or [None]
        if first:
            query["ip"] = first
        secret = self._register(name, query)
        try:
            for address in others:
                self._set_address(name, address)
        except SyncError as error:
            return Done("failed", secret, f"registered, but only with {first}: {error}")
        return Done("applied", secret)

    def _register(self, name: str, query: Mapping[str, str]) -> str:
        """Register a host and return its secret. If the answer is lost, a new secret is made."""

        def there() -> str | None:
            host = self._look().get(name)
            if host is None:
                return None
            if not _made_by(query, host):
                raise Refused(409, f"{name} is now registered with other values")
            return self._new_secret(name)

        return self._safely(lambda: self._secret_in(self._json("/nic/register", query), "host"), there)

    def _new_secret(self, name: str) -> str:
        """Make a new secret. It can be repeated after a lost answer: only the last secret is valid."""

        def there() -> str | None:
            if name not in self._look():
                raise Refused(404, f"{name} is no longer registered")
            return None

        query = {"fqdn": name}
        return self._safely(lambda: self._secret_in(self._json("/nic/generate_secret", query)), there)

    def _delete(self, name: str) -> Done:
        def gone() -> Done | None:
            return None if name in self._look() else Done("applied")

        def act() -> Done:
            try:
                self._json("/nic/unregister", {"fqdn": name})
            except Refused as error:
                if error.status != 404:
                    raise
            return Done("applied")

        return self._safely(act, gone)

    def _update(self, name: str, values: Mapping[str, Any]) -> Done:
        if not_here := sorted(field for field in values if field not in FAMILIES or values[field] is None):
            text = f"{name}: {self.capabilities.server} cannot set {', '.join(not_here)} of a host that is registered"
            raise NotSupported([Problem(text, hint="make a new plan")])
        statuses = [self._set_address(name, values[family]) for family in FAMILIES if family in values]
        worst = [status for status in ("pending", "applied") if status in statuses]
        return Done(worst[0] if worst else "unchanged")

    def _set_address(self, name: str, address: str) -> str:
        """Set one address by an update with the token. Returns a status."""

        def set_already() -> str | None:
            host = self._look().get(name)
            return "pending" if host and address in (host.ipv4, host.ipv6) else None

        def act() -> str:
            response = self._get("/nic/update", {"hostname": name, "myip": address})
            return outcome_of(response.status, response.body.decode("utf-8", errors="replace"), name, address)

        return self._safely(act, set_already)

    def _anew(self, change: Change, host: Host) -> Done:
        """Register the host again with the changed values: under its own name, or under a new name first."""
        values = {field: plain(host, field) for field in self.capabilities.fields}
        values.update({field: value for field, value in change.after.items() if field in values})
        if unsaid := [family for family in FAMILIES if values[family] == UNKNOWN.value]:
            text = (
                f"{host.fqdn}: the server does not report its {' and '.join(unsaid)}, and the change would lose it; "
                "try again later"
            )
            raise Refused(409, text)
        if (host.ipv4 or host.ipv6) and not (values["ipv4"] or values["ipv6"]):
            text = f"{change.name}: without an address, the server would set the address of this machine"
            raise Refused(400, f"{text}; declare an address, or `dynamic`")
        _registration(change.name, values)  # check before the old registration is deleted
        if change.action is Action.REPLACE:
            self._delete(host.fqdn)
            try:
                return self._create(change.name, values)
            except SyncError as error:
                raise ServerError(f"deleted, but not registered again; the next run registers it: {error}") from None
        done = self._create(change.name, values)
        try:
            self._delete(host.fqdn)
        except SyncError as error:
            text = f"the old name {host.fqdn} is still registered: {error}"
            return replace(done, status="failed", error=f"{done.error}; {text}" if done.error else text)
        return done

    # ---- looking

    def _look(self) -> dict[str, Host]:
        """The caller's hosts, read now."""
        rows = self._json("/nic/hosts").get("hosts")
        if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("fqdn") for row in rows):
            raise ServerError(f"{self._transport.url}/nic/hosts sent no list of hosts")
        return {host.fqdn: host for host in map(_host, rows)}

    def _recent(self, change: Change) -> Registered:
        """The caller's hosts, read recently. Threads share one list, unless the host was changed since."""
        with self._lock:
            now = self._clock()
            touched = max(self._touched.get(name, float("-inf")) for name in _names(change))
            if now - self._seen_at > LOOK or touched >= self._seen_at:
                self._seen, self._seen_at = Registered(self._look()), now
            return self._seen

    def _safely(self, act: Callable[[], T], seen: Callable[[], T | None], tries: int = TRIES) -> T:
        """Call `act`. After a lost answer, call `seen`, which returns None if nothing was done, before another try.

        `seen` is also called after an internal error of the server, without another try, and if the second try is
        refused, because the first one may have succeeded.
        """
        try:
            return act()
        except LostAnswer as error:
            try:
                found = seen()
            except Unreachable:
                raise error from None
            if found is None and tries == 1:
                raise
        except Refused as error:
            found = None if error.status < 500 and tries == TRIES else seen()
            if found is None:
                raise
        return self._safely(act, seen, tries - 1) if found is None else found

    # ---- HTTP

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Response:
        response = self._transport.request("GET", path, query=query)
        if response.status == 401:
            raise unauthorized(self._transport.url)
        return response

    def _json(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        response = self._get(path, query)
        content = object_in(response)
        if response.status == 200 and content.get("status") == "ok":
            return content
        if content.get("status") != "error" and response.status < 500:
            raise ServerError(f"{self._transport.url}{path} {describe(response)}: this is not EGI's API. Check the URL")
        raise refused(response, *_reason(content))

    def _secret_in(self, content: Mapping[str, Any], inside: str = "") -> str:
        secret = content.get("secret") if not inside else (content.get(inside) or {}).get("update_secret")
        if not isinstance(secret, str) or not secret:
            raise ServerError(f"{self._transport.url} sent no secret")
        return secret


def _names(change: Change) -> list[str]:
    return [name for name in (change.name, change.source) if name]


def _registration(name: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a registration, without an address. Raises Refused if the comment is too long."""
    query = {"fqdn": name, "wildcard": "true" if values.get("wildcard") else "false"}
    try:
        comment = comment_marker.encode(values.get("comment"), values.get("stack"))
    except ValueError as error:
        raise Refused(400, f"{name}: {error}", {"comment": str(error)}) from None
    return {**query, "comment": comment} if comment else query


def _made_by(query: Mapping[str, str], host: Host) -> bool:
    """Whether the host is the result of a registration with these parameters."""
    same_address = "ip" not in query or query["ip"] in (host.ipv4, host.ipv6) or UNKNOWN in (host.ipv4, host.ipv6)
    comment = comment_marker.encode(host.comment, host.stack)
    return same_address and comment == query.get("comment", "") and host.wildcard is (query["wildcard"] == "true")


def _reason(content: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The message of an error, and its messages for fields."""
    message = str(content.get("message") or "")
    errors = content.get("errors")
    fields = {}
    if isinstance(errors, dict):
        fields = {str(f): " ".join(map(str, t if isinstance(t, list) else [t])) for f, t in errors.items()}
    meaning = "; ".join(fields.values()) or _MEANINGS.get(message, "")
    return (f"{message}: {meaning}" if message and meaning else message or meaning), fields


def _host(item: Mapping[str, Any]) -> Host:
    comment, stack = comment_marker.decode(item.get("comment"))
    fqdn = str(item["fqdn"]).lower()
    known: dict[str, Any] = {"domain": fqdn.partition(".")[2], **{f: v for f, v in item.items() if f in _HOST}}
    known.update({family: _address(item.get(family)) for family in FAMILIES}, fqdn=fqdn, comment=comment, stack=stack)
    return Host(**known, facts={field: value for field, value in item.items() if field not in _HOST})


def _address(value: Any) -> Any:
    """The canonical address, None, or UNKNOWN: the server sends `error` if it cannot tell."""
    try:
        return str(ipaddress.ip_address(value)) if value else None
    except ValueError:
        return UNKNOWN


def _domain(item: Mapping[str, Any]) -> Domain:
    known = {field: value for field, value in item.items() if field in _DOMAIN}
    return Domain(**known, facts={field: value for field, value in item.items() if field not in _DOMAIN})
