# SPDX-License-Identifier: GPL-3.0-or-later
"""The API of `ddnsd`: `/api`."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import AbstractSet, Any, Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote, urlencode

from . import certificates, tsig_files
from .api import Done, Response, Transport, object_in, refused, unauthorized
from .changes import Action, Change
from .errors import (
    LeaseLost,
    LostAnswer,
    NotSupported,
    Problem,
    Refused,
    ServerError,
    Stale,
    SyncError,
    Unauthorized,
    Unreachable,
)
from .model import HOST_FIELDS, Capabilities, Domain, Host, Key, Registered
from .recheck import differences, plain
from .rest_stacks import RestStacks

PAGE = 10_000
BULK = 10_000
SECRETS = 400
"""The most secrets that are checked in one call."""
CHANGES = "/api/changes"
KEYS = "/api/keys"
DRY_RUN = CHANGES + "?dry_run=1"
QUERY_OCTETS = 4_000
"""The longest query with names, because proxies limit the request line."""
MOST_QUERIES = 8
"""For names that need more queries, all hosts are read."""
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each repetition of a call with a key, unless the server asks for more."""
MOST_PAUSE = 60
"""Seconds of a `Retry-After` above which a call is not repeated."""

ALL = frozenset(
    {
        "alias",
        "certificates",
        "domains",
        "dry-run",
        "enrol",
        "protect",
        "ptr",
        "records",
        "rename",
        "stacks",
        "verify-secret",
        "verify-secrets",
    }
)
"""The features of a service that is as new as this program."""
LOST = (
    "the lease of the stack has ended: somebody took it away, or this process could not renew it for a minute. "
    "Make sure that nobody else applies the stack"
)
CONDITIONS = frozenset(HOST_FIELDS) | {"available", "owner"}
_HOST = frozenset(Host.__dataclass_fields__) - {"facts", "own"}
_DOMAIN = frozenset(Domain.__dataclass_fields__) - {"facts", "own"}


