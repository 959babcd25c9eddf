# SPDX-License-Identifier: GPL-3.0-or-later
"""What is denied: networks that no host points to, user agents, and names."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.db import denylist
from ddnsd.registry.errors import Invalid, NoDenial
from ddnsd.registry.stored_denylist import KINDS
from ddnsd.web.portal import forms
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.request import Access, Visit, get, post

PAGE = 200
VALUE_LENGTH = 253


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(visit: Visit) -> Response:
        return await page(visit, {"kind": visit.query.get("kind", "network")}, {})

    async def page(visit: Visit, values: dict[str, str], errors: dict[str, str]) -> Response:
        after = _number(visit.query.get("after", ""))
        found = await portal.store.read(lambda c: denylist.page(c, after, PAGE + 1))
        return visit.render(
            "admin/deny.html",
            422 if errors else 200,
            denials=found[:PAGE],
            values=values,
            errors=errors,
            settings=[str(network) for network in portal.policy.denied],
            first=visit.url(after=None) if after else None,
            following=visit.url(after=found[PAGE - 1].id) if len(found) > PAGE else None,
        )

    async def add(visit: Visit) -> Response:
        kind, value = visit.text("kind"), visit.text("value")
        try:
            if kind not in KINDS:
                raise Invalid(kind="Choose one of these.")
            if not 0 < len(value) <= VALUE_LENGTH or not value.isprintable():
                raise Invalid(value="Enter 1 to 253 printable characters.")
            await portal.denials.add(
                kind, value, forms.comment(visit.text("comment")), actor=visit.caller.user, source=visit.source
            )
        except Invalid as error:
            return await page(visit, dict(visit.form), visit.reasons(error.fields))
        return visit.redirect("/admin/deny", visit.gettext("Denied, on all nodes within seconds."))

    async def remove(visit: Visit) -> Response:
        try:
            await portal.denials.remove(_number(visit.param("id")), actor=visit.caller.user, source=visit.source)
        except NoDenial:
            raise NotFound from None
        said = visit.gettext("It is denied no more. Hosts that were blocked for it stay so.")
        return visit.redirect("/admin/deny", said)

    return [
        get("/admin/deny", show, Access.ADMINISTRATOR),
        post("/admin/deny", add, Access.ADMINISTRATOR),
        post("/admin/deny/{id}/remove", remove, Access.ADMINISTRATOR),
    ]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
