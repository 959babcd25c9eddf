# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS records of a host other than its own addresses: related names and RRsets."""

from collections.abc import Mapping

from starlette.responses import Response

from ddnsd.auth.permissions import Action
from ddnsd.dns.rdata import EXAMPLES
from ddnsd.dns.records import records, values_of
from ddnsd.registry.errors import Invalid
from ddnsd.registry.record_sets import APEX
from ddnsd.web.portal import access, forms
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import get, post

UNSET: dict[str, str] = {}


# ---- related names: machines behind a router, whose addresses follow its IPv6 prefix


async def show_related(page: PageRequest) -> Response:
    """The related names, and a form."""
    return await _show_related(page)


async def add_related(page: PageRequest) -> Response:
    """Add or change a related name."""
    host = (await access.get_host(page, Action.EDIT)).host
    expect = access.expect_host(page, Action.EDIT)
    change = page.portal.related.put(
        host, page.text("label"), page.text("interface_id"), page.author, expect, unlimited=page.admin
    )
    try:
        return await page.saved(change, f"/hosts/{host.fqdn}/related", page.gettext("Saved."))
    except Invalid as error:
        return await _show_related(page, page.reasons(error.fields))


async def remove_related(page: PageRequest) -> Response:
    """Remove a related name."""
    host, label = (await access.get_host(page, Action.EDIT)).host, page.param("label")
    expect = access.expect_host(page, Action.EDIT)
    done = page.gettext("%(name)s was removed.", name=f"{label}.{host.fqdn}")
    removal = page.portal.related.remove(host, label, page.author, expect)
    return await page.saved(removal, f"/hosts/{host.fqdn}/related", done)


async def _show_related(page: PageRequest, errors: dict[str, str] = UNSET) -> Response:
    owned = await access.get_host(page)
    names = await page.portal.related.of(owned.host)
    addresses = {name.fqdn: name.ipv6 for name in records(owned.host, names)}
    return page.render(
        "host/related.html",
        422 if errors else 200,
        owned=owned,
        host=owned.host,
        rows=[(name, name.fqdn.removesuffix("." + owned.host.fqdn), addresses.get(name.fqdn)) for name in names],
        errors=errors,
        values=page.form,
    )


# ---- RRsets


async def show_rrsets(page: PageRequest) -> Response:
    """The RRsets, and a form. The URL's name and type choose the RRset in the form."""
    return await _show_rrsets(page, page.query)


async def save_rrset(page: PageRequest) -> Response:
    """Add or replace an RRset."""
    host = (await access.get_host(page, Action.EDIT)).host
    values = [line for line in map(str.strip, page.text("values").splitlines()) if line]
    try:
        change = page.portal.rrsets.put(
            host,
            page.text("name"),
            page.text("type"),
            values,
            forms.read(page, forms.TtlField).ttl,
            page.author,
            access.expect_host(page, Action.EDIT),
            unlimited=page.admin,
        )
        return await page.saved(change, f"/hosts/{host.fqdn}/records", page.gettext("Saved."))
    except Invalid as error:
        return await _show_rrsets(page, page.form, page.reasons(error.fields))


async def remove_rrset(page: PageRequest) -> Response:
    """Remove an RRset."""
    host, name, rtype = (await access.get_host(page, Action.EDIT)).host, page.param("prefix"), page.param("rtype")
    expect = access.expect_host(page, Action.EDIT)
    removal = page.portal.rrsets.remove(host, name, rtype, page.author, expect)
    done = page.gettext("%(name)s was removed.", name=f"{name} {rtype}")
    return await page.saved(removal, f"/hosts/{host.fqdn}/records", done)


async def _show_rrsets(page: PageRequest, given: Mapping[str, str], errors: dict[str, str] = UNSET) -> Response:
    """The RRsets, and a form with the given values or with the RRset of the given name and type."""
    owned = await access.get_host(page)
    rows = [(one, one.prefix or APEX, values_of(one.data)) for one in await page.portal.rrsets.of(owned.host)]
    values = {"name": given.get("name", APEX), "type": given.get("type", "TXT")}
    values |= {name: given.get(name, "") for name in ("values", "ttl")}
    chosen = None
    for one, name, texts in rows:
        if not errors and (name, one.rtype) == (given.get("name"), given.get("type")):
            chosen = one
            values |= {"values": "\n".join(texts), "ttl": str(one.ttl or "")}
    return page.render(
        "host/records.html",
        422 if errors else 200,
        owned=owned,
        host=owned.host,
        rows=rows,
        errors=errors,
        values=values,
        chosen=chosen,
        types=[(name, name) for name in EXAMPLES],
        examples=EXAMPLES,
    )


ROUTES = [
    get("/hosts/{fqdn}/related", show_related),
    post("/hosts/{fqdn}/related", add_related),
    post("/hosts/{fqdn}/related/{label}/remove", remove_related),
    get("/hosts/{fqdn}/records", show_rrsets),
    post("/hosts/{fqdn}/records", save_rrset),
    post("/hosts/{fqdn}/records/{prefix}/{rtype}/remove", remove_rrset),
]
