# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking for a domain, and deciding on what others ask for."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.db import domain_requests
from ddnsd.db.domain_requests import OPEN, DomainRequest
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import DnsError
from ddnsd.dns.tsig import ALGORITHMS
from ddnsd.registry import names
from ddnsd.registry.errors import Invalid, NoBind, NoRequest
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.request import Access, Form, PageRequest, get, post
from ddnsd.web.portal.views.domain_new import USUAL, brought, reasons
from ddnsd.web.portal.views.domains import wanted

PAGE = 100


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def new(page: PageRequest) -> Response:
        return page.render("domains/ask.html", values={}, errors={})

    async def ask(page: PageRequest) -> Response:
        name = names.fold(page.text("name"))
        try:
            await portal.requests.ask(
                name,
                page.caller.user_id,
                page.text("reason").replace("\r\n", "\n"),
                public=page.checked("public"),
                actor=page.caller.user,
                client_ip=page.client_ip,
            )
        except Invalid as error:
            errors = page.reasons(error.fields)
            return page.render("domains/ask.html", 422, values=page.form, errors=errors)
        return page.redirect("/domains", page.gettext("You have requested %(name)s.", name=name))

    async def withdraw(page: PageRequest) -> Response:
        def expect(found: DomainRequest) -> None:
            if found.user_id != page.caller.user_id:
                raise NoRequest

        try:
            await portal.requests.withdraw(
                _number(page.param("id")), actor=page.caller.user, client_ip=page.client_ip, expect=expect
            )
        except NoRequest:
            raise NotFound from None
        return page.redirect("/domains", page.gettext("The request was withdrawn."))

    # ---- administrators

    async def show_all(page: PageRequest) -> Response:
        after = _number(page.query.get("after", ""))
        every = page.query.get("state") == "all"
        found = await portal.store.read(
            lambda c: domain_requests.page(c, after, PAGE + 1, state=None if every else OPEN)
        )
        return page.render(
            "admin/requests.html",
            requests=found[:PAGE],
            every=every,
            first=page.url(after=None) if after else None,
            following=page.url(after=found[PAGE - 1].id) if len(found) > PAGE else None,
        )

    async def show(page: PageRequest) -> Response:
        found = await find(page)
        usual = [pair for pair in USUAL.multi_items() if pair[0] != "use"]
        return form(page, found, Form([*usual, ("use", "public" if found.public else "private")]), {})

    def form(page: PageRequest, found: DomainRequest, values: Form, errors: dict[str, str]) -> Response:
        return page.render(
            "admin/request.html",
            422 if errors else 200,
            request=found,
            values=values,
            errors=errors,
            algorithms=[(name, name) for name in ALGORITHMS],
        )

    async def approve(page: PageRequest) -> Response:
        found = await find(page)
        try:
            columns = wanted(page) | {"available": True}
            await portal.requests.approve(
                found.id,
                actor=page.caller.user,
                client_ip=page.client_ip,
                columns=columns,
                answer=page.text("answer").replace("\r\n", "\n") or None,
                **brought(page),
            )
        except (Invalid, DnsError, NoBind, BindError) as error:
            return form(page, found, page.form, reasons(page, error))
        flash_message = page.gettext("%(user)s now owns the domain %(name)s.", name=found.name, user=found.user)
        return page.redirect("/admin/requests", flash_message)

    async def decline(page: PageRequest) -> Response:
        found = await find(page)
        try:
            await portal.requests.decline(
                found.id, page.text("why").replace("\r\n", "\n"), actor=page.caller.user, client_ip=page.client_ip
            )
        except Invalid as error:
            values = Form([*USUAL.multi_items(), ("why", page.text("why"))])
            return form(page, found, values, {"why": page.reasons(error.fields)["answer"]})
        return page.redirect("/admin/requests", page.gettext("The request was declined."))

    async def find(page: PageRequest) -> DomainRequest:
        number = _number(page.param("id"))
        found = await portal.store.read(lambda c: domain_requests.find(c, number))
        if found is None:
            raise NotFound
        return found

    return [
        get("/domains/ask", new),
        post("/domains/ask", ask),
        post("/domains/requests/{id}/withdraw", withdraw),
        get("/admin/requests", show_all, Access.ADMINISTRATOR),
        get("/admin/requests/{id}", show, Access.ADMINISTRATOR),
        post("/admin/requests/{id}/approve", approve, Access.ADMINISTRATOR),
        post("/admin/requests/{id}/decline", decline, Access.ADMINISTRATOR),
    ]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
