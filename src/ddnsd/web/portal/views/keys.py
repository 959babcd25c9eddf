# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: one login and secret with which a router updates a group of hosts."""

from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth import secrets
from ddnsd.auth.permissions import Action, can
from ddnsd.db import paging
from ddnsd.db.paging import HostFilter
from ddnsd.db.rows import Key, User
from ddnsd.registry import accounts
from ddnsd.registry.errors import Invalid
from ddnsd.web.portal.client_configs import Target, configurations
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.handing_over import hand_over, handed_over
from ddnsd.web.portal.request import PageRequest, get, post

PAGE = 100
TICKED = 60
"""So many hosts can be ticked; who has more writes names."""
MOST = 1000


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(page: PageRequest) -> Response:
        after = page.query.get("after", "")
        cursor = int(after) if after.isascii() and after.isdigit() and len(after) <= 18 else 0
        found = await portal.store.read(lambda c: paging.page_of_keys(c, page.caller.user_id, cursor, PAGE + 1))
        shown = found[:PAGE]
        hosts = await portal.store.read(lambda c: paging.hosts_of_keys(c, [key.id for key in shown]))
        return page.render(
            "keys/list.html",
            keys=[(key, hosts.get(key.id, [])) for key in shown],
            first=page.url(after=None) if cursor else None,
            following=page.url(after=shown[-1].id) if len(found) > PAGE else None,
        )

    async def form(page: PageRequest, values: dict[str, Any], errors: dict[str, str], status: int = 200) -> Response:
        own = HostFilter(owner_id=page.caller.user_id)
        found = await portal.store.read(lambda c: paging.page_of_hosts(c, own, 0, TICKED + 1))
        names = sorted(owned.host.fqdn for owned in found)
        return page.render(
            "keys/new.html",
            status,
            values=values,
            errors=errors,
            names=names if len(names) <= TICKED else [],
            any=bool(names),
        )

    async def new(page: PageRequest) -> Response:
        return await form(page, {"chosen": [page.query.get("host", "")]}, {})

    async def make(page: PageRequest) -> Response:
        _ = page.gettext
        name, chosen = page.text("name"), [*page.form.getlist("hosts"), *page.text("more").split()]
        errors = {}
        if not name or len(name) > 100 or not name.isprintable():
            errors["name"] = _("A name has 1 to 100 printable characters.")
        if not 1 <= len(chosen) <= MOST:
            errors["hosts"] = _("Choose 1 to %(most)s hosts.", most=MOST)
        if not errors:
            try:
                return await _make(page, name, list(dict.fromkeys(chosen)))
            except Invalid as error:
                errors = page.reasons(error.fields)
        return await form(page, {"name": name, "chosen": chosen, "more": page.text("more")}, errors, 422)

    async def show_made(page: PageRequest) -> Response:
        if (made := await handed_over(page)) is None:
            return page.render("keys/made.html", secret=None)
        key, hosts = await own(page, made["login"])
        target = Target(hosts[0].fqdn, portal.base_url, made["secret"], key.login)
        return page.render(
            "keys/made.html", key=key, hosts=hosts, secret=made["secret"], configurations=configurations(target)
        )

    async def own(page: PageRequest, login: str) -> tuple[Key, list[Any]]:
        well_formed = login.isascii() and login.isprintable() and len(login) <= 40
        key = await portal.store.read(lambda c: paging.key(c, login)) if well_formed else None
        if key is None or key.owner_id != page.caller.user_id:
            raise NotFound
        found = await portal.store.read(lambda c: paging.hosts_of_keys(c, [key.id]))
        return key, found.get(key.id, [])

    async def revoke(page: PageRequest) -> Response:
        key, _hosts = await own(page, page.param("login"))
        await portal.store.transact(lambda c: accounts.delete_key(c, key, page.caller.user, page.client_ip))
        return page.redirect("/keys", page.gettext("The key %(name)s was revoked. Its hosts stay.", name=key.name))

    return [
        get("/keys", show),
        get("/keys/new", new),
        get("/keys/made", show_made),
        post("/keys", make),
        post("/keys/{login}/revoke", revoke),
    ]


async def _make(page: PageRequest, name: str, hosts: list[str]) -> Response:
    """Make the key, and lead to the page that shows it. Raises Invalid, StoreDown."""
    caller, login, secret = page.caller, secrets.new_login(), secrets.new_secret()
    user = User(caller.user_id, caller.user, page.admin, True, 0)

    def add(connection: Connection) -> None:
        accounts.add_key(
            connection,
            user,
            login,
            secrets.digest(secret),
            hosts,
            name,
            actor=caller.user,
            client_ip=page.client_ip,
            usable=lambda host: can(caller, Action.UPDATE, host),
        )

    content = {"login": login, "secret": secret}
    return await hand_over(page, "/keys/made", content, lambda: page.portal.store.transact(add))
