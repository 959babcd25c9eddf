# SPDX-License-Identifier: GPL-3.0-or-later
"""Enrolment: whoever may change a host makes a token for its machine, and the machine brings its secret with that."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BeforeValidator, Field

from ddnsd.auth import secrets
from ddnsd.auth.caller import BadCredentials, NoCredentials
from ddnsd.auth.permissions import Action, can
from ddnsd.auth.throttle import Guess
from ddnsd.db.rows import Host
from ddnsd.registry import names
from ddnsd.registry.enrolments import LONGEST_SECONDS, SHORTEST_SECONDS, USUAL_SECONDS, check_secret, usable
from ddnsd.registry.errors import NoHost, NotEnrolled
from ddnsd.web.api import serializers
from ddnsd.web.api.context import Context
from ddnsd.web.api.dependencies import Changer, ClientIp, client_ip, route_class
from ddnsd.web.api.error_responses import changes, described, success
from ddnsd.web.api.schemas import Body, Moment, Secret, Shown, whole

NAME = "enrolment"
"""In place of a name, of which an unknown enrolment token tells none."""


class EnrolmentCreate(Body):
    """A new enrolment token."""

    lifetime: Annotated[
        int, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS, description="Seconds."), BeforeValidator(whole)
    ] = USUAL_SECONDS


class EnrolmentOut(Shown):
    """An enrolment token that has just been made."""

    token: Secret
    fqdn: str
    expires: Moment


class EnrolIn(Body):
    """The secret that the machine has made."""

    secret: str = Field(pattern=r"^[A-Za-z0-9_-]{43}$", description="32 random octets, base64url without padding.")


class EnrolOut(Shown):
    """The host whose secret it is now."""

    fqdn: str


def router(context: Context) -> APIRouter:
    """The routes that users call."""
    routes = APIRouter(prefix="/api/hosts", tags=["hosts"], route_class=route_class(context))

    @routes.post("/{fqdn}/enrolments", status_code=201, responses=changes(404) | {201: success(EnrolmentOut)})
    async def create_enrolment(caller: Changer, client_ip: ClientIp, fqdn: str, body: EnrolmentCreate) -> Response:
        """Make a token with which the host's machine sets the host's secret, once, by `POST /api/enrol`.

        It ends a former one. Until it is used, the host's secret stays; a new secret of the host ends it as well.
        """

        def expect(host: Host) -> None:
            if not can(caller, Action.ROTATE, host):
                raise NoHost

        name = names.fold(fqdn)
        if not names.is_full(name):
            raise NoHost
        token = secrets.new_enrolment()
        expires = await context.enrolments.begin(
            name,
            secrets.digest(token),
            body.lifetime,
            user_id=caller.user_id,
            actor=caller.user,
            client_ip=client_ip,
            expect=expect,
        )
        return serializers.answer({"token": token, "fqdn": name, "expires": serializers.moment(expires)}, 201)

    return routes


def machines(context: Context) -> APIRouter:
    """The route that machines call: with an enrolment token, which no other route takes."""

    async def identify(request: Request) -> Guess:
        """The token, where it may be used. Raises NoCredentials, NotEnrolled, StoreDown."""
        token = _token(request)
        try:
            guess = context.throttle.begin(NAME, token, client_ip(request) or "")
        except BadCredentials:
            raise NotEnrolled from None
        found = await guess.rows.enrolment.one(secrets.digest(token))
        if found is None or not usable(found):
            context.throttle.failed(guess, wrong=found is None)
            raise NotEnrolled
        request.state.enrolment = found
        return guess

    routes = APIRouter(tags=["hosts"], route_class=route_class(context, identify=identify))

    @routes.post("/api/enrol", responses=described(400, 401, 413, 415, 422, 503) | {200: success(EnrolOut)})
    async def enrol(where: ClientIp, request: Request, body: EnrolIn) -> Response:
        """Set the secret of the host for which the enrolment token was made; the old one is void at once.

        The same call again is answered alike. The token is good for no other secret.
        """
        guess: Guess = request.state.caller
        agent, secret = request.headers.get("user-agent", ""), secrets.digest(body.secret)
        try:
            check_secret(request.state.enrolment, secret)
            fqdn = await context.enrolments.finish(secrets.digest(guess.secret), secret, where, agent)
        except NotEnrolled:
            context.throttle.failed(guess, wrong=False)
            raise
        return serializers.answer({"fqdn": fqdn})

    return routes


def _token(request: Request) -> str:
    """The token that the request bears. Raises NoCredentials, NotEnrolled."""
    scheme, _, value = request.headers.get("authorization", "").strip().partition(" ")
    token = value.strip()
    if scheme.lower() != "bearer" or not token:
        raise NoCredentials
    if not token.startswith(secrets.ENROLMENT_PREFIX):
        raise NotEnrolled
    return token
