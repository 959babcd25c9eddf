# SPDX-License-Identifier: GPL-3.0-or-later
"""The deny lists: networks that hosts must not use, user agents, and names."""

from starlette.responses import Response

from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.stored_denylist import KINDS
from ddnsd.web.portal import forms
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import Access, get, post

SIZE = 200
VALUE_LENGTH = 253


async def show(page: PageRequest) -> Response:
    """The lists, and a form."""
    return await _show(page, {"kind": page.query.get("kind", "network")}, {})


async def add(page: PageRequest) -> Response:
    """Add the entry of the form."""
    kind, value = page.text("kind"), page.text("value")
    try:
        if kind not in KINDS:
            raise Invalid(kind=Reason(Code.NOT_A_CHOICE, choices=", ".join(KINDS)))
        if not 0 < len(value) <= VALUE_LENGTH or not value.isprintable():
            raise Invalid(value=Reason(Code.DENIAL_TOO_LONG, limit=VALUE_LENGTH))
        comment = forms.read(page, forms.CommentField).comment
        await page.portal.denylist.add(kind, value, comment, actor=page.caller.user, client_ip=page.client_ip)
    except Invalid as error:
        return await _show(page, dict(page.form), page.reasons(error.fields))
    return page.redirect("/admin/deny", page.gettext("Added. It applies on all nodes within seconds."))


async def remove(page: PageRequest) -> Response:
    """Remove an entry."""
    await page.portal.denylist.remove(page.id_param(), actor=page.caller.user, client_ip=page.client_ip)
    done = page.gettext("The entry was removed. Hosts that it blocked stay blocked.")
    return page.redirect("/admin/deny", done)


async def _show(page: PageRequest, values: dict[str, str], errors: dict[str, str]) -> Response:
    found = await page.portal.denylist.page(page.cursor("after"), SIZE)
    return page.render(
        "admin/deny.html",
        422 if errors else 200,
        denials=found.items,
        pages=paginate(page, found.next),
        values=values,
        errors=errors,
        settings=[str(network) for network in page.portal.policy.denied],
    )


ROUTES = [
    get("/admin/deny", show, Access.ADMINISTRATOR),
    post("/admin/deny", add, Access.ADMINISTRATOR),
    post("/admin/deny/{id}/remove", remove, Access.ADMINISTRATOR),
]
