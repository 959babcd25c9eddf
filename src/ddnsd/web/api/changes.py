# SPDX-License-Identifier: GPL-3.0-or-later
"""`POST /api/changes`: thousands of changes in one call."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets as random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import IO, Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, acts_for_domain, can, covers_stack, may_take
from ddnsd.registry.changes import Call, Kept, Repeated
from ddnsd.registry.domains import may_register
from ddnsd.registry.rows import Domain, Host, LeasedCall
from ddnsd.registry.validation import Result, Secrets, Verb
from ddnsd.web.api import change_parser, serializers
from ddnsd.web.api.bulk_turns import BulkTurns
from ddnsd.web.api.dependencies import ApiRoute, BulkChanger, By, ClientIp, Ctx, DryRun
from ddnsd.web.api.errors import Problem, changes, problem_of, success
from ddnsd.web.api.schemas import REQUEST, LeaseId, Results

BODY_LIMIT = 16 * 1024 * 1024
SMALL = 64 * 1024
"""Size of a body, as on all other routes, up to which a call does not wait for a turn."""

READ_AT_ONCE = 64 * 1024

ACTIONS = {Verb.UPDATE: Action.EDIT, Verb.DELETE: Action.DELETE, Verb.ROTATE: Action.ROTATE, Verb.BLOCK: Action.BLOCK}

Key = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="If you repeat a call with the same key and body within a day, you get the same answer, with its "
        "secrets. The changes are not made again.",
    ),
]


class ChangesRoute(ApiRoute):
    """A route that reads its large body itself."""

    body_limit = BODY_LIMIT


router = APIRouter(prefix="/api", tags=["changes"], route_class=ChangesRoute)


@router.post(
    "/changes",
    responses=changes(409, 429) | {200: success(Results)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": REQUEST}}}},
)
async def make_changes(
    caller: BulkChanger,
    context: Ctx,
    client_ip: ClientIp,
    by: By,
    request: Request,
    idempotency_key: Key = None,
    stack_lease: LeaseId = None,
    dry_run: DryRun = False,
) -> Response:
    """Create, update and delete hosts, and replace secrets: up to 10 000 changes in one call.

    The answer comes when all changes are stored. A change is `pending` if DNS has not confirmed it in time; the service
    keeps trying. A failed change does not affect the others, unless the call is `atomic`. Changes are made in order, so
    a change can use a name that an earlier change released. The owner of a domain can delete, block and unblock hosts
    of others in it.

    With the id of a lease in Stack-Lease, the call fails as a whole if the lease has ended (409). The stack shows it as
    its last apply.

    With `dry_run`, nothing is changed: the results are those that the call would have, without secrets and without the
    confirmation of DNS. The Idempotency-Key is ignored.
    """
    async with _body(request, caller, context.bulk_turns) as (body, digest):
        items, atomic = await asyncio.to_thread(change_parser.read, body, admin=caller.admin)
        adds = any(change.verb is not Verb.DELETE for change in items)
        await context.rates.take_write(caller.user_id, len(items), refuse=adds or dry_run)
        token = token_of(request)
        secret = _secrets(token.encode(), idempotency_key, digest)
        call = Call(
            items,
            atomic,
            _CallerPermissions(_as_writer(caller) if dry_run else caller),
            caller.user,
            client_ip,
            request.url.scheme == "https",
            secret,
            _kept(token, idempotency_key, digest) if idempotency_key is not None and not dry_run else None,
            author=by,
            lease=stack_lease,
        )
        if dry_run:
            judged = await context.changes.dry_run(call)
            return serializers.json_response(await asyncio.to_thread(lambda: _text(_results(judged))))
        try:
            shown = await asyncio.to_thread(_results, await context.changes.apply(call))
        except Repeated as repeated:
            shown = await asyncio.to_thread(_again, repeated.text, secret)
        await context.keep_tsig(*(result["secret"] for result in shown if "secret" in result))
        return serializers.json_response(await asyncio.to_thread(_with_tsig_keys, shown, context.tsig_key))


# ---- the body


@asynccontextmanager
async def _body(request: Request, caller: Caller, turns: BulkTurns) -> AsyncIterator[tuple[Iterable[bytes], bytes]]:
    """The body in parts, and its SHA-256. A large call has its turns meanwhile. Raises Problem, ClientDisconnect."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) <= SMALL:
        body = await request.body()
        yield [body], hashlib.sha256(body).digest()
        return
    async with turns.of_user(caller.user_id), _spooled(request) as (file, digest), turns.of_all():
        yield iter(lambda: file.read(READ_AT_ONCE), b""), digest


