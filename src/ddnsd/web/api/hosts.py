# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/hosts`: hosts, their secrets and their addresses."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, acts_for_domain, can, covers_stack, visible
from ddnsd.registry import names, transfers
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import Code, Invalid, NoHost, NotPermitted
from ddnsd.registry.hosts import Edit, NewHost
from ddnsd.registry.rows import Domain, HostFilter, OwnedHost
from ddnsd.registry.status import DnsState
from ddnsd.registry.validation import NO_DOMAIN, STACK_BEYOND, Verb
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, By, Changer, ClientIp, Context, Ctx, IfMatch, Reader
from ddnsd.web.api.errors import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.schemas import (
    Body,
    HostCreate,
    HostDetailOut,
    HostPage,
    HostPatch,
    HostQuery,
    NewHostOut,
    Secret,
    Shown,
    TsigKeyOut,
)
from ddnsd.web.preconditions import expect_host, get_host_or_404, host_tag

OF_ONE = ("read_host", "change_host", "delete_host", "rotate_secret", "verify_secret", "read_ipv4", "read_ipv6")

BLOCK_FIELDS = frozenset({"abuse_blocked", "block_reason"})
"""Fields that the owner of the host's domain can change, too."""

ADMIN_FIELDS = frozenset({"available", "abuse_blocked", "block_reason", "quarantined", "owner", "secrets"})


class SecretOut(Shown):
    """The new secret. The old one no longer works."""

    secret: Secret
    tsig: TsigKeyOut | None = Field(None, description="Absent without a port for DNS UPDATE.")


class SecretIn(Body):
    """A secret to check."""

    secret: str


class Valid(Shown):
    """Whether the secret is the host's."""

    valid: bool


class Ipv4Out(Shown):
    """The host's IPv4 address, or a list of several."""

    ipv4: str | list[str] | None


class Ipv6Out(Shown):
    """The host's IPv6 address, or a list of several."""

    ipv6: str | list[str] | None


class HostRoute(ApiRoute):
    """A route of hosts, whose field `fqdn` is `name` in the registry."""

    called: ClassVar[Mapping[str, str]] = {"name": "fqdn"}


router = APIRouter(prefix="/api/hosts", tags=["hosts"], route_class=HostRoute)

CREATED = success(NewHostOut, "Location", "ETag") | leads_to("fqdn", *OF_ONE)


@router.get("", responses=problems() | {200: success(HostPage)})
async def list_hosts(caller: Reader, context: Ctx, query: Annotated[HostQuery, Query()]) -> Response:
    """List your own hosts, oldest first; with an administrator's token, those of all users.

    The filters `domain` and `fqdn` also find hosts of others in your domains, without `comment`, `stack` and `labels`.
    """
    wanted = HostFilter(
        None if caller.admin else caller.user_id,
        query.owner,
        None if query.domain is None else names.fold(query.domain),
        query.stack,
        None if query.fqdn is None else [names.fold(fqdn) for fqdn in query.fqdn],
        oversees=True,
        silent_days=query.silent_days,
        details=query.records == "true",
    )
    items: list[str] = []
    cursor = None
    async for part, state in context.host_lists.slices(wanted, query.after, query.limit):
        items += await asyncio.to_thread(_rendered, caller, part.items, state, query.records == "true")
        cursor = part.next
    return serializers.page(items, cursor)


