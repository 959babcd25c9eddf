# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own service, over `/api`."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote, urlencode

from .api import Done, Response, Transport, object_in, refused, unauthorized
from .changes import Action, Change
from .errors import LostAnswer, NotSupported, Problem, Refused, ServerError, Stale, SyncError, Unauthorized, Unreachable
from .model import HOST_FIELDS, Capabilities, Domain, Host, Registered
from .recheck import differences, plain

PAGE = 10_000
BULK = 10_000
QUERY_OCTETS = 4_000
"""Longer lists of names are not asked for one by one: proxies limit the length of a request line."""
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each repetition of a call that may be repeated."""

CONDITIONS = frozenset(HOST_FIELDS) | {"available", "owner"}
_HOST = frozenset(Host.__dataclass_fields__) - {"facts", "own"}
_DOMAIN = frozenset(Domain.__dataclass_fields__) - {"facts", "own"}


class RestServer:
    """`Server` of a `ddnsd`; `features` is what its `/api/` lists, None when it was not asked."""

    def __init__(
        self,
        transport: Transport,
        version: str = "",
        features: Iterable[str] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        has = {"domains", "enrol", "rename", "verify-secret"} if features is None else set(features)
        self.capabilities = Capabilities(
            server=f"ddnsd {version}".strip(),
            edits=frozenset(HOST_FIELDS) | frozenset({"fqdn"} if "rename" in has else ()),
            domains="domains" in has,
            verifies="verify-secret" in has,
            enrols="enrol" in has,
        )
        self.url = transport.url
        self._transport, self._pause = transport, pause
        self._user: str | None = None

    def registered(self, names: Iterable[str] | None = None) -> Registered:
        """The caller's hosts (an administrator's token: everybody's), or those of these names.

        All domains come with them, unless every name is that of a host: one request less for each of many tasks.
        """
        wanted = None if names is None else sorted(set(names))
        query = "" if wanted is None else urlencode([("fqdn", name) for name in wanted])
        if wanted is not None and len(query) <= QUERY_OCTETS:
            hosts = [_host(item) for item in self._items("/api/hosts", query)] if wanted else []
        else:
            asked = None if wanted is None else set(wanted)
            hosts = [_host(i) for i in self._items("/api/hosts", "") if asked is None or i["fqdn"] in asked]
        known = bool(wanted) and len(hosts) == len(wanted or ())
        domains = [] if known else [_domain(item) for item in self._items("/api/domains", "")]
        return self._judged(hosts, domains)

    def _judged(self, hosts: Sequence[Host], domains: Sequence[Domain]) -> Registered:
        """With a word on each of whether it is the caller's."""
        user = self._caller() if hosts or domains else ""
        own_hosts = (host if host.owner == user else replace(host, own=False) for host in hosts)
        own_domains = (domain if domain.owner == user else replace(domain, own=False) for domain in domains)
        return Registered({host.fqdn: host for host in own_hosts}, {domain.name: domain for domain in own_domains})

    def _caller(self) -> str:
        """The name of the user whose token it is; asked once."""
        if self._user is None:
            name = object_in(self._call("GET", "/api/users/me")).get("name")
            if not isinstance(name, str):
                raise ServerError(f"{self.url}/api/users/me did not answer a user's name")
            self._user = name
        return self._user

    def execute(self, change: Change, key: str = "") -> Done:
        """Carry out one change; a key as with `execute_many`. Raises Stale, Refused, LostAnswer …"""
        if change.kind == "domain":
            return self._domain(change)
        answer = self.execute_many([change], key or uuid.uuid4().hex)[0]
        if isinstance(answer, SyncError):
            raise answer
        return answer

    def execute_many(self, changes: Sequence[Change], key: str) -> list[Done | SyncError]:
        """Carry out changes of hosts, in order, 10 000 in a call, or fewer where a proxy lets no more through.

        Raises ServerError when the first call fails.
        """
        answers: list[Done | SyncError] = []
        parts = [changes[start : start + BULK] for start in range(0, len(changes), BULK)]
        while parts:
            part = parts.pop(0)
            try:
                answers += self._changes(part, f"{key}-{len(answers)}-{len(part)}")
            except ServerError as error:
                half = len(part) // 2
                if half and isinstance(error, Refused) and error.status == 413:
                    parts[:0] = [part[:half], part[half:]]
                    continue
                if not answers:
                    raise
                answers += [error] * len(part)
        return answers

    def valid(self, fqdn: str, secret: str) -> bool:
        """Whether the host's secret is this one."""
        answer = self._call("POST", f"/api/hosts/{quote(fqdn)}/verify-secret", {"secret": secret})
        return object_in(answer).get("valid") is True

    def enrolment(self, fqdn: str, lifetime: int) -> str:
        """A token for the host's machine. One whose answer was lost ends with the next."""
        if not self.capabilities.enrols:
            raise NotSupported([Problem(f"{fqdn}: {self.capabilities.server} makes no enrolment tokens")])
        answer = self._call("POST", f"/api/hosts/{quote(fqdn)}/enrolments", {"lifetime": lifetime})
        token = object_in(answer).get("token")
        if not isinstance(token, str) or not token:
            raise ServerError(f"{self._transport.url} did not answer a token")
        return token

    # ---- hosts

    def _changes(self, changes: Sequence[Change], key: str) -> list[Done | SyncError]:
        edits = any(change.action is not Action.CREATE for change in changes)
        user = self._caller() if edits else ""
        content = {"atomic": False, "changes": [_item(change, user) for change in changes]}
        response = self._repeated("/api/changes", content, key)
        results = object_in(response).get("results")
        if not isinstance(results, list) or [isinstance(r, dict) for r in results] != [True] * len(changes):
            raise ServerError(f"{self._transport.url}/api/changes did not answer a result for each of its changes")
        return [_outcome(change, result) for change, result in zip(changes, results)]

    def _repeated(self, path: str, content: Mapping[str, Any], key: str) -> Response:
        """POST with an idempotency key: as often as it takes to get an answer, within bounds."""
        sent: ServerError | None = None
        for pause in (*PAUSES, None):
            try:
                return self._call("POST", path, content, {"Idempotency-Key": key})
            except Unreachable as error:
                if sent is None:
                    raise
                failure: ServerError = error
            except LostAnswer as error:
                failure = sent = error
            except (Refused, Unauthorized) as error:
                if not isinstance(error, Refused) or error.status not in (502, 503, 504):
                    if sent is None:
                        raise
                    raise LostAnswer(f"{sent}; asked again: {error}") from error
                failure, sent = error, sent or error
            if pause is not None:
                self._pause(pause)
        raise sent if sent is not None else failure

    # ---- domains

    def _domain(self, change: Change) -> Done:
        path = f"/api/domains/{quote(change.name)}"
        if change.action is Action.CREATE:
            content = {"name": change.name, **_not_none(change.after)}
            return self._looking(change, lambda: self._call("POST", "/api/domains", content))
        found = self._find(path)
        if found is None:
            if change.action is Action.DELETE:
                return Done("unchanged")
            raise Refused(404, f"there is no domain {change.name}, or it is not yours to see")
        if texts := differences(change.name, change.before, _domain(object_in(found))):
            raise Stale([Problem(text, hint="make the plan anew") for text in texts])
        tag = {"If-Match": found.headers["etag"]} if "etag" in found.headers else {}
        if change.action is Action.DELETE:
            return self._looking(change, lambda: self._call("DELETE", path, headers=tag))
        return self._looking(change, lambda: self._call("PATCH", path, change.after, tag))

    def _looking(self, change: Change, act: Callable[[], object]) -> Done:
        """Do it; when the answer is lost, see whether it was done. It is not repeated."""
        try:
            act()
        except LostAnswer:
            found = self._find(f"/api/domains/{quote(change.name)}")
            domain = None if found is None else _domain(object_in(found))
            if not _stands(change, domain):
                raise
        return Done("applied")

    def _find(self, path: str) -> Response | None:
        try:
            return self._call("GET", path)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    # ---- HTTP

    def _items(self, path: str, query: str) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor = ""
        while True:
            parts = [query, f"limit={PAGE}", urlencode({"cursor": cursor}) if cursor else ""]
            page = object_in(self._call("GET", path + "?" + "&".join(part for part in parts if part)))
            if not isinstance(page.get("items"), list):
                raise ServerError(f"{self._transport.url}{path} did not answer a list")
            yield from page["items"]
            cursor = page.get("next") or ""
            if not cursor:
                return

    def _call(
        self,
        method: str,
        path: str,
        content: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request. Raises Unauthorized, Stale (412), Refused, Unreachable, LostAnswer."""
        body = None if content is None else json.dumps(content, separators=(",", ":")).encode()
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = "application/json"
        response = self._transport.request(method, path, body=body, headers=sent)
        if response.status == 401:
            raise unauthorized(self._transport.url)
        if not 200 <= response.status < 300:
            raise _error(response)
        return response


def _error(response: Response) -> SyncError:
    problem = object_in(response)
    if response.status == 412:
        return Stale([Problem(_text(problem), hint="make the plan anew")])
    return refused(response, _text(problem), _fields(problem))


def _text(problem: Mapping[str, Any]) -> str:
    """A problem in words: its detail, and what it says of single fields."""
    text = str(problem.get("detail") or problem.get("title") or "")
    fields = "; ".join(f"{field}: {message}" for field, message in _fields(problem).items() if message not in text)
    return f"{text} ({fields})" if text and fields else text or fields


def _fields(problem: Mapping[str, Any]) -> dict[str, str]:
    errors = problem.get("errors")
    if not isinstance(errors, dict):
        return {}
    return {field: " ".join(map(str, texts)) for field, texts in errors.items() if isinstance(texts, list)}


def _item(change: Change, user: str) -> dict[str, Any]:
    """A change as `POST /api/changes` takes it: one of a host that is still the user's."""
    if change.action is Action.REPLACE:
        raise Refused(400, f"{change.name}: this plan was made for a server that cannot edit hosts; make it anew")
    action = change.action.value if change.action in (Action.CREATE, Action.DELETE, Action.ROTATE) else "update"
    item: dict[str, Any] = {"action": action, "fqdn": change.source or change.name}
    values = _not_none(change.after) if change.action is Action.CREATE else dict(change.after)
    if change.action is Action.MOVE:
        values["fqdn"] = change.name
    if values and action in ("create", "update"):
        item["set"] = values
    conditions = {field: value for field, value in change.before.items() if field in CONDITIONS}
    if change.action is not Action.CREATE:
        item["if"] = {**conditions, "owner": user}
    return item


def _not_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in values.items() if value is not None}


def _outcome(change: Change, result: Mapping[str, Any]) -> Done | SyncError:
    if result.get("status") != "failed":
        return Done(str(result.get("status")), result.get("secret"))
    error = result.get("error") or {}
    status = int(error.get("status") or 500)
    if status == 404 and change.action is Action.DELETE:
        return Done("unchanged")
    if status == 412:
        return Stale([Problem(f"{change.name}: {_text(error)}", hint="make the plan anew")])
    return Refused(status, _text(error) or "the server gives no reason", _fields(error), of_one_change=True)


def _stands(change: Change, domain: Domain | None) -> bool:
    if change.action is Action.DELETE or domain is None:
        return change.action is Action.DELETE and domain is None
    return all(plain(domain, field) == value for field, value in change.after.items())


def _host(item: Mapping[str, Any]) -> Host:
    known = {field: value for field, value in item.items() if field in _HOST}
    return Host(**known, facts={field: value for field, value in item.items() if field not in _HOST})


def _domain(item: Mapping[str, Any]) -> Domain:
    known = {field: value for field, value in item.items() if field in _DOMAIN}
    return Domain(**known, facts={field: value for field, value in item.items() if field not in _DOMAIN})
