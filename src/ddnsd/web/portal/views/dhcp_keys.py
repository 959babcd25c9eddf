# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of DHCP servers, for the domains that the user owns."""

from starlette.responses import Response

from ddnsd.auth import secrets
from ddnsd.registry.dhcp_configs import PROGRAMS
from ddnsd.registry.errors import Invalid
from ddnsd.registry.inputs import DhcpKeyInput
from ddnsd.web.portal import forms, show_once
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import get, post

SIZE = 100

NAMES = {"kea": "Kea", "dhcpd": "ISC dhcpd", "dnsmasq": "dnsmasq"}
"""The names of the DHCP servers for people."""


async def show(page: PageRequest) -> Response:
    """A page of keys, with their domains."""
    found = await page.portal.dhcp_keys.page(page.caller_with_rights, page.cursor("after"), SIZE)
    possible = page.portal.dhcp_keys.are_possible
    return page.render("dhcp_keys/list.html", keys=found.items, pages=paginate(page, found.next), possible=possible)


async def new(page: PageRequest) -> Response:
    """The form for a new key."""
    return await _form(page, {})


async def create(page: PageRequest) -> Response:
    """Create the key of the form."""
    try:
        return await _create(page, forms.read(page, DhcpKeyInput, domains=page.form.getlist("domains")))
    except Invalid as error:
        return await _form(page, page.reasons(error.fields))


async def show_created(page: PageRequest) -> Response:
    """The new key, once, with configurations of DHCP servers."""
    created = await show_once.take_content(page)
    if created is None:
        return page.render("dhcp_keys/made.html", secret=None)
    own = await page.portal.dhcp_keys.get(page.caller_with_rights, created["name"])
    target = page.portal.dhcp_keys.target(own, created["secret"])
    return page.render(
        "dhcp_keys/made.html",
        key=own.key,
        domains=own.domains,
        secret=target.secret,
        configurations=[(program, NAMES[program], made(target)) for program, made in PROGRAMS.items()],
    )


async def revoke(page: PageRequest) -> Response:
    """Delete a key."""
    name = page.param("name")
    await page.portal.dhcp_keys.delete(page.caller_with_rights, name, client_ip=page.client_ip)
    return page.redirect("/dhcp-keys", page.gettext("The DHCP key %(name)s was revoked.", name=name))


async def _form(page: PageRequest, errors: dict[str, str]) -> Response:
    domains = [domain async for part in page.portal.domains.slices(page.caller.user_id, own=True) for domain in part]
    return page.render(
        "dhcp_keys/new.html",
        422 if errors else 200,
        values={"name": page.text("name"), "chosen": page.form.getlist("domains")} if errors else {"chosen": []},
        errors=errors,
        domains=[domain.name for domain in domains],
    )


async def _create(page: PageRequest, fields: DhcpKeyInput) -> Response:
    """Create the key, and redirect to the page that shows it. Raises Invalid, Taken, StoreDown."""
    secret, caller = secrets.new_secret(), page.caller_with_rights
    return await show_once.create_and_redirect(
        page,
        "/dhcp-keys/made",
        {"name": fields.name.lower(), "secret": secret},
        lambda: page.portal.dhcp_keys.create(caller, fields.name, fields.domains, secret, client_ip=page.client_ip),
    )


ROUTES = [
    get("/dhcp-keys", show),
    get("/dhcp-keys/new", new),
    get("/dhcp-keys/made", show_created),
    post("/dhcp-keys", create),
    post("/dhcp-keys/{name}/revoke", revoke),
]
