# SPDX-License-Identifier: GPL-3.0-or-later
"""RRsets beside a host's addresses."""

from collections.abc import Mapping

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth.permissions import Action
from ddnsd.dns.rdata import EXAMPLES
from ddnsd.dns.records import values_of
from ddnsd.registry.errors import Invalid
from ddnsd.registry.records import APEX
from ddnsd.web.portal import access, forms
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.request import PageRequest, get, post

UNSET: dict[str, str] = {}


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(page: PageRequest) -> Response:
        return await _page(page, page.query)

    async def save(page: PageRequest) -> Response:
        owned = await access.host(page, Action.EDIT)
        values = [line for line in map(str.strip, page.text("values").splitlines()) if line]
        try:
            ttl = forms.ttl(page.text("ttl"))
            made = portal.rrsets.put(
                owned.host,
                page.text("name"),
                page.text("type"),
                values,
                ttl,
                page.author,
                access.precondition(page, Action.EDIT),
            )
            return await page.saved(made, f"/hosts/{owned.host.fqdn}/records", page.gettext("Saved."))
        except Invalid as error:
            return await _page(page, page.form, page.reasons(error.fields))

    async def remove(page: PageRequest) -> Response:
        owned = await access.host(page, Action.EDIT)
        name, rtype = page.param("prefix"), page.param("rtype")
        gone = portal.rrsets.remove(owned.host, name, rtype, page.author, access.precondition(page, Action.EDIT))
        flash_message = page.gettext("%(name)s was removed.", name=f"{name} {rtype}")
        return await page.saved(gone, f"/hosts/{owned.host.fqdn}/records", flash_message)

    async def _page(page: PageRequest, asked: Mapping[str, str], errors: dict[str, str] = UNSET) -> Response:
        """The RRsets, and a form: with what was sent, or the RRset of the URL's name and type."""
        owned = await access.host(page)
        rows = [(one, one.prefix or APEX, values_of(one.data)) for one in await portal.rrsets.of(owned.host)]
        values = {"name": asked.get("name", APEX), "type": asked.get("type", "TXT")}
        values |= {name: asked.get(name, "") for name in ("values", "ttl")}
        chosen = None
        for one, name, texts in rows:
            if not errors and (name, one.rtype) == (asked.get("name"), asked.get("type")):
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

    return [
        get("/hosts/{fqdn}/records", show),
        post("/hosts/{fqdn}/records", save),
        post("/hosts/{fqdn}/records/{prefix}/{rtype}/remove", remove),
    ]