@router.post("", status_code=201, responses=changes(409) | {201: CREATED})
async def create_host(
    caller: Changer, context: Ctx, client_ip: ClientIp, by: By, request: Request, body: HostCreate
) -> Response:
    """Register a host. Without an address it has no record: the caller's own address is not used."""
    secret = secrets.new_secret()
    domain = await _domain_of_new(context, caller, body.fqdn, body.stack)
    new = NewHost(
        body.fqdn,
        caller.user_id,
        caller.user,
        secrets.verifier(secret),
        AddressUpdate(body.ipv4, body.ipv6),
        alias=body.alias,
        wildcard=body.wildcard,
        comment=body.comment,
        ttl=body.ttl,
        stack=body.stack,
        protect=body.protect,
        ptr=body.ptr,
        labels=body.labels or {},
        records=body.records or {},
        related=body.related or {},
        tls=_is_tls(request),
        client_ip=client_ip,
        author=by,
        caller=caller,
    )
    await context.keep_tsig(secret)
    await context.hosts.register(domain, new)
    return await _shown(context, caller, body.fqdn, secret, status=201, Location=f"/api/hosts/{body.fqdn}")


@router.get("/{fqdn}", responses=problems(404) | {200: success(HostDetailOut, "ETag")})
async def read_host(caller: Reader, context: Ctx, fqdn: str) -> Response:
    """Read one host. `comment`, `stack` and `labels` of another user's host in your domain are not shown."""
    return await _shown(context, caller, fqdn, action=Action.OVERSEE)


@router.patch("/{fqdn}", responses=changes(404, 409, 412) | {200: success(HostDetailOut, "ETag")})
async def change_host(
    caller: Changer,
    context: Ctx,
    client_ip: ClientIp,
    by: By,
    request: Request,
    fqdn: str,
    body: HostPatch,
    if_match: IfMatch = None,
) -> Response:
    """Change the given fields; null clears a field.

    A new `fqdn` renames the host: the secret stays, and the records move. If the rename fails, nothing is changed.
    Only administrators can change `available`, `abuse_blocked`, `block_reason`, `quarantined`, `owner` and
    `secrets`. The owner of the domain can change `abuse_blocked` and `block_reason` in calls without other fields,
    unless an administrator or a rule has blocked the host.
    """
    given = {name: getattr(body, name) for name in body.model_fields_set}
    owned = await context.host_lists.named(fqdn)
    if owned is None:
        raise NoHost
    blocks = bool(given) and given.keys() <= BLOCK_FIELDS and can(caller, Action.BLOCK, owned.host)
    action = Action.BLOCK if blocks else Action.EDIT
    expect_host(caller, action)(owned.host)
    if not (caller.admin or blocks) and (refused := ADMIN_FIELDS & given.keys()):
        raise NotPermitted(Code.FIELDS_OF_ADMINISTRATORS, fields=", ".join(sorted(refused)))
    if "secrets" in given and "owner" not in given:
        raise Invalid(secrets=transfers.NO_OWNER)
    stack = given.get("stack", owned.host.stack)
    if not blocks and not covers_stack(caller, stack):
        raise Invalid(stack=STACK_BEYOND)
    rename = None
    if (new := given.pop("fqdn", owned.host.fqdn)) != owned.host.fqdn:
        rename = new, await _domain_of_new(context, caller, new, stack)
    keep = given.pop("secrets", None) == transfers.KEEP
    edit = Edit(
        _columns(given),
        caller.user,
        client_ip,
        expect_host(caller, action, if_match),
        rename=rename,
        tls=_is_tls(request),
        oversight=caller.admin,
        author=by,
        keep_secrets=keep,
        verb=Verb.BLOCK if blocks else Verb.UPDATE,
        for_domain=acts_for_domain(caller, owned.host),
        caller=caller,
    )
    host = await context.edits.apply(owned.host, edit)
    return await _shown(context, caller, host.fqdn, action=action)


@router.delete("/{fqdn}", status_code=204, responses=problems(404, 412) | NO_CONTENT)
async def delete_host(
    caller: Changer, context: Ctx, client_ip: ClientIp, fqdn: str, if_match: IfMatch = None
) -> Response:
    """Remove a host and its records. The owner of the domain can also remove hosts of others in it."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.DELETE)).host
    expect = expect_host(caller, Action.DELETE, if_match)
    await context.hosts.unregister(host, caller.user, client_ip, expect, for_domain=acts_for_domain(caller, host))
    return Response(status_code=204)


@router.post("/{fqdn}/secret", responses=problems(404, 429) | {200: success(SecretOut)})
async def rotate_secret(caller: Changer, context: Ctx, client_ip: ClientIp, by: By, fqdn: str) -> Response:
    """Replace the secret. The old one stops working at once."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.ROTATE)).host
    secret = secrets.new_secret()
    await context.keep_tsig(secret)
    await context.hosts.new_secret(host, secrets.verifier(secret), caller.user, client_ip, by)
    return serializers.answer({"secret": secret} | context.tsig_key(host.fqdn, secret))


