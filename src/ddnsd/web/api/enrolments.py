# SPDX-License-Identifier: GPL-3.0-or-later
"""Enrolment: a user creates a token for a host's machine, and the machine sets the host's secret with the token."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ddnsd.auth.caller import NoCredentials
from ddnsd.registry.enrolments import LONGEST_SECONDS, SHORTEST_SECONDS, USUAL_SECONDS, Enrolling
from ddnsd.registry.inputs import Whole
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, Changer, ClientIp, Ctx, client_ip, context_of
from ddnsd.web.api.errors import changes, described, success
from ddnsd.web.api.schemas import Body, Moment, Secret, Shown, TsigKeyOut


class EnrolmentCreate(Body):
    """The lifetime of a new enrolment token."""

    lifetime: Annotated[int, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS, description="Seconds."), Whole] = (
        USUAL_SECONDS
    )


class EnrolmentOut(Shown):
    """A new enrolment token."""

    token: Secret
    fqdn: str
    expires: Moment


class EnrolIn(Body):
    """The secret that the machine created."""

    secret: str = Field(pattern=r"^[A-Za-z0-9_-]{43}$", description="32 random octets, base64url without padding.")


class EnrolOut(Shown):
    """The host that now has this secret."""

    fqdn: str
    tsig: TsigKeyOut | None = Field(None, description="Absent without a port for DNS UPDATE.")


class EnrolRoute(ApiRoute):
    """A route for machines, which send an enrolment token. No other route accepts such a token."""

    @staticmethod
    async def identify(request: Request) -> Enrolling:
        """The enrolment of the token. Raises NoCredentials, NotEnrolled, StoreDown."""
        scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise NoCredentials
        return await context_of(request).enrolments.recognise(token.strip(), client_ip(request))


router = APIRouter(prefix="/api/hosts", tags=["hosts"], route_class=ApiRoute)
machines = APIRouter(tags=["hosts"], route_class=EnrolRoute)


@router.post("/{fqdn}/enrolments", status_code=201, responses=changes(404) | {201: success(EnrolmentOut)})
async def create_enrolment(
    caller: Changer, context: Ctx, client_ip: ClientIp, fqdn: str, body: EnrolmentCreate
) -> Response:
    """Create a token with which the host's machine can set the host's secret once, by `POST /api/enrol`.

    The token replaces an earlier one. The host keeps its secret until the machine uses the token. If the host gets a
    new secret in another way, the token stops working.
    """
    new = await context.enrolments.begin(caller, fqdn, body.lifetime, client_ip=client_ip)
    return serializers.answer({**new._asdict(), "expires": serializers.moment(new.expires)}, 201)


@machines.post("/api/enrol", responses=described(400, 401, 413, 415, 422, 503) | {200: success(EnrolOut)})
async def enrol(context: Ctx, where: ClientIp, request: Request, body: EnrolIn) -> Response:
    """Set the secret of the host that the enrolment token is for. The old secret stops working at once.

    If you repeat the call with the same secret, you get the same answer. The token does not work with another secret.
    """
    agent = request.headers.get("user-agent", "")
    await context.keep_tsig(body.secret)
    fqdn = await context.enrolments.finish(request.state.caller, body.secret, where, agent)
    return serializers.answer({"fqdn": fqdn} | context.tsig_key(fqdn, body.secret))
