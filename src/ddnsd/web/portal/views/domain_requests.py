# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for domains: users ask, administrators decide."""

from starlette.responses import Response

from ddnsd.auth.permissions import Action, can
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import DnsError
from ddnsd.dns.tsig import ALGORITHMS
from ddnsd.registry import names
from ddnsd.registry.errors import Invalid, NoBind, NoRequest
from ddnsd.registry.rows import DomainRequest
from ddnsd.web.portal import access
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.request import Form, PageRequest
from ddnsd.web.portal.routing import Access, get, post
from ddnsd.web.portal.views.domain_new import USUAL, brought_zone, zone_errors
from ddnsd.web.portal.views.domains import form_columns

SIZE = 100


async def new(page: PageRequest) -> Response:
    """The form of a request."""
    return page.render("domains/ask.html", values={}, errors={})


async def ask(page: PageRequest) -> Response:
    """Store the request of the form."""
    name = names.fold(page.text("name"))
    try:
        await page.portal.domain_requests.ask(
            name,
            page.caller.user_id,
            page.long_text("reason"),
            public=page.checked("public"),
            actor=page.caller.user,
            client_ip=page.client_ip,
        )
    except Invalid as error:
        return page.render("domains/ask.html", 422, values=page.form, errors=page.reasons(error.fields))
    return page.redirect("/domains", page.gettext("You have requested %(name)s.", name=name))


async def withdraw(page: PageRequest) -> Response:
    """Withdraw one of the user's own requests."""

    def expect(found: DomainRequest) -> None:
        if not can(page.caller, Action.DELETE, found):
            raise NoRequest

    await page.portal.domain_requests.withdraw(
        page.id_param(), actor=page.caller.user, client_ip=page.client_ip, expect=expect
    )
    return page.redirect("/domains", page.gettext("The request was withdrawn."))


# ---- administrators


async def show_all(page: PageRequest) -> Response:
    """The open requests, or all of them."""
    every = page.query.get("state") == "all"
    found = await page.portal.domain_requests.page(page.cursor("after"), SIZE, state=None if every else "open")
    return page.render("admin/requests.html", requests=found.items, every=every, pages=paginate(page, found.next))


async def show(page: PageRequest) -> Response:
    """A request, with the form that approves it."""
    found = await access.get_domain_request(page)
    usual = [pair for pair in USUAL.multi_items() if pair[0] != "use"]
    return _form(page, found, Form([*usual, ("use", "public" if found.public else "private")]), {})


async def approve(page: PageRequest) -> Response:
    """Create the requested domain."""
    found = await access.get_domain_request(page)
    try:
        await page.portal.domain_requests.approve(
            found.id,
            actor=page.caller.user,
            client_ip=page.client_ip,
            columns=form_columns(page) | {"available": True},
            answer=page.long_text("answer") or None,
            **brought_zone(page),
        )
    except (Invalid, DnsError, NoBind, BindError) as error:
        return _form(page, found, page.form, zone_errors(page, error))
    done = page.gettext("%(user)s now owns the domain %(name)s.", name=found.name, user=found.user)
    return page.redirect("/admin/requests", done)


async def decline(page: PageRequest) -> Response:
    """Decline the request, with a reason."""
    found = await access.get_domain_request(page)
    try:
        await page.portal.domain_requests.decline(
            found.id, page.long_text("why"), actor=page.caller.user, client_ip=page.client_ip
        )
    except Invalid as error:
        values = Form([*USUAL.multi_items(), ("why", page.text("why"))])
        return _form(page, found, values, {"why": page.reasons(error.fields)["answer"]})
    return page.redirect("/admin/requests", page.gettext("The request was declined."))


def _form(page: PageRequest, found: DomainRequest, values: Form, errors: dict[str, str]) -> Response:
    return page.render(
        "admin/request.html",
        422 if errors else 200,
        request=found,
        values=values,
        errors=errors,
        algorithms=[(name, name) for name in ALGORITHMS],
    )


ROUTES = [
    get("/domains/ask", new),
    post("/domains/ask", ask),
    post("/domains/requests/{id}/withdraw", withdraw),
    get("/admin/requests", show_all, Access.ADMINISTRATOR),
    get("/admin/requests/{id}", show, Access.ADMINISTRATOR),
    post("/admin/requests/{id}/approve", approve, Access.ADMINISTRATOR),
    post("/admin/requests/{id}/decline", decline, Access.ADMINISTRATOR),
]