@router.post("/{fqdn}/verify-secret", responses=changes(404) | {200: success(Valid)})
async def verify_secret(caller: Reader, context: Ctx, fqdn: str, body: SecretIn) -> Response:
    """Check whether a secret is the host's. Nothing is changed."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.LIST)).host
    return serializers.answer({"valid": secrets.matches(body.secret, host.secret_hash)})


@router.get("/{fqdn}/ipv4", responses=problems(404) | {200: success(Ipv4Out)})
async def read_ipv4(caller: Reader, context: Ctx, fqdn: str) -> Response:
    """Read only the host's IPv4 address."""
    owned = await get_host_or_404(context.host_lists, caller, fqdn, Action.OVERSEE)
    return serializers.answer({"ipv4": serializers.addresses(owned.host.ipv4)})


@router.get("/{fqdn}/ipv6", responses=problems(404) | {200: success(Ipv6Out)})
async def read_ipv6(caller: Reader, context: Ctx, fqdn: str) -> Response:
    """Read only the host's IPv6 address."""
    owned = await get_host_or_404(context.host_lists, caller, fqdn, Action.OVERSEE)
    return serializers.answer({"ipv6": serializers.addresses(owned.host.ipv6)})


def _is_tls(request: Request) -> bool:
    return request.url.scheme == "https"


async def _shown(
    context: Context,
    caller: Caller,
    fqdn: str,
    secret: str | None = None,
    action: Action = Action.EDIT,
    status: int = 200,
    **headers: str,
) -> Response:
    state = context.host_lists.dns_state()
    found = await get_host_or_404(context.host_lists, caller, fqdn, action)
    owned = _visible(caller, found)
    notices = await context.host_lists.notices(owned.host)
    tsig = {} if secret is None else context.tsig_key(owned.host.fqdn, secret)
    text = serializers.host_json(owned, state.of(owned.host), secret, notices, tsig=tsig)
    return serializers.json_response(text, status, ETag=host_tag(owned.host), **headers)


def _visible(caller: Caller, owned: OwnedHost) -> OwnedHost:
    """The host as the caller may see it: owners of its domain see no RRsets and no related names."""
    if acts_for_domain(caller, owned.host):
        owned = owned._replace(rrsets=(), related=())
    return owned._replace(host=visible(caller, owned.host))


def _rendered(caller: Caller, part: list[OwnedHost], state: DnsState, records: bool) -> list[str]:
    """The hosts that the caller may see, as JSON."""
    return [
        serializers.host_json(_visible(caller, owned), state.of(owned.host), records=records)
        for owned in part
        if can(caller, Action.OVERSEE, owned.host)
    ]


async def _domain_of_new(context: Context, caller: Caller, fqdn: str, stack: str | None) -> Domain:
    """The domain of a new name. Raises Invalid, with the same text for an unknown and a forbidden domain."""
    if problem := names.problem(fqdn):
        raise Invalid(fqdn=problem)
    if not covers_stack(caller, stack):
        raise Invalid(stack=STACK_BEYOND)
    domain = await context.domains.for_new_host(caller, fqdn, stack)
    if domain is None or not domain.available:
        raise Invalid(fqdn=NO_DOMAIN)
    return domain


def _columns(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a PATCH as the registry needs them."""
    values = dict(given)
    if "labels" in values:
        values["labels"] = values["labels"] or {}
    return values
