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
from ddnsd.web.portal.request import Access, Form, Visit, get, post
from ddnsd.web.portal.views.domain_new import USUAL, brought, reasons
from ddnsd.web.portal.views.domains import wanted

PAGE = 100


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def new(visit: Visit) -> Response:
        return visit.render("domains/ask.html", values={}, errors={})

    async def ask(visit: Visit) -> Response:
        name = names.fold(visit.text("name"))
        try:
            await portal.requests.ask(
                name,
                visit.caller.user_id,
                visit.text("reason").replace("\r\n", "\n"),
                public=visit.checked("public"),
                actor=visit.caller.user,
                source=visit.source,
            )
        except Invalid as error:
            errors = visit.reasons(error.fields)
            return visit.render("domains/ask.html", 422, values=visit.form, errors=errors)
        return visit.redirect("/domains", visit.gettext("You have asked for %(name)s.", name=name))

    async def withdraw(visit: Visit) -> Response:
        def expect(found: DomainRequest) -> None:
            if found.user_id != visit.caller.user_id:
                raise NoRequest

        try:
            await portal.requests.withdraw(
                _number(visit.param("id")), actor=visit.caller.user, source=visit.source, expect=expect
            )
        except NoRequest:
            raise NotFound from None
        return visit.redirect("/domains", visit.gettext("The request is withdrawn."))

    # ---- administrators

    async def show_all(visit: Visit) -> Response:
        after = _number(visit.query.get("after", ""))
        every = visit.query.get("state") == "all"
        found = await portal.store.read(
            lambda c: domain_requests.page(c, after, PAGE + 1, state=None if every else OPEN)
        )
        return visit.render(
            "admin/requests.html",
            requests=found[:PAGE],
            every=every,
            first=visit.url(after=None) if after else None,
            following=visit.url(after=found[PAGE - 1].id) if len(found) > PAGE else None,
        )

    async def show(visit: Visit) -> Response:
        found = await find(visit)
        usual = [pair for pair in USUAL.multi_items() if pair[0] != "use"]
        return form(visit, found, Form([*usual, ("use", "public" if found.public else "private")]), {})

    def form(visit: Visit, found: DomainRequest, values: Form, errors: dict[str, str]) -> Response:
        return visit.render(
            "admin/request.html",
            422 if errors else 200,
            request=found,
            values=values,
            errors=errors,
            algorithms=[(name, name) for name in ALGORITHMS],
        )

    async def approve(visit: Visit) -> Response:
        found = await find(visit)
        try:
            columns = wanted(visit) | {"available": True}
            await portal.requests.approve(
                found.id,
                actor=visit.caller.user,
                source=visit.source,
                columns=columns,
                answer=visit.text("answer").replace("\r\n", "\n") or None,
                **brought(visit),
            )
        except (Invalid, DnsError, NoBind, BindError) as error:
            return form(visit, found, visit.form, reasons(visit, error))
        said = visit.gettext("%(name)s is %(user)s's domain now.", name=found.name, user=found.user)
        return visit.redirect("/admin/requests", said)

    async def decline(visit: Visit) -> Response:
        found = await find(visit)
        try:
            await portal.requests.decline(
                found.id, visit.text("why").replace("\r\n", "\n"), actor=visit.caller.user, source=visit.source
            )
        except Invalid as error:
            values = Form([*USUAL.multi_items(), ("why", visit.text("why"))])
            return form(visit, found, values, {"why": visit.reasons(error.fields)["answer"]})
        return visit.redirect("/admin/requests", visit.gettext("The request is declined."))

    async def find(visit: Visit) -> DomainRequest:
        number = _number(visit.param("id"))
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
