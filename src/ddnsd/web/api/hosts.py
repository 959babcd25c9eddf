# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/hosts`: the machines that have a name."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can, is_limited, is_name_allowed
from ddnsd.db import paging
from ddnsd.db.paging import HostFilter, OwnedHost
from ddnsd.db.rows import Domain, Host
from ddnsd.registry import host_columns, names, transfers
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import Invalid, NoHost
from ddnsd.registry.host_edits import Edit
from ddnsd.registry.hosts import NewHost
from ddnsd.registry.validation import NO_DOMAIN, Expect
from ddnsd.web.api import serializers
from ddnsd.web.api.context import Context
from ddnsd.web.api.dependencies import By, Changer, ClientIp, Reader, route_class
from ddnsd.web.api.error_responses import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.errors import Problem
from ddnsd.web.api.host_schemas import HostCreate, HostOut, HostPage, HostPatch, HostQuery, NewHostOut
from ddnsd.web.api.schemas import Body, Secret, Shown

SLICE = 1000
"""Hosts that are read and rendered at once, so that nobody waits for more than that."""

OF_ONE = ("read_host", "change_host", "delete_host", "rotate_secret", "verify_secret", "read_ipv4", "read_ipv6")

CALLED = {"name": "fqdn"}
"""The registry's word for a host's name is `name`."""

ADMIN_FIELDS = frozenset({"available", "abuse_blocked", "owner", "secrets"})

IfMatch = Annotated[str | None, Header(description="ETags; the change is made only where one of them still fits.")]


class SecretOut(Shown):
    """The new secret; the old one is void."""

    secret: Secret


class SecretIn(Body):
    """A secret that may be the host's."""

    secret: str


class Valid(Shown):
    """Whether it is."""

    valid: bool


class Ipv4Out(Shown):
    """The host's IPv4 address."""

    ipv4: str | None


class Ipv6Out(Shown):
    """The host's IPv6 address."""

    ipv6: str | None


def router(context: Context) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/hosts", tags=["hosts"], route_class=route_class(context, called=CALLED))

    @routes.get("", responses=problems() | {200: success(HostPage)})
    async def list_hosts(caller: Reader, query: Annotated[HostQuery, Query()]) -> Response:
        """Your own hosts, by age; with an administrator's token everybody's."""
        return await _page(context, caller, query)

    created = success(NewHostOut, "Location", "ETag") | leads_to("fqdn", *OF_ONE)

    @routes.post("", status_code=201, responses=changes(409) | {201: created})
    async def create_host(caller: Changer, client_ip: ClientIp, by: By, request: Request, body: HostCreate) -> Response:
        """Register a host. Without an address it has no record; none is taken from the caller."""
        secret = secrets.new_secret()
        fqdn = names.fold(body.fqdn)
        domain = await _usable(context, caller, fqdn)
        new = NewHost(
            fqdn,
            caller.user_id,
            caller.user,
            secrets.digest(secret),
            _wanted(context, body, domain),
            wildcard=body.wildcard,
            comment=body.comment,
            ttl=body.ttl,
            stack=body.stack,
            labels=host_columns.labels_text(body.labels or {}),
            tls=_tls(request),
            client_ip=client_ip,
            author=by,
        )
        await context.hosts.register(domain, new)
        return await _shown(context, caller, fqdn, secret, status=201, Location=f"/api/hosts/{fqdn}")

    @routes.get("/{fqdn}", responses=problems(404) | {200: success(HostOut, "ETag")})
    async def read_host(caller: Reader, fqdn: str) -> Response:
        """One host."""
        return await _shown(context, caller, fqdn, action=Action.LIST)

    @routes.patch("/{fqdn}", responses=changes(404, 409, 412) | {200: success(HostOut, "ETag")})
    async def change_host(
        caller: Changer,
        client_ip: ClientIp,
        by: By,
        request: Request,
        fqdn: str,
        body: HostPatch,
        if_match: IfMatch = None,
    ) -> Response:
        """Change the fields that are given; null clears.

        A new `fqdn` renames: the secret stays, the records move. A rename that cannot be made changes nothing.
        `available`, `abuse_blocked`, `owner` and `secrets` are an administrator's.
        """
        owned = await visible(context, caller, fqdn, Action.EDIT)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        if not caller.admin and (refused := ADMIN_FIELDS & given.keys()):
            raise Problem(403, f"Only an administrator changes {', '.join(sorted(refused))}.")
        if "secrets" in given and "owner" not in given:
            raise Invalid(secrets=transfers.NO_OWNER)
        rename = None
        if (new := names.fold(given.pop("fqdn", owned.host.fqdn))) != owned.host.fqdn:
            rename = new, await _usable(context, caller, new)
        keep = given.pop("secrets", None) == transfers.KEEP
        edit = Edit(
            _values(given),
            caller.user,
            client_ip,
            precondition(caller, Action.EDIT, if_match),
            rename=rename,
            tls=_tls(request),
            oversight=caller.admin,
            author=by,
            keep_secrets=keep,
        )
        host = await context.edits.apply(owned.host, edit)
        return await _shown(context, caller, host.fqdn)

    @routes.delete("/{fqdn}", status_code=204, responses=problems(404, 412) | NO_CONTENT)
    async def delete_host(caller: Changer, client_ip: ClientIp, fqdn: str, if_match: IfMatch = None) -> Response:
        """Remove a host and its records."""
        owned = await visible(context, caller, fqdn, Action.DELETE)
        await context.hosts.unregister(
            owned.host, caller.user, client_ip, precondition(caller, Action.DELETE, if_match)
        )
        return Response(status_code=204)

    @routes.post("/{fqdn}/secret", responses=problems(404) | {200: success(SecretOut)})
    async def rotate_secret(caller: Changer, client_ip: ClientIp, by: By, fqdn: str) -> Response:
        """Make a new secret; the old one is void at once."""
        owned = await visible(context, caller, fqdn, Action.ROTATE)
        secret = secrets.new_secret()
        await context.hosts.new_secret(owned.host, secrets.digest(secret), caller.user, client_ip, by)
        return serializers.answer({"secret": secret})

    @routes.post("/{fqdn}/verify-secret", responses=changes(404) | {200: success(Valid)})
    async def verify_secret(caller: Reader, fqdn: str, body: SecretIn) -> Response:
        """Whether a secret is the host's; nothing is changed."""
        owned = await visible(context, caller, fqdn, Action.LIST)
        return serializers.answer({"valid": secrets.matches(body.secret, owned.host.secret_hash)})

    @routes.get("/{fqdn}/ipv4", responses=problems(404) | {200: success(Ipv4Out)})
    async def read_ipv4(caller: Reader, fqdn: str) -> Response:
        """The host's IPv4 address alone."""
        return serializers.answer({"ipv4": (await visible(context, caller, fqdn, Action.LIST)).host.ipv4})

    @routes.get("/{fqdn}/ipv6", responses=problems(404) | {200: success(Ipv6Out)})
    async def read_ipv6(caller: Reader, fqdn: str) -> Response:
        """The host's IPv6 address alone."""
        return serializers.answer({"ipv6": (await visible(context, caller, fqdn, Action.LIST)).host.ipv6})

    return routes


