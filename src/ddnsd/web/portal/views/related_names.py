# SPDX-License-Identifier: GPL-3.0-or-later
"""Names below a host that follow its IPv6 prefix: the machines behind a router whose host it is."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth.permissions import Action
from ddnsd.dns.records import records
from ddnsd.registry.errors import Invalid
from ddnsd.web.portal import access
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.request import Visit, get, post

UNSET: dict[str, str] = {}


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(visit: Visit) -> Response:
        return await _page(visit)

    async def add(visit: Visit) -> Response:
        owned = await access.host(visit, Action.EDIT)
        made = portal.related.put(
            owned.host,
            visit.text("label"),
            visit.text("interface_id"),
            visit.author,
            access.expecting(visit, Action.EDIT),
        )
        try:
            return await visit.saved(made, f"/hosts/{owned.host.fqdn}/related", visit.gettext("Saved."))
        except Invalid as error:
            return await _page(visit, visit.reasons(error.fields))

    async def remove(visit: Visit) -> Response:
        owned = await access.host(visit, Action.EDIT)
        label = visit.param("label")
        gone = portal.related.remove(owned.host, label, visit.author, access.expecting(visit, Action.EDIT))
        said = visit.gettext("%(name)s was removed.", name=f"{label}.{owned.host.fqdn}")
        return await visit.saved(gone, f"/hosts/{owned.host.fqdn}/related", said)

    async def _page(visit: Visit, errors: dict[str, str] = UNSET) -> Response:
        owned = await access.host(visit)
        names = await portal.related.of(owned.host)
        addresses = {name.fqdn: name.ipv6 for name in records(owned.host, names)}
        rows = [(name, name.fqdn.removesuffix("." + owned.host.fqdn), addresses.get(name.fqdn)) for name in names]
        status = 422 if errors else 200
        return visit.render(
            "host/related.html", status, owned=owned, host=owned.host, rows=rows, errors=errors, values=visit.form
        )

    return [
        get("/hosts/{fqdn}/related", show),
        post("/hosts/{fqdn}/related", add),
        post("/hosts/{fqdn}/related/{label}/remove", remove),
    ]
