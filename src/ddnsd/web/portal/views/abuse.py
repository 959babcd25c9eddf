# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of abuse: anybody sends one, administrators decide."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from ddnsd.registry.abuse_reports import KINDS, Decision, NewReport
from ddnsd.registry.errors import Invalid, OverQuota, Unconfirmed
from ddnsd.registry.inputs import LINES_LENGTH
from ddnsd.registry.rows import AbuseReport, Author
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.i18n import N_
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.request import UNCONFIRMED, PageRequest
from ddnsd.web.portal.routing import Access, get, post

SIZE = 100

WORDS = {
    "phishing": N_("Phishing: it imitates another site to get passwords"),
    "malware": N_("Malware: it spreads harmful programs"),
    "spam": N_("Spam: it sends unwanted mail, or is advertised by it"),
    "attack": N_("Attack: it attacks or scans other systems"),
    "other": N_("Something else"),
}

Decide = Callable[[int, Decision, Author], Awaitable[AbuseReport]]


# ---- everybody


async def show_form(page: PageRequest) -> Response:
    """The public form. `name` in the query fills in the name."""
    _check_enabled(page)
    return _form(page, 200, {"name": page.search_text("name", 253)}, {})


async def submit(page: PageRequest) -> Response:
    """Store the report of the form."""
    _check_enabled(page)
    new = NewReport(page.text("name"), page.text("kind"), page.long_text("text"), page.text("contact"))
    try:
        await page.portal.abuse_reports.submit(new, page.client_ip)
    except Invalid as error:
        return _form(page, 422, dict(page.form), page.reasons(error.fields))
    except OverQuota as error:
        response = _form(page, 429, dict(page.form), {"__all__": page.explain(error)})
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    return page.redirect("/report-abuse/sent")


async def show_sent(page: PageRequest) -> Response:
    """What happens to a report."""
    return page.render("abuse/sent.html")


def _check_enabled(page: PageRequest) -> None:
    if not page.portal.abuse_reports.enabled:
        raise NotFound


def _form(page: PageRequest, status: int, values: dict[str, str], errors: dict[str, str]) -> Response:
    kinds = [("", page.gettext("Choose …")), *((kind, page.gettext(WORDS[kind])) for kind in KINDS)]
    return page.render("abuse/form.html", status, values=values, errors=errors, kinds=kinds, length=LINES_LENGTH)


# ---- administrators


async def show_all(page: PageRequest) -> Response:
    """The open reports, or all of them."""
    every = page.query.get("state") == "all"
    found = await page.portal.abuse_reports.page(page.cursor("after"), SIZE, None if every else "open")
    return page.render("admin/abuse.html", reports=found.items, every=every, pages=paginate(page, found.next))


async def show(page: PageRequest) -> Response:
    """A report, with the forms that decide."""
    return await _report(page, {}, {})


async def block(page: PageRequest) -> Response:
    """Block the host, and close the report."""
    return await _decide(page, page.portal.abuse_reports.block, page.gettext("The host was blocked."))


async def quarantine(page: PageRequest) -> Response:
    """Put the host in quarantine, and close the report."""
    return await _decide(page, page.portal.abuse_reports.quarantine, page.gettext("The host is in quarantine."))


async def dismiss(page: PageRequest) -> Response:
    """Close the report, and leave the host as it is."""
    return await _decide(page, page.portal.abuse_reports.dismiss, page.gettext("The report was dismissed."))


async def _decide(page: PageRequest, decide: Decide, done: str) -> Response:
    decision = Decision(page.text("reason") or None, page.long_text("reply") or None)
    path = f"/admin/abuse/{page.id_param()}"
    try:
        await decide(page.id_param(), decision, page.author)
    except Invalid as error:
        return await _report(page, dict(page.form), page.reasons(error.fields))
    except Unconfirmed:
        return page.redirect(path, f"{done} {page.gettext(UNCONFIRMED)}", "warning")
    return page.redirect(path, done)


async def _report(page: PageRequest, values: dict[str, str], errors: dict[str, str]) -> Response:
    report = await page.portal.abuse_reports.get(page.id_param())
    status = 422 if errors else 200
    kind = page.gettext(WORDS[report.kind])
    return page.render(
        "admin/abuse_report.html", status, report=report, kind=kind, values=values, errors=errors, length=LINES_LENGTH
    )


ROUTES = [
    get("/report-abuse", show_form, Access.EVERYBODY),
    post("/report-abuse", submit, Access.EVERYBODY),
    get("/report-abuse/sent", show_sent, Access.EVERYBODY),
    get("/admin/abuse", show_all, Access.ADMINISTRATOR),
    get("/admin/abuse/{id}", show, Access.ADMINISTRATOR),
    post("/admin/abuse/{id}/block", block, Access.ADMINISTRATOR),
    post("/admin/abuse/{id}/quarantine", quarantine, Access.ADMINISTRATOR),
    post("/admin/abuse/{id}/dismiss", dismiss, Access.ADMINISTRATOR),
]
