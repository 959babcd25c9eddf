# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's keys: one login and secret with which a router updates a group of hosts."""

from typing import Any

from starlette.responses import Response

from ddnsd.auth import secrets
from ddnsd.registry.errors import Invalid
from ddnsd.registry.inputs import KeyInput
from ddnsd.web.portal import forms, show_once
from ddnsd.web.portal.client_configs import Target, configurations, dns_configurations_of
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import get, post

SIZE = 100
CHECKBOXES = 60
"""Hosts that the form lists; users with more hosts type their names."""


async def show(page: PageRequest) -> Response:
    """A page of keys, with their hosts."""
    found = await page.portal.keys.page(page.caller, page.cursor("after"), SIZE)
    return page.render("keys/list.html", keys=found.items, pages=paginate(page, found.next))


async def new(page: PageRequest) -> Response:
    """The form for a new key."""
    return await _form(page, {"chosen": [page.query.get("host", "")]}, {})


async def create(page: PageRequest) -> Response:
    """Create the key of the form."""
    chosen = [*page.form.getlist("hosts"), *page.words("more")]
    try:
        return await _create(page, forms.read(page, KeyInput, hosts=chosen))
    except Invalid as error:
        values = {"name": page.text("name"), "chosen": chosen, "more": page.text("more")}
        return await _form(page, values, page.reasons(error.fields))


async def show_created(page: PageRequest) -> Response:
    """The new key, once, with configurations of clients."""
    created = await show_once.take_content(page)
    if created is None:
        return page.render("keys/made.html", secret=None)
    key, hosts = await page.portal.keys.get(page.caller, created["login"])
    target = Target(hosts[0].fqdn, page.portal.base_url, created["secret"], key.login)
    by_dns = dns_configurations_of(page.portal.update_port, hosts[0], created["secret"], key.login)
    return page.render(
        "keys/made.html",
        key=key,
        hosts=hosts,
        secret=created["secret"],
        tsig=page.portal.tsig_key(key.login, created["secret"]).get("tsig"),
        configurations=[*configurations(target), *by_dns],
    )


async def revoke(page: PageRequest) -> Response:
    """Delete a key."""
    key = await page.portal.keys.delete(page.caller, page.param("login"), client_ip=page.client_ip)
    return page.redirect("/keys", page.gettext("The key %(name)s was revoked. Its hosts stay.", name=key.name))


async def _form(page: PageRequest, values: dict[str, Any], errors: dict[str, str]) -> Response:
    names = await page.portal.host_lists.first_names(page.caller.user_id, CHECKBOXES + 1)
    return page.render(
        "keys/new.html",
        422 if errors else 200,
        values=values,
        errors=errors,
        names=names if len(names) <= CHECKBOXES else [],
        any=bool(names),
    )


async def _create(page: PageRequest, fields: KeyInput) -> Response:
    """Create the key, and redirect to the page that shows it. Raises Invalid, StoreDown."""
    login, secret = secrets.new_login(), secrets.new_secret()
    return await show_once.create_and_redirect(
        page,
        "/keys/made",
        {"login": login, "secret": secret},
        lambda: page.portal.keys.create(
            page.caller, fields.name, fields.hosts, login, secret, client_ip=page.client_ip
        ),
    )


ROUTES = [
    get("/keys", show),
    get("/keys/new", new),
    get("/keys/made", show_created),
    post("/keys", create),
    post("/keys/{login}/revoke", revoke),
]
