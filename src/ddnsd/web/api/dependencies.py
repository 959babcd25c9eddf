# SPDX-License-Identifier: GPL-3.0-or-later
"""Common to all calls of `/api`: sign-in, the limits and the media type of bodies, and the shape of errors.

Routes are functions of a module-level router with `route_class=ApiRoute`. It identifies the caller before it reads the
body. Routes declare what they need as parameters:

    caller: Reader | Changer | Administrator    the scope that the token must have; a Changer's call counts as a write
    context: Ctx                                the services of the registry
    by: By                                      the author for the histories of hosts

`Administrator` is for routes that concern the whole service: they refuse a token with patterns. On all other routes
`auth.permissions` decides for each object.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import structlog
from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import Caller, Kind, NoCredentials, SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.permissions import SERVICE, Action, can
from ddnsd.registry.changes import Changes
from ddnsd.registry.enrolments import Enrolments
from ddnsd.registry.errors import Invalid, OverQuota, StoreDown
from ddnsd.registry.inputs import RULE, RowId
from ddnsd.registry.rows import Author
from ddnsd.web.api.bulk_turns import BulkTurns
from ddnsd.web.api.errors import Problem, problem_of, repeated_member
from ddnsd.web.api.json_slices import Repeated, members
from ddnsd.web.asgi import is_encoded, signed_in
from ddnsd.web.context import Services, author


@dataclass(frozen=True, kw_only=True)
class Context(Services):
    """The shared services, and those that only the API needs."""

    signin: SignIn
    enrolments: Enrolments
    changes: Changes
    bulk_turns: BulkTurns


log = structlog.get_logger()

BODY_LIMIT = 64 * 1024
"""Maximum number of octets in a body, unless a route has its own limit."""

SMALL = 4 * 1024
MEMBERS = 500
"""Maximum number of object members in a body above `SMALL` octets. A host with all its labels has thirty."""

_MEMBER = re.compile(rb'"[ \t\n\r]*:')

REPORTED = 50
"""Maximum number of field errors in an answer."""

SIGN_IN_SECONDS = 1.5
"""How long a call that needs no token waits for the check of one."""

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class ApiRoute(APIRoute):
    """A route that identifies its caller, limits the body, and answers errors as problems.

    Subclasses change `body_limit`, `called` (as in `problem_of`) or `identify`.
    """

    body_limit: ClassVar[int] = BODY_LIMIT
    called: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    async def identify(request: Request) -> object:
        """The caller, for `request.state.caller`: the user of the token. Raises SignInError, StoreDown."""
        return await _caller(request)

    def get_route_handler(self) -> Handle:
        """The handler of the route, with sign-in, body limits and error answers around it."""
        handle = super().get_route_handler()

        async def run(request: Request) -> Response:
            return await _run(self, handle, request)

        return run


async def _run(route: ApiRoute, handle: Handle, request: Request) -> Response:
    try:
        request.state.caller = await route.identify(request)
        signed_in(request.scope)
        _check_body(request, route.body_limit)
        limited = _JsonRequest(request.scope, _limited(request.receive, route.body_limit))
        if route.body_limit <= BODY_LIMIT and _has_body(request):
            _check_members(await limited.body())
        return await handle(limited)
    except ClientDisconnect:
        return Response(status_code=408)  # the client has gone and does not get it
    except RequestValidationError as error:
        return _invalid(error.errors(), route.called).response()
    except Exception as error:
        problem = problem_of(error, route.called)
        if problem is None and isinstance(error, HTTPException):
            problem = Problem(error.status_code, "The body is not JSON in UTF-8.")
        if problem is None:
            log.exception("unexpected error", path=request.url.path)
            problem = Problem(500, "Unexpected error of the service. The operator finds details in its log.")
        elif problem.status_code >= 500:
            log.warning("API call failed", path=request.url.path, reason=problem.detail)
        return problem.response()


async def _caller(request: Request) -> Caller:
    header = request.headers.get("authorization", "")
    if header.strip().partition(" ")[0].lower() != "bearer":
        raise NoCredentials
    caller = await context_of(request).signin.by_header(header, client_ip(request))
    if caller.kind is not Kind.USER:
        raise NoCredentials
    return caller._replace(admin="admin" in caller.scopes)


async def own_or_user(request: Request) -> Caller:
    """The user of a token, or the caller with the secret of a host or key. Raises SignInError, StoreDown."""
    header = request.headers.get("authorization", "")
    if header.strip().partition(" ")[0].lower() != "basic":
        return await _caller(request)
    return await context_of(request).signin.by_header(header, client_ip(request))


async def is_administrator(request: Request) -> bool:
    """Whether the request has the token of an administrator without limits. False if it cannot be checked now."""
    if "authorization" not in request.headers:
        return False
    try:
        async with asyncio.timeout(SIGN_IN_SECONDS):
            caller = await _caller(request)
    except (SignInError, StoreDown, ProviderDown, TimeoutError):
        return False
    return can(caller, Action.ADMINISTER, SERVICE)


def context_of(request: Request) -> Context:
    """The services that `ddnsd.app` created."""
    context: Context = request.app.state.context
    return context


def client_ip(request: Request) -> str | None:
    """The caller's address."""
    return request.client.host if request.client else None


