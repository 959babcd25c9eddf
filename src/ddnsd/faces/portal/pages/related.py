# SPDX-License-Identifier: GPL-3.0-or-later
"""Names below a host that follow its IPv6 prefix: the machines behind a router whose host it is."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.faces.portal import reach
from ddnsd.faces.portal.context import Portal
from ddnsd.faces.portal.visit import Visit, get, post
from ddnsd.identity.access import Action
from ddnsd.registry.errors import Invalid, Unconfirmed
from ddnsd.zones.records import records

UNSET: dict[str, str] = {}


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(visit: Visit) -> Response:
        return await _page(visit)

    async def add(visit: Visit) -> Response:
        owned = await reach.host(visit, Action.EDIT)
        said, kind = visit.gettext("Saved."), "done"
        try:
            await portal.related.put(
                owned.host, visit.text("label"), visit.text("interface_id"), visit.author,
                reach.expecting(visit, Action.EDIT),
            )  # fmt: skip
        except Invalid as error:
            return await _page(visit, visit.reasons(error.fields))
        except Unconfirmed:
            said = visit.gettext("Saved. The name server did not confirm it yet; we keep trying.")
            kind = "warning"
        return visit.redirect(f"/hosts/{owned.host.fqdn}/related", said, kind)

    async def remove(visit: Visit) -> Response:
        owned = await reach.host(visit, Action.EDIT)
        label = visit.param("label")
        said, kind = visit.gettext("%(name)s was removed.", name=f"{label}.{owned.host.fqdn}"), "done"
        try:
            await portal.related.remove(owned.host, label, visit.author, reach.expecting(visit, Action.EDIT))
        except Unconfirmed:
            said, kind = visit.gettext("Removed. The name server did not confirm it yet; we keep trying."), "warning"
        return visit.redirect(f"/hosts/{owned.host.fqdn}/related", said, kind)

    async def _page(visit: Visit, errors: dict[str, str] = UNSET) -> Response:
        owned = await reach.host(visit)
        names = await portal.related.of(owned.host)
        addresses = {name.fqdn: name.ipv6 for name in records(owned.host, names)}
        rows = [(name, name.fqdn.removesuffix("." + owned.host.fqdn), addresses.get(name.fqdn)) for name in names]
        status = 422 if errors else 200
        return visit.render(
            "host/related.html", status, owned=owned, host=owned.host, rows=rows, errors=errors, values=visit.form
        )  # fmt: skip

    return [
        get("/hosts/{fqdn}/related", show),
        post("/hosts/{fqdn}/related", add),
        post("/hosts/{fqdn}/related/{label}/remove", remove),
    ]
