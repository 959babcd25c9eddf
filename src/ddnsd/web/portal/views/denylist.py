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
from ddnsd.web.portal.request import Access, PageRequest, get, post

PAGE = 200
VALUE_LENGTH = 253


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(page: PageRequest) -> Response:
        return await list_page(page, {"kind": page.query.get("kind", "network")}, {})

    async def list_page(page: PageRequest, values: dict[str, str], errors: dict[str, str]) -> Response:
        after = _number(page.query.get("after", ""))
        found = await portal.store.read(lambda c: denylist.page(c, after, PAGE + 1))
        return page.render(
            "admin/deny.html",
            422 if errors else 200,
            denials=found[:PAGE],
            values=values,
            errors=errors,
            settings=[str(network) for network in portal.policy.denied],
            first=page.url(after=None) if after else None,
            following=page.url(after=found[PAGE - 1].id) if len(found) > PAGE else None,
        )

    async def add(page: PageRequest) -> Response:
        kind, value = page.text("kind"), page.text("value")
        try:
            if kind not in KINDS:
                raise Invalid(kind="Choose one of these.")
            if not 0 < len(value) <= VALUE_LENGTH or not value.isprintable():
                raise Invalid(value="Enter 1 to 253 printable characters.")
            await portal.denials.add(
                kind, value, forms.comment(page.text("comment")), actor=page.caller.user, client_ip=page.client_ip
            )
        except Invalid as error:
            return await list_page(page, dict(page.form), page.reasons(error.fields))
        return page.redirect("/admin/deny", page.gettext("Added. It applies on all nodes within seconds."))

    async def remove(page: PageRequest) -> Response:
        try:
            await portal.denials.remove(_number(page.param("id")), actor=page.caller.user, client_ip=page.client_ip)
        except NoDenial:
            raise NotFound from None
        flash_message = page.gettext("The entry was removed. Hosts that it blocked stay blocked.")
        return page.redirect("/admin/deny", flash_message)

    return [
        get("/admin/deny", show, Access.ADMINISTRATOR),
        post("/admin/deny", add, Access.ADMINISTRATOR),
        post("/admin/deny/{id}/remove", remove, Access.ADMINISTRATOR),
    ]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