@asynccontextmanager
async def _spooled(request: Request) -> AsyncIterator[tuple[IO[bytes], bytes]]:
    """The body in a temporary file without a name, because a slow client would keep it in memory, and its SHA-256.

    Raises Problem, ClientDisconnect.
    """
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        async for part in request.stream():
            digest.update(part)
            await asyncio.to_thread(file.write, part)
        file.seek(0)
        yield file, digest.digest()


def _as_writer(caller: Caller) -> Caller:
    """The caller with the scope `write`, to validate changes that a token for reading cannot make."""
    return caller._replace(scopes=caller.scopes | {"write"})


class _CallerPermissions:
    """The permissions of a user, as the registry needs them."""

    def __init__(self, caller: Caller) -> None:
        self._caller, self.user_id, self.oversight = caller, caller.user_id, caller.admin

    def may(self, verb: Verb, host: Host) -> bool:
        return can(self._caller, ACTIONS[verb], host)

    def acts_for_domain(self, host: Host) -> bool:
        return acts_for_domain(self._caller, host)

    def may_register(self, domain: Domain, fqdn: str, stack: str | None) -> bool:
        return may_register(self._caller, domain, fqdn, stack)

    def may_change(self, domain: Domain) -> bool:
        return can(self._caller, Action.EDIT, domain)

    def may_use(self, stack: str | None) -> bool:
        return covers_stack(self._caller, stack)

    def may_take(self, host: Host, stack: str) -> bool:
        return may_take(self._caller, host, stack)


# ---- secrets and Idempotency-Key


def _secrets(token: bytes, key: str | None, digest: bytes) -> Secrets:
    """A function that returns secrets of 256 bits.

    With an Idempotency-Key, a repeated call gets the same secrets. They are derived, and not stored.
    """
    if key is None:
        token, key = random.token_bytes(32), ""
    prefix = b"ddns-secret|" + key.encode() + b"|" + digest.hex().encode()

    def secret(index: int, fqdn: str) -> tuple[str, bytes]:
        mac = hmac.digest(token, prefix + f"|{index}|{fqdn}".encode(), "sha256")
        text = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        return text, secrets.verifier(text)

    return secret


def token_of(request: Request) -> str:
    """The token of the call, which the route has checked."""
    return request.headers["authorization"].strip().partition(" ")[2].strip()


def _kept(token: str, key: str, digest: bytes) -> Kept:
    return Kept(key, _key_hash(token, key), digest, lambda results: _text(_results(results, secret=False)))


def _key_hash(token: str, key: str) -> bytes:
    return hashlib.sha256(secrets.digest(token) + key.encode()).digest()


def is_of_token(call: LeasedCall, token: str) -> bool:
    """Whether the call was made with this token, so that its secrets can be derived again."""
    return hmac.compare_digest(_key_hash(token, call.key), call.key_hash)


def secrets_of(call: LeasedCall, token: str) -> dict[str, str]:
    """The new secrets of a call that was made with this token, by full name."""
    secret = _secrets(token.encode(), call.key, call.body_hash)
    results = enumerate(json.loads(call.text)["results"])
    return {result["fqdn"]: secret(index, result["fqdn"])[0] for index, result in results if "secret" in result}


def _again(text: str, secret: Secrets) -> list[dict[str, Any]]:
    """The stored results of the first call, with a secret in place of each `"secret": true`."""
    results: list[dict[str, Any]] = json.loads(text)["results"]
    for index, result in enumerate(results):
        if "secret" in result:
            result["secret"], _ = secret(index, result["fqdn"])
    return results


# ---- the answer


def _text(results: list[dict[str, Any]]) -> str:
    return json.dumps({"results": results})


def _with_tsig_keys(results: list[dict[str, Any]], tsig_key: Callable[[str, str], dict[str, Any]]) -> str:
    """The answer, with the TSIG key beside each new secret. `tsig_key` is that of the context."""
    return _text([one | tsig_key(one["fqdn"], one["secret"]) if "secret" in one else one for one in results])


def _results(results: Sequence[Result], *, secret: bool = True) -> list[dict[str, Any]]:
    """The results as they are shown; with `true` in place of secrets, as they are stored."""
    return [_result(result, secret) for result in results]


def _result(result: Result, secret: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"fqdn": result.fqdn, "status": result.status.value}
    if result.secret is not None:
        shown["secret"] = result.secret if secret else True
    if result.removes and result.error is None:
        shown["removes"] = [{"fqdn": fqdn, "type": rtype} for fqdn, rtype in result.removes]
    if result.warnings and result.error is None:
        shown["warnings"] = [str(reason) for reason in result.warnings]
    if result.error is not None:
        document = _problem(result.error).document()
        shown["error"] = {name: document[name] for name in ("title", "status", "detail", "errors") if name in document}
    return shown


def _problem(error: Exception) -> Problem:
    return problem_of(error, {"name": "fqdn"}) or Problem(500, "An unexpected error.")