class RestServer:
    """`Server` for a `ddnsd`. `features` is the list in its `/api/`; None if that was not read."""

    def __init__(
        self,
        transport: Transport,
        version: str = "",
        features: Iterable[str] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        has = ALL if features is None else frozenset(features)
        missing = {"records", "protect", "ptr"} - has | (set() if "alias" in has else {"alias", "related"})
        fields = frozenset(HOST_FIELDS) - missing
        self.capabilities = Capabilities(
            server=f"ddnsd {version}".strip(),
            fields=fields,
            several="alias" in has,
            edits=fields | {"owner"} | frozenset({"fqdn"} if "rename" in has else ()),
            domains="domains" in has,
            verifies="verify-secret" in has,
            enrols="enrol" in has,
            checks="dry-run" in has,
            stacks="stacks" in has,
            certificates="certificates" in has,
        )
        self._verifies_many = "verify-secrets" in has
        self.url = transport.url
        self._transport, self._pause = transport, pause
        self._user: str | None = None
        self.stacks = RestStacks(self._call) if "stacks" in has else None

    def registered(
        self, names: Iterable[str] | None = None, stack: str | None = None, domains: Iterable[str] = ()
    ) -> Registered:
        """The caller's hosts (with an administrator's token all hosts), and all domains.

        With `names`, only hosts with these names, of this stack, or in `domains`. If only names are given and all are
        found, domains are left out. This saves a request in each of many tasks.
        """
        if names is None:
            return self._with_owners(list(self._hosts("")), self._domains())
        wanted = set(names)
        queries = [*([("stack", stack)] if stack is not None else []), *(("domain", domain) for domain in domains)]
        found = {host.fqdn: host for query in queries for host in self._hosts(urlencode([query]))}
        found.update((host.fqdn, host) for host in self._named(wanted - found.keys()))
        known = bool(wanted) and not queries and len(found) == len(wanted)
        return self._with_owners(list(found.values()), [] if known else self._domains())

    def _named(self, names: AbstractSet[str]) -> Iterator[Host]:
        """The hosts with these names. If the names need too many requests, all hosts are read."""
        queries = _name_queries(names)
        if len(queries) > MOST_QUERIES:
            yield from (host for host in self._hosts("") if host.fqdn in names)
            return
        for query in queries:
            yield from self._hosts(query)

    def _hosts(self, query: str) -> Iterator[Host]:
        wanted = "records=true" if "records" in self.capabilities.fields else ""
        return map(_host, self._items("/api/hosts", "&".join(part for part in (query, wanted) if part)))

    def _domains(self) -> list[Domain]:
        return list(map(_domain, self._items("/api/domains", "")))

    def silent(self, days: int) -> set[str]:
        """Names of hosts that sent no request, changed or unchanged, for so many days."""
        return {str(item["fqdn"]) for item in self._items("/api/hosts", urlencode({"silent_days": days}))}

    def _with_owners(self, hosts: Sequence[Host], domains: Sequence[Domain]) -> Registered:
        """Hosts and domains, each marked whether it belongs to the caller."""
        user = self._caller() if hosts or domains else ""
        own_hosts = (host if host.owner == user else replace(host, own=False) for host in hosts)
        own_domains = (domain if domain.owner == user else replace(domain, own=False) for domain in domains)
        return Registered(
            {host.fqdn: host for host in own_hosts}, {domain.name: domain for domain in own_domains}, user
        )

    def _caller(self) -> str:
        """The name of the user who owns the token. It is read once."""
        if self._user is None:
            name = object_in(self._call("GET", "/api/users/me")).get("name")
            if not isinstance(name, str):
                raise ServerError(f"{self.url}/api/users/me sent no user name")
            self._user = name
        return self._user

    def quotas(self) -> dict[str, dict[str, Any]]:
        """The caller's quotas by name, with `limit` (None: no limit) and `used` (None: unknown)."""
        found = object_in(self._call("GET", "/api/users/me")).get("quotas")
        if not isinstance(found, dict) or not all(isinstance(quota, dict) for quota in found.values()):
            raise ServerError(f"{self.url}/api/users/me sent no quotas")
        return found

    def certificate(self, fqdn: str, csr: str) -> str:
        """A certificate of the host for a request in PEM, as the chain in PEM. Raises ServerError."""
        response = self._call("POST", f"/api/hosts/{fqdn}/certificate", {"csr": csr})
        return response.body.decode("ascii", "replace")

    def call(
        self,
        method: str,
        path: str,
        content: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request to `/api`, for what is neither a host nor a domain. Raises ServerError, Stale (412)."""
        return self._call(method, path, content, headers)

    def items(self, path: str) -> Iterator[dict[str, Any]]:
        """All items of a list of `/api`. Raises ServerError."""
        return self._items(path, "")

    def execute(self, change: Change, key: str = "") -> Done:
        """Make one change; `key` as in `execute_many`. Raises Stale, Refused, LostAnswer …"""
        if change.kind == "domain":
            return self._domain(change)
        if change.kind == "key":
            return self._key(change)
        if change.kind == "stack" and self.stacks is not None:
            return self.stacks.change(change)
        if change.kind == "certificate":
            return certificates.execute(change, self.certificate)
        answer = self.execute_many([change], key or uuid.uuid4().hex)[0]
        if isinstance(answer, SyncError):
            raise answer
        return answer

    def execute_many(self, changes: Sequence[Change], key: str) -> list[Done | SyncError]:
        """Make changes of hosts in order, up to 10 000 in a call, or fewer if a proxy limits the size.

        Raises ServerError if the first call fails.
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

    def check(self, changes: Sequence[Change]) -> list[Done | SyncError]:
        """What `execute_many` would answer, from dry runs of up to 10 000 changes. Raises ServerError.

        A name that one dry run frees is not free in the next one, so a refusal of such a name is left out.
        """
        answers: list[Done | SyncError] = []
        for start in range(0, len(changes), BULK):
            answers += self._changes(changes[start : start + BULK], uuid.uuid4().hex, DRY_RUN)
        if len(changes) > BULK:
            freed = {
                change.source or change.name for change in changes if change.action in (Action.DELETE, Action.MOVE)
            }
            answers = [
                Done("applied") if isinstance(answer, SyncError) and change.name in freed else answer
                for change, answer in zip(changes, answers)
            ]
        return answers

    def valid(self, fqdn: str, secret: str) -> bool:
        """Whether this is the host's secret."""
        answer = self._call("POST", f"/api/hosts/{quote(fqdn)}/verify-secret", {"secret": secret})
        return object_in(answer).get("valid") is True

    def all_valid(self, secrets: Mapping[str, str]) -> Mapping[str, bool]:
        """As `valid` for secrets by full name. Hosts that the caller may not see are missing."""
        if not self._verifies_many:
            return {name: self.valid(name, secret) for name, secret in secrets.items()}
        found: dict[str, bool] = {}
        left = list(secrets.items())
        size = SECRETS
        while left:
            part, rest = dict(left[:size]), left[size:]
            try:
                answer = object_in(self._call("POST", "/api/verify-secrets", {"secrets": part}))
            except Refused as error:
                if error.status != 413 or len(part) == 1:
                    raise
                size = len(part) // 2
                continue
            found.update(answer.get("valid") or {})
            left = rest
        return found

    def enrolment(self, fqdn: str, lifetime: int) -> str:
        """A token for the host's machine. A new token makes earlier ones invalid."""
        if not self.capabilities.enrols:
            raise NotSupported([Problem(f"{fqdn}: {self.capabilities.server} cannot create enrolment tokens")])
        answer = self._call("POST", f"/api/hosts/{quote(fqdn)}/enrolments", {"lifetime": lifetime})
        token = object_in(answer).get("token")
        if not isinstance(token, str) or not token:
            raise ServerError(f"{self._transport.url} sent no token")
        return token

    # ---- hosts

    def _changes(self, changes: Sequence[Change], key: str, path: str = CHANGES) -> list[Done | SyncError]:
        edits = any(change.action is not Action.CREATE for change in changes)
        user = self._caller() if edits else ""
        content = {"atomic": False, "changes": [_item(change, user) for change in changes]}
        response = self._repeated(path, content, key)
        results = object_in(response).get("results")
        if not isinstance(results, list) or [isinstance(r, dict) for r in results] != [True] * len(changes):
            raise ServerError(f"{self._transport.url}/api/changes did not send one result for each change")
        return [_outcome(change, result) for change, result in zip(changes, results)]

    def _repeated(self, path: str, content: Mapping[str, Any], key: str) -> Response:
        """POST with an idempotency key, repeated a few times until an answer arrives."""
        sent: ServerError | None = None
        lease = self.stacks.headers if self.stacks is not None else {}
        for pause in (*PAUSES, None):
            wait = 0
            try:
                return self._call("POST", path, content, {"Idempotency-Key": key, **lease})
            except Unreachable as error:
                if sent is None:
                    raise
                failure: ServerError = error
            except LostAnswer as error:
                failure = sent = error
            except (Refused, Unauthorized) as error:
                if not isinstance(error, Refused) or not _is_temporary(error):
                    if sent is None:
                        raise
                    raise LostAnswer(f"{sent} (tried again: {error})") from error
                failure, wait = error, error.retry_after
                if error.status != 429:
                    sent = sent or error
            if pause is not None:
                self._pause(max(pause, wait))
        raise sent if sent is not None else failure

    # ---- domains

    def _domain(self, change: Change) -> Done:
        path = f"/api/domains/{quote(change.name)}"
        if change.action is Action.CREATE:
            content = {"name": change.name, **_not_none(_sent(change))}
            return self._checked(change, lambda: self._call("POST", "/api/domains", content))
        found = self._find(path)
        if found is None:
            if change.action is Action.DELETE:
                return Done("unchanged")
            raise Refused(404, f"there is no domain {change.name}, or you may not see it")
        if texts := differences(change.name, change.before, _domain(object_in(found))):
            raise Stale([Problem(text, hint="make a new plan") for text in texts])
        tag = {"If-Match": found.headers["etag"]} if "etag" in found.headers else {}
        if change.action is Action.DELETE:
            return self._checked(change, lambda: self._call("DELETE", path, headers=tag))
        content = _sent(change)
        return self._checked(change, lambda: self._call("PATCH", path, content, tag))

    # ---- keys

    def registered_keys(self) -> tuple[Key, ...]:
        """The caller's keys."""
        return tuple(
            Key(str(item["name"]), str(item["login"]), tuple(sorted(item["hosts"])), item.get("stack"))
            for item in self._items(KEYS, "")
        )

    def _key(self, change: Change) -> Done:
        if change.makes_secret:
            content = {"name": change.name, **change.after}
            if change.action is Action.REPLACE:
                present = [
                    key
                    for key in self.registered_keys()
                    if (key.name, key.stack) == (change.name, content.get("stack"))
                ]
                content.update({"replaces": present[0].login} if present else {})
            made = object_in(self._call("POST", KEYS, content))
            return Done("applied", f"{made.get('login')}:{made.get('secret')}")
        path = f"{KEYS}/{quote(str(change.before['login']), safe='')}"
        found = self._find(path)
        if found is None:
            if change.action is Action.DELETE:
                return Done("unchanged")
            raise Stale([Problem(f"there is no key {change.name} any more", hint="make a new plan")])
        hosts = sorted(object_in(found).get("hosts") or ())
        if change.action is Action.UPDATE and hosts != change.before["hosts"]:
            raise Stale([Problem(f"the key {change.name} has other hosts: {', '.join(hosts)}", hint="make a new plan")])
        self._call("DELETE" if change.action is Action.DELETE else "PATCH", path, change.after or None)
        return Done("applied")

    def _checked(self, change: Change, act: Callable[[], object]) -> Done:
        """Call `act` once. If the answer is lost, check whether the change was made."""
        try:
            act()
        except LostAnswer:
            found = self._find(f"/api/domains/{quote(change.name)}")
            domain = None if found is None else _domain(object_in(found))
            if not _is_made(change, domain):
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
        """All items of a list, read page by page. While a page is worked on, the next one is on its way."""
        page = self._page(path, query, "")
        if not page.get("next"):
            yield from page["items"]
            return
        with ThreadPoolExecutor(1) as pool:
            while cursor := page.get("next"):
                following = pool.submit(self._page, path, query, cursor)
                yield from page["items"]
                page = following.result()
        yield from page["items"]

    def _page(self, path: str, query: str, cursor: str) -> Mapping[str, Any]:
        parts = [query, f"limit={PAGE}", urlencode({"cursor": cursor}) if cursor else ""]
        page = object_in(self._call("GET", path + "?" + "&".join(part for part in parts if part)))
        if not isinstance(page.get("items"), list):
            raise ServerError(f"{self._transport.url}{path} sent no list")
        return page

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


def _is_temporary(error: Refused) -> bool:
    return error.status in (429, 502, 503, 504) and error.retry_after <= MOST_PAUSE


def _name_queries(names: Iterable[str]) -> list[str]:
    """Queries for hosts with these names, each of at most `QUERY_OCTETS`."""
    queries: list[str] = []
    for name in sorted(names):
        part = urlencode([("fqdn", name)])
        if queries and len(queries[-1]) + 1 + len(part) <= QUERY_OCTETS:
            queries[-1] += "&" + part
        else:
            queries.append(part)
    return queries


def _error(response: Response) -> SyncError:
    problem = object_in(response)
    if response.status == 412:
        return Stale([Problem(_text(problem), hint="make a new plan")])
    if problem.get("type") == "urn:ddns:lease-lost":
        return LeaseLost(response.status, LOST)
    return refused(response, _text(problem), _fields(problem), str(problem.get("type") or ""))


def _text(problem: Mapping[str, Any]) -> str:
    """The text of a problem: its detail, and its messages for fields."""
    if any(field.startswith(("records.", "related.")) for field in _fields(problem)):  # the reasons do not say which
        return "; ".join(f"{field}: {message}" for field, message in _fields(problem).items())
    text = str(problem.get("detail") or problem.get("title") or "")
    fields = "; ".join(f"{field}: {message}" for field, message in _fields(problem).items() if message not in text)
    return f"{text} ({fields})" if text and fields else text or fields


def _fields(problem: Mapping[str, Any]) -> dict[str, str]:
    errors = problem.get("errors")
    if not isinstance(errors, dict):
        return {}
    return {field: " ".join(map(str, texts)) for field, texts in errors.items() if isinstance(texts, list)}


def _item(change: Change, user: str) -> dict[str, Any]:
    """A change as JSON for `POST /api/changes`, on condition that the host belongs to the user or the known owner."""
    if change.action is Action.REPLACE:
        raise Refused(400, f"{change.name}: this plan was made for a server that cannot edit hosts; make a new plan")
    action = change.action.value if change.action in (Action.CREATE, Action.DELETE, Action.ROTATE) else "update"
    item: dict[str, Any] = {"action": action, "fqdn": change.source or change.name}
    values = _not_none(change.after) if change.action is Action.CREATE else dict(change.after)
    if change.action is Action.MOVE:
        values["fqdn"] = change.name
    if values and action in ("create", "update"):
        item["set"] = values
    conditions = {field: value for field, value in change.before.items() if field in CONDITIONS}
    if change.action is not Action.CREATE:
        item["if"] = {"owner": user, **conditions}
    return item


def _sent(change: Change) -> dict[str, Any]:
    """The values of a change of a domain, with the secret of its key. Raises SyncError."""
    values = dict(change.after)
    if "key" in values:
        values["key"] = tsig_files.with_secret(change.key_file, values["key"])
    return values


def _not_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in values.items() if value is not None}


def _outcome(change: Change, result: Mapping[str, Any]) -> Done | SyncError:
    if result.get("status") != "failed":
        warnings = tuple(map(str, result.get("warnings") or ()))
        return Done(str(result.get("status")), result.get("secret"), warnings=warnings, removes=_removes(result))
    error = result.get("error") or {}
    status = int(error.get("status") or 500)
    if status == 404 and change.action is Action.DELETE:
        return Done("unchanged")
    if status == 412:
        return Stale([Problem(f"{change.name}: {_text(error)}", hint="make a new plan")])
    return Refused(status, _text(error) or "the server refused it without a reason", _fields(error), of_one_change=True)


def _removes(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The records in the result of a deletion, each as `TYPE NAME`."""
    found = result.get("removes") or ()
    return tuple(f"{record['type']} {record['fqdn']}" for record in found)


def _is_made(change: Change, domain: Domain | None) -> bool:
    if change.action is Action.DELETE or domain is None:
        return change.action is Action.DELETE and domain is None
    return all(plain(domain, field) == value for field, value in change.after.items())


def _host(item: Mapping[str, Any]) -> Host:
    known = {field: value for field, value in item.items() if field in _HOST}
    facts = {field: value for field, value in item.items() if field not in _HOST}
    if found := known.get("records"):
        known["records"] = {key: {name: one.get(name) for name in ("ttl", "values")} for key, one in found.items()}
        if conflicts := {key: one["conflict"] for key, one in found.items() if one.get("conflict")}:
            facts["record_conflicts"] = conflicts
    return Host(**known, facts=facts)


def _domain(item: Mapping[str, Any]) -> Domain:
    known = {field: value for field, value in item.items() if field in _DOMAIN}
    return Domain(**known, facts={field: value for field, value in item.items() if field not in _DOMAIN})