async def _context(request: Request) -> Context:
    return context_of(request)


async def _client_ip(request: Request) -> str | None:
    return client_ip(request)


async def _author(request: Request) -> Author:
    return author(request.state.caller, client_ip(request), request.headers.get("user-agent", ""))


# ---- scopes

DryRun = Annotated[
    bool,
    Query(description="Only validate the changes: nothing is changed. The scope `read` is enough."),
]

LIMITED = (
    "This call is for the whole service, but your token is limited to some domains, hosts or stacks. Use an "
    "administrator's token without such limits."
)


def needing(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency: the user of a token with this scope. It raises Problem."""

    async def caller(request: Request) -> Caller:
        found: Caller = request.state.caller
        if scope not in found.scopes and not found.admin:
            raise Problem(403, f"Your token does not have the scope {scope!r}. Use a token that has it.")
        return found

    return caller


async def _changer(request: Request) -> Caller:
    """The caller of a route that changes something. Raises Problem, and OverQuota unless the call only removes."""
    found: Caller = await needing("write")(request)
    try:
        await context_of(request).rates.take_write(found.user_id, refuse=request.method != "DELETE")
    except OverQuota:
        if request.method != "PATCH" or not _only_clears(await request.body()):
            raise
    return found


async def _bulk_changer(request: Request, dry_run: DryRun = False) -> Caller:
    """The caller of a bulk call. For a dry run, the scope `read` is enough. Raises Problem."""
    return await needing("read" if dry_run else "write")(request)


def _only_clears(body: bytes) -> bool:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(given, dict) and not any(given.values())


async def _administrator(request: Request) -> Caller:
    """The caller of a route that concerns the whole service. Raises Problem."""
    found: Caller = await needing("admin")(request)
    if not can(found, Action.ADMINISTER, SERVICE):
        raise Problem(403, LIMITED)
    return found


Ctx = Annotated[Context, Depends(_context)]
Reader = Annotated[Caller, Depends(needing("read"))]
Changer = Annotated[Caller, Depends(_changer)]
BulkChanger = Annotated[Caller, Depends(_bulk_changer)]
"""The route counts the writes, because it knows the number of changes."""
Administrator = Annotated[Caller, Depends(_administrator)]
ClientIp = Annotated[str | None, Depends(_client_ip)]
By = Annotated[Author, Depends(_author)]

IfMatch = Annotated[str | None, Header(description="ETags. One of them must match the current version.")]
Id = Annotated[RowId, Path(alias="id")]


# ---- bodies


class _JsonRequest(Request):
    """A request whose JSON is UTF-8, and whose objects have each member once."""

    async def json(self) -> Any:
        """The body. Raises Problem, ValueError."""
        try:
            return json.loads((await self.body()).decode("utf-8-sig"), object_pairs_hook=members)
        except Repeated:
            raise repeated_member() from None


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _check_body(request: Request, limit: int) -> None:
    if not _has_body(request):
        return
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > limit:
        raise _too_large(limit)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "Send the body as Content-Type: application/json.")
    if is_encoded(request.headers.get("content-encoding", "")):
        raise Problem(415, "Send the body without Content-Encoding.")


def _check_members(body: bytes) -> None:
    """Limit the members: a model creates an error per unknown member, which can take long. Raises Problem."""
    if len(body) > SMALL and len(_MEMBER.findall(body)) > MEMBERS:
        raise Problem(413, f"The body is too large: all its objects together may have {MEMBERS} members.")


def _limited(receive: Receive, limit: int) -> Receive:
    octets = 0

    async def limited() -> Message:
        nonlocal octets
        message = await receive()
        octets += len(message.get("body", b""))
        if octets > limit:
            raise _too_large(limit)
        return message

    return limited


def _too_large(limit: int) -> Problem:
    return Problem(413, f"The body is too large: at most {limit} octets are allowed.")


# ---- schema errors


TEXTS = {
    "extra_forbidden": "There is no such field.",
    "missing": "This field is required.",
    "model_attributes_type": "Send an object.",
    "string_unicode": "This is not Unicode text.",
}


def _invalid(errors: Sequence[Any], called: Mapping[str, str]) -> Problem:
    if any(
        error["type"] == "json_invalid" or (error["type"], error["loc"]) == ("missing", ("body",)) for error in errors
    ):
        return Problem(400, "The body is not JSON.")
    if all(error["type"] == RULE for error in errors):
        problem = problem_of(Invalid(**{_field(error): error["ctx"]["reason"] for error in errors[:REPORTED]}), called)
        assert problem is not None
        return problem
    fields: dict[str, list[str]] = {}
    for error in errors[:REPORTED]:
        fields.setdefault(_field(error), []).append(_printable(TEXTS.get(error["type"], error["msg"])))
    detail = "; ".join(f"{field}: {texts[0]}" for field, texts in fields.items())
    return Problem(422, detail, errors=fields)


def _field(error: Mapping[str, Any]) -> str:
    """The name of the field. The first part of `loc` is body, query, path or header."""
    return _printable(".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0]))


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:200]
