# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/hosts/{fqdn}/certificate`: a certificate for a host, also before the host has an address."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.permissions import Action
from ddnsd.registry import names
from ddnsd.registry.errors import NoHost
from ddnsd.registry.rows import Host
from ddnsd.registry.signing_requests import LENGTH
from ddnsd.registry.validation import Expect
from ddnsd.web.api.dependencies import ApiRoute, By, Context, Ctx, context_of, needing, own_or_user
from ddnsd.web.api.errors import changes, problems
from ddnsd.web.api.schemas import Body
from ddnsd.web.preconditions import expect_host, get_host_or_404

MEDIA_TYPE = "application/pem-certificate-chain"


class CertificateIn(Body):
    """A request for a certificate."""

    csr: str = Field(
        max_length=LENGTH,
        description="PKCS #10 in PEM. Its names are the host's, or `*.` and the host's if it has a wildcard, or both. "
        "The key is RSA (2048 to 4096 bits), P-256 or P-384.",
    )


class CertificateRoute(ApiRoute):
    """A route for users with a token, and for machines with the secret of their host or key."""

    @staticmethod
    async def identify(request: Request) -> Caller:
        """The caller, with any credentials of the service. Raises SignInError, StoreDown."""
        return await own_or_user(request)


async def _reader(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found if found.kind is not Kind.USER else await needing("read")(request)


async def _changer(request: Request) -> Caller:
    """The caller. The call counts as a write of the user, or of the host's owner. Raises Problem, OverQuota."""
    found: Caller = request.state.caller
    if found.kind is Kind.USER:
        await needing("write")(request)
    await context_of(request).rates.take_write(found.user_id, refuse=True)
    return found


Reader = Annotated[Caller, Depends(_reader)]
Changer = Annotated[Caller, Depends(_changer)]

CHAIN: dict[str, Any] = {
    "description": "The certificate and those of its issuers, in PEM",
    "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
}

router = APIRouter(prefix="/api/hosts", tags=["hosts"], route_class=CertificateRoute)


@router.post("/{fqdn}/certificate", responses=changes(404, 409) | {200: CHAIN})
async def issue_certificate(caller: Changer, context: Ctx, by: By, fqdn: str, body: CertificateIn) -> Response:
    """Get a certificate for the host from the authority of the service. This takes up to 55 seconds.

    The host needs no address. The private key stays with you: send a request (CSR). The same request within a day gets
    the same certificate. A machine can use the secret of its host or key (Basic) instead of a token.
    """
    host, expect = await _host(context, caller, fqdn, Action.EDIT)
    return _answer(await context.certificates.issue(host, body.csr, by, expect))


@router.get("/{fqdn}/certificate", responses=problems(404) | {200: CHAIN})
async def read_certificate(caller: Reader, context: Ctx, fqdn: str) -> Response:
    """Read the newest certificate of the host."""
    host, _ = await _host(context, caller, fqdn, Action.LIST)
    return _answer((await context.certificates.current(host)).chain)


async def _host(context: Context, caller: Caller, fqdn: str, action: Action) -> tuple[Host, Expect]:
    """The host, and the check that the caller may still do this. Raises NoHost, NotPermitted, StoreDown."""
    name = names.fold(fqdn)
    if caller.kind is Kind.USER:
        return (await get_host_or_404(context.host_lists, caller, name, action)).host, expect_host(caller, action)
    own = next((host for host in caller.hosts if host.fqdn == name), None)
    if own is None:
        raise NoHost
    return own, expect_host(caller, Action.UPDATE)


def _answer(chain: str) -> Response:
    return Response(chain, 200, {"Cache-Control": "no-store"}, MEDIA_TYPE)
