# SPDX-License-Identifier: GPL-3.0-or-later
"""Names below a host that follow its IPv6 prefix: the machines behind a router whose host it is."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth.permissions import Action
from ddnsd.dns.records import records
from ddnsd.registry.errors import Invalid
from ddnsd.web.portal import access
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.request import PageRequest, get, post

UNSET: dict[str, str] = {}


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(page: PageRequest) -> Response:
        return await _page(page)

    async def add(page: PageRequest) -> Response:
        owned = await access.host(page, Action.EDIT)
        made = portal.related.put(
            owned.host,
            page.text("label"),
            page.text("interface_id"),
            page.author,
            access.precondition(page, Action.EDIT),
        )
        try:
            return await page.saved(made, f"/hosts/{owned.host.fqdn}/related", page.gettext("Saved."))
        except Invalid as error:
            return await _page(page, page.reasons(error.fields))

    async def remove(page: PageRequest) -> Response:
        owned = await access.host(page, Action.EDIT)
        label = page.param("label")
        gone = portal.related.remove(owned.host, label, page.author, access.precondition(page, Action.EDIT))
        flash_message = page.gettext("%(name)s was removed.", name=f"{label}.{owned.host.fqdn}")
        return await page.saved(gone, f"/hosts/{owned.host.fqdn}/related", flash_message)

    async def _page(page: PageRequest, errors: dict[str, str] = UNSET) -> Response:
        owned = await access.host(page)
        names = await portal.related.of(owned.host)
        addresses = {name.fqdn: name.ipv6 for name in records(owned.host, names)}
        rows = [(name, name.fqdn.removesuffix("." + owned.host.fqdn), addresses.get(name.fqdn)) for name in names]
        status = 422 if errors else 200
        return page.render(
            "host/related.html", status, owned=owned, host=owned.host, rows=rows, errors=errors, values=page.form
        )

    return [
        get("/hosts/{fqdn}/related", show),
        post("/hosts/{fqdn}/related", add),
        post("/hosts/{fqdn}/related/{label}/remove", remove),
    ]
