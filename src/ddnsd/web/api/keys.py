# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/keys`: Basic credentials for a group of the caller's hosts."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can, covers_host, is_limited
from ddnsd.db import paging
from ddnsd.db.rows import Host, Key, User
from ddnsd.registry import accounts
from ddnsd.web.api import serializers
from ddnsd.web.api.context import Context
from ddnsd.web.api.dependencies import Changer, ClientIp, Reader, route_class
from ddnsd.web.api.error_responses import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.errors import not_found
from ddnsd.web.api.schemas import Body, FullName, Moment, Name, Next, Paging, Secret, Shown


class KeyCreate(Body):
    """A new key."""

    name: Name
    hosts: Annotated[list[FullName], Field(min_length=1, max_length=1000)]


class KeyOut(Shown):
    """A key; `login` is the user name of Basic authentication."""

    login: str
    name: str
    hosts: list[str]
    created: Moment


class NewKeyOut(KeyOut):
    """A key that has just been made."""

    secret: Secret


class KeyPage(Shown):
    """A page of keys."""

    items: list[KeyOut]
    next: Next


def router(context: Context) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/keys", tags=["keys"], route_class=route_class(context))

    @routes.get("", responses=problems() | {200: success(KeyPage)})
    async def list_keys(caller: Reader, query: Paging) -> Response:
        """Your own keys."""
        found = await context.store.read(lambda c: paging.page_of_keys(c, caller.user_id, query.after, query.limit + 1))
        shown = found[: query.limit]
        hosts = await context.store.read(lambda c: paging.hosts_of_keys(c, [key.id for key in shown]))
        items = [
            json.dumps(_key(key, hosts.get(key.id, []))) for key in shown if _within(caller, hosts.get(key.id, []))
        ]
        return serializers.page(items, shown[-1].id if len(found) > query.limit else None)

    created = success(NewKeyOut, "Location") | leads_to("login", "read_key", "delete_key")

    @routes.post("", status_code=201, responses=changes() | {201: created})
    async def create_key(caller: Changer, client_ip: ClientIp, body: KeyCreate) -> Response:
        """Make a key that updates the addresses of these hosts, which are your own."""
        login, secret = secrets.new_login(), secrets.new_secret()
        user = User(caller.user_id, caller.user, caller.admin, True, 0)
        await context.store.transact(
            lambda c: accounts.add_key(
                c,
                user,
                login,
                secrets.digest(secret),
                body.hosts,
                body.name,
                actor=caller.user,
                client_ip=client_ip,
                usable=lambda host: can(caller, Action.UPDATE, host),
            )
        )
        key, hosts = await _own(context, caller, login)
        return serializers.answer(_key(key, hosts) | {"secret": secret}, 201, Location=f"/api/keys/{login}")

    @routes.get("/{login}", responses=problems(404) | {200: success(KeyOut)})
    async def read_key(caller: Reader, login: str) -> Response:
        """One of your keys, without the secret."""
        return serializers.answer(_key(*await _own(context, caller, login)))

    @routes.delete("/{login}", status_code=204, responses=problems(404) | NO_CONTENT)
    async def delete_key(caller: Changer, client_ip: ClientIp, login: str) -> Response:
        """Make a key void at once; its hosts stay."""
        key, _ = await _own(context, caller, login)
        await context.store.transact(lambda c: accounts.delete_key(c, key, caller.user, client_ip))
        return Response(status_code=204)

    return routes


async def _own(context: Context, caller: Caller, login: str) -> tuple[Key, list[Host]]:
    key = await context.store.read(lambda c: paging.key(c, login)) if _well_formed(login) else None
    if key is None or key.owner_id != caller.user_id:
        raise not_found()
    hosts = await context.store.read(lambda c: paging.hosts_of_keys(c, [key.id]))
    own = hosts.get(key.id, [])
    if not _within(caller, own):
        raise not_found()
    return key, own


def _well_formed(login: str) -> bool:
    return login.isascii() and login.isprintable() and len(login) <= 40


def _within(caller: Caller, hosts: list[Host]) -> bool:
    """Whether the token's patterns leave the caller all of the key's hosts; they leave no key without hosts."""
    within = all(covers_host(caller, host.fqdn, host.domain) for host in hosts)
    return within and not (is_limited(caller) and not hosts)


def _key(key: Key, hosts: list[Host]) -> dict[str, Any]:
    return {
        "login": key.login,
        "name": key.name,
        "hosts": [host.fqdn for host in hosts],
        "created": serializers.moment(key.created),
    }
