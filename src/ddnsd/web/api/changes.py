# SPDX-License-Identifier: GPL-3.0-or-later
"""`POST /api/changes`: thousands of changes in one call."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets as random
from collections.abc import Sequence
from typing import Annotated, Any
from weakref import WeakValueDictionary

from fastapi import APIRouter, Header, Request, Response

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can
from ddnsd.registry.changes import Call, Kept, Repeated
from ddnsd.registry.domains import may_register
from ddnsd.registry.rows import Domain, Host
from ddnsd.registry.validation import Change, Result, Secrets, Verb
from ddnsd.web.api import change_parser, serializers
from ddnsd.web.api.change_schemas import REQUEST, Results
from ddnsd.web.api.dependencies import ApiRoute, By, Changer, ClientIp, Ctx
from ddnsd.web.api.error_responses import changes, success
from ddnsd.web.api.errors import Problem, problem_of

BODY_LIMIT = 16 * 1024 * 1024
LARGE = 1024 * 1024
LARGE_AT_ONCE = 2
"""Bodies of more than `LARGE` octets that are read at once for one user; the others wait, and who sends them too."""

ACTIONS = {Verb.UPDATE: Action.EDIT, Verb.DELETE: Action.DELETE, Verb.ROTATE: Action.ROTATE}

Key = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key and body within a day: the same answer, with its secrets, and nothing is done again.",
    ),
]


class ChangesRoute(ApiRoute):
    """A route with a large body, which it reads itself."""

    body_limit = BODY_LIMIT


router = APIRouter(prefix="/api", tags=["changes"], route_class=ChangesRoute)


@router.post(
    "/changes",
    responses=changes(409) | {200: success(Results)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": REQUEST}}}},
)
async def make_changes(
    caller: Changer,
    context: Ctx,
    client_ip: ClientIp,
    by: By,
    request: Request,
    idempotency_key: Key = None,
) -> Response:
    """Create, update, delete hosts and make new secrets, up to 10 000 at once.

    Answers when all is durable. `pending` is what DNS has not acknowledged by the deadline; it follows by itself. A
    change that fails leaves the others alone, unless the call is `atomic`. Changes are carried out in order: a name
    that one gives up, the next may take.
    """
    (items, atomic), digest = await _read(request, caller)
    token = request.headers["authorization"].strip().partition(" ")[2].strip()
    secret = _secrets(token.encode(), idempotency_key, digest)
    call = Call(
        items,
        atomic,
        _CallerPermissions(caller),
        caller.user,
        client_ip,
        request.url.scheme == "https",
        secret,
        _kept(token, idempotency_key, digest) if idempotency_key is not None else None,
        author=by,
    )
    try:
        results = await context.changes.apply(call)
    except Repeated as repeated:
        return serializers.json_response(await asyncio.to_thread(_again, repeated.text, secret))
    return serializers.json_response(await asyncio.to_thread(_text, results))


# ---- the body

_turns: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
"""Of users whose large bodies are being read; each is in memory as a whole."""


async def _read(request: Request, caller: Caller) -> tuple[tuple[list[Change], bool], bytes]:
    """The changes and whether they are atomic; the SHA-256 of the body. Raises Problem, ClientDisconnect."""
    if _is_small(request):
        return await _read_now(request, caller)
    async with _turns.setdefault(caller.user_id, asyncio.Semaphore(LARGE_AT_ONCE)):
        return await _read_now(request, caller)


def _is_small(request: Request) -> bool:
    length = request.headers.get("content-length", "")
    return length.isdigit() and int(length) <= LARGE


async def _read_now(request: Request, caller: Caller) -> tuple[tuple[list[Change], bool], bytes]:
    body = [part async for part in request.stream()]
    return await asyncio.to_thread(lambda: (change_parser.read(body, admin=caller.admin), _digest(body)))


def _digest(body: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256()
    for part in body:
        digest.update(part)
    return digest.digest()


class _CallerPermissions:
    """What a user may do, as the registry asks for it."""

    def __init__(self, caller: Caller) -> None:
        self._caller, self.user_id, self.oversight = caller, caller.user_id, caller.admin

    def may(self, verb: Verb, host: Host) -> bool:
        return can(self._caller, ACTIONS[verb], host)

    def may_register(self, domain: Domain, fqdn: str) -> bool:
        return may_register(self._caller, domain, fqdn)


# ---- secrets and Idempotency-Key


def _secrets(token: bytes, key: str | None, digest: bytes) -> Secrets:
    """Secrets of 256 bits; with an Idempotency-Key such that the same call has the same ones again, kept nowhere."""
    if key is None:
        token, key = random.token_bytes(32), ""
    prefix = b"ddns-secret|" + key.encode() + b"|" + digest.hex().encode()

    def secret(index: int, fqdn: str) -> tuple[str, bytes]:
        mac = hmac.digest(token, prefix + f"|{index}|{fqdn}".encode(), "sha256")
        text = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        return text, secrets.digest(text)

    return secret


def _kept(token: str, key: str, digest: bytes) -> Kept:
    key_hash = hashlib.sha256(secrets.digest(token) + key.encode()).digest()
    return Kept(key_hash, digest, lambda results: _text(results, secret=False))


def _again(text: str, secret: Secrets) -> str:
    """The answer of the first call; `"secret": true` stands for one."""
    results = json.loads(text)["results"]
    for index, result in enumerate(results):
        if "secret" in result:
            result["secret"], _ = secret(index, result["fqdn"])
    return json.dumps({"results": results})


# ---- the answer


def _text(results: Sequence[Result], *, secret: bool = True) -> str:
    return json.dumps({"results": [_result(result, secret) for result in results]})


def _result(result: Result, secret: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"fqdn": result.fqdn, "status": result.status.value}
    if result.secret is not None:
        shown["secret"] = result.secret if secret else True
    if result.error is not None:
        document = _problem(result.error).document()
        shown["error"] = {name: document[name] for name in ("title", "status", "detail", "errors") if name in document}
    return shown


def _problem(error: Exception) -> Problem:
    return problem_of(error, {"name": "fqdn"}) or Problem(500, "An unexpected error.")
