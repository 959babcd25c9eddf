# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's tokens for the API."""

import time

from starlette.responses import Response

from ddnsd.auth import secrets
from ddnsd.auth.claims_age import is_soon
from ddnsd.registry.errors import Invalid
from ddnsd.registry.token_scope import SCOPES
from ddnsd.web.portal import forms, show_once
from ddnsd.web.portal.i18n import N_
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.request import Form, PageRequest
from ddnsd.web.portal.routing import get, post
from ddnsd.web.portal.views import sign_in

SIZE = 100
DAY = 86_400
SLACK = 60_000_000
"""Microseconds between the moments at which two ends were computed."""

LIFETIMES = {
    "1": N_("a day"),
    "30": N_("30 days"),
    "90": N_("90 days"),
    "365": N_("a year"),
}
"""Days as text."""
USUAL = Form([("scopes", "read"), ("scopes", "write"), ("lifetime", "90")])


async def show(page: PageRequest) -> Response:
    """A page of tokens."""
    found = await page.portal.tokens.page(page.caller, page.cursor("after"), SIZE)
    end = await page.portal.users.rights_end(page.caller.user_id)
    return page.render(
        "tokens/list.html",
        tokens=found.items,
        pages=paginate(page, found.next),
        now=time.time() * 1e6,
        rights_end=end if is_soon(end) else None,
        again=sign_in.again_path("/tokens"),
    )


async def new(page: PageRequest) -> Response:
    """The form for a new token."""
    return _form(page, USUAL, {})


async def create(page: PageRequest) -> Response:
    """Create the token of the form."""
    assert page.session is not None
    secret = secrets.new_token()
    try:
        fields = _fields(page)
        if "admin" in fields.scopes and not page.session.is_fresh:
            text = page.gettext("You signed in some time ago. Sign in again to create a token with this permission.")
            return _form(page, page.form, {"scopes": text})
        scope = fields.scope(_expires(fields.lifetime))
        return await show_once.create_and_redirect(
            page,
            "/tokens/made",
            {"name": fields.name, "secret": secret},
            lambda: page.portal.tokens.create(page.caller, fields.name, scope, secret, client_ip=page.client_ip),
        )
    except Invalid as error:
        reasons = {"lifetime" if name == "expires" else name: reason for name, reason in error.fields.items()}
        return _form(page, page.form, page.reasons(reasons))


async def show_created(page: PageRequest) -> Response:
    """The new token, once."""
    created = await show_once.take_content(page)
    token = await page.portal.tokens.of_secret(page.caller, created["secret"]) if created else None
    tsig = page.portal.tsig_key(f"t-{token.id}", created["secret"]).get("tsig") if created and token else None
    return page.render("tokens/made.html", made=created, tsig=tsig)


async def revoke(page: PageRequest) -> Response:
    """Delete a token."""
    token = await page.portal.tokens.revoke(
        page.caller.user_id, page.id_param(), actor=page.caller.user, client_ip=page.client_ip
    )
    return page.redirect("/tokens", page.gettext("The token %(name)s was revoked.", name=token.name))


def _form(page: PageRequest, values: Form, errors: dict[str, str]) -> Response:
    assert page.session is not None
    latest = page.portal.tokens.latest_end(page.caller)
    return page.render(
        "tokens/new.html",
        422 if errors else 200,
        values=values,
        chosen=values.getlist("scopes"),
        scopes=[scope for scope in SCOPES if scope in page.caller.scopes],
        errors=errors,
        lifetimes=[(days, page.gettext(text)) for days, text in LIFETIMES.items() if _is_possible(days, latest)],
        latest=latest,
        again=None if page.session.is_fresh else sign_in.again_path("/tokens/new"),
    )


def _fields(page: PageRequest) -> forms.TokenFields:
    """The fields of the form. Raises Invalid."""
    patterns = {name: [word.lower() for word in page.words(name)] for name in ("domains", "hosts")}
    words = {name: page.words(name) for name in ("stacks", "networks")}
    return forms.read(page, forms.TokenFields, scopes=page.form.getlist("scopes"), **words, **patterns)


def _is_possible(days: str, latest: int | None) -> bool:
    end = _expires(days)
    return latest is None or end is None or end - SLACK <= latest


def _expires(lifetime: str | None) -> int | None:
    """The end after so many days, in microseconds since the epoch; None for a token without an end."""
    return round((time.time() + int(lifetime) * DAY) * 1e6) if lifetime else None


ROUTES = [
    get("/tokens", show),
    get("/tokens/new", new),
    get("/tokens/made", show_created),
    post("/tokens", create),
    post("/tokens/{id}/revoke", revoke),
]