def _tls(request: Request) -> bool:
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
    seen = serializers.Seen(context.writer)
    owned = await visible(context, caller, fqdn, action)
    text = serializers.host_json(owned, seen.dns(owned.host), secret)
    return serializers.json_response(text, status, ETag=serializers.host_tag(owned.host), **headers)


async def visible(context: Context, caller: Caller, fqdn: str, action: Action) -> OwnedHost:
    """The host, if the caller may do this to it. Raises NoHost."""
    name = names.fold(fqdn)
    owned = await context.store.read(lambda c: paging.host(c, name)) if names.is_full(name) else None
    if owned is None or not can(caller, action, owned.host):
        raise NoHost
    return owned


def precondition(caller: Caller, action: Action, if_match: str | None = None) -> Expect:
    """What must hold of the host just before it is changed."""

    def expect(host: Host) -> None:
        if not can(caller, action, host):
            raise NoHost
        serializers.check_match(if_match, serializers.host_tag(host))

    return expect


async def _usable(context: Context, caller: Caller, fqdn: str) -> Domain:
    """The domain of a new name; one answer whether it is unknown or not the caller's to use. Raises Invalid."""
    if problem := names.problem(fqdn):
        raise Invalid(fqdn=problem)
    domain = await context.domains.around(fqdn)
    usable = domain is not None and domain.available and can(caller, Action.REGISTER, domain)
    if domain is None or not usable or not is_name_allowed(caller, fqdn):
        raise Invalid(fqdn=NO_DOMAIN)
    return domain


def _wanted(context: Context, body: HostCreate, domain: Domain) -> AddressUpdate:
    given = {"ipv4": body.ipv4, "ipv6": body.ipv6}
    values = {family: host_columns.address(family, text) for family, text in given.items() if text is not None}
    host_columns.check_policy(context.policy, values, domain_takes_private=domain.private_addresses)
    return AddressUpdate(ipv4=values.get("ipv4"), ipv6=values.get("ipv6"))


def _values(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a PATCH as the registry takes them. Raises Invalid."""
    values = dict(given)
    for family in host_columns.FAMILIES:
        if values.get(family) is not None:
            values[family] = host_columns.address(family, values[family])
    if "labels" in values:
        values["labels"] = values["labels"] or {}
    return values


async def _page(context: Context, caller: Caller, query: HostQuery) -> Response:
    """Read and render by slices; a host that the token's patterns exclude makes the page shorter."""
    wanted = HostFilter(
        None if caller.admin else caller.user_id,
        query.owner,
        _folded(query.domain),
        query.stack,
        None if query.fqdn is None else [names.fold(fqdn) for fqdn in query.fqdn],
    )
    limited = is_limited(caller)

    def rendered(part: list[OwnedHost], seen: serializers.Seen) -> list[str]:
        shown = [o for o in part if can(caller, Action.LIST, o.host)] if limited else part
        return [serializers.host_json(owned, seen.dns(owned.host)) for owned in shown]

    items: list[str] = []
    after, left = query.after, query.limit
    while True:
        size, seen = min(left, SLICE), serializers.Seen(context.writer)
        part = await context.store.read(lambda c, a=after, s=size: paging.page_of_hosts(c, wanted, a, s + 1))  # type: ignore[misc]
        more, part = len(part) > size, part[:size]
        items += await asyncio.to_thread(rendered, part, seen)
        left -= len(part)
        after = part[-1].host.id if part else after
        if not more or not left:
            return serializers.page(items, after if more else None)


def _folded(name: str | None) -> str | None:
    return None if name is None else names.fold(name)
