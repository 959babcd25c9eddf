# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in, with a password or at an identity provider, and out."""

import hmac
from urllib.parse import urlencode

import structlog
from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth import sessions
from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.oidc import NotBegun, NotSignedIn, ProviderDown
from ddnsd.auth.oidc.login_state import COOKIE, HOME, SECONDS, LoginState, local_path
from ddnsd.auth.oidc.provider import is_loopback
from ddnsd.auth.passwords import Locked
from ddnsd.auth.sessions import PASSWORD, proof
from ddnsd.registry.errors import Invalid, NotAdmitted
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.request import Access, PageRequest, get, post

log = structlog.get_logger()

LINK = "link "
"""Begins what the proof of a link to a provider is about."""


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def form(page: PageRequest) -> Response:
        following = local_path(page.query.get("next"))
        if page.signed_in:
            return page.redirect(following)
        return _form(
            page, LoginState.new(next_path=following), out=await _sign_out_there(portal, page.query.get("out"))
        )

    async def by_password(page: PageRequest) -> Response:
        _, attempt = page.gettext, _attempt(page)
        following = local_path(page.text("next"))
        if attempt is None or not hmac.compare_digest(attempt.csrf.encode(), page.text("attempt").encode()):
            text = _("Your browser did not send the cookie of the form. Try again.")
            return _form(page, LoginState.new(next_path=following), 403, error=text)
        try:
            user_id = await portal.passwords.check(page.text("name"), page.form.get("password", ""), page.client_ip)
        except Locked:
            text = _("Too many failed attempts. Wait some minutes before you try again.")
            return _form(page, LoginState.new(next_path=following), 429, error=text)
        except BadCredentials:
            text = _("Wrong user name or password.")
            return _form(page, LoginState.new(next_path=following), 403, error=text)
        return await _begin(page, user_id, PASSWORD, attempt.next)

    async def to_provider(page: PageRequest) -> Response:
        name = page.param("provider")
        if (flow := portal.flows.get(name)) is None:
            raise NotFound
        link = _wants_link(page, name)
        following = "/account" if link is not None else local_path(page.query.get("next"))
        if page.signed_in and link is None:
            return page.redirect(following)
        attempt = LoginState.new(name, following, link)
        try:
            response = page.redirect(await flow.begin(attempt))
        except ProviderDown:
            return _provider_down(page, flow.provider.title)
        _keep(response, attempt)
        return response

    async def from_provider(page: PageRequest) -> Response:
        if (flow := portal.flows.get(page.param("provider"))) is None:
            raise NotFound
        title, where = flow.provider.title, page.client_ip or ""
        attempt = _attempt(page)
        try:
            if attempt is None or portal.callbacks.is_spent(attempt.state):
                raise NotBegun("this browser has begun no sign-in, or too long ago")
            flow.check(attempt, page.query)
            if not await portal.callbacks.may_ask(where):
                return _forget(page.render("signin/failed.html", 429, provider=title, why="too often"))
            somebody = await flow.complete(attempt, page.query)
            if attempt.link is None:
                member = await portal.members.admit(somebody, create=flow.provider.creates, client_ip=page.client_ip)
                return await _begin(page, member.user_id, flow.provider.name, attempt.next)
            if page.session is None or page.session.id != attempt.link:
                raise NotSignedIn("the session that is to get the identity has ended")
            await portal.members.link(page.session.user.user_id, somebody, page.client_ip)
        except ProviderDown:
            return _forget(_provider_down(page, title))
        except NotSignedIn as error:
            if attempt is not None and not isinstance(error, NotBegun):  # the rest any page makes a browser do
                portal.callbacks.refused(attempt.state, where)
            log.info("sign-in not completed", provider=flow.provider.name, reason=str(error))
            return _forget(page.render("signin/failed.html", 403, provider=title, why="not completed"))
        except NotAdmitted as error:
            log.info("sign-in refused", provider=flow.provider.name, reason=str(error))
            return _forget(page.render("signin/failed.html", 403, provider=title, why="not admitted"))
        except Invalid as error:
            return _forget(page.redirect("/account", " ".join(page.reasons(error.fields).values()), "warning"))
        flash_message = page.gettext("You can now sign in with %(provider)s as well.", provider=title)
        return _forget(page.redirect("/account", flash_message))

    async def sign_out(page: PageRequest) -> Response:
        assert page.session is not None
        await portal.sessions.end(page.session.id)
        method = page.session.method
        response = page.redirect("/login?" + urlencode({"out": method or "password"}))
        response.delete_cookie(sessions.COOKIE, secure=True, httponly=True, samesite="lax")
        return response

    async def _begin(page: PageRequest, user_id: int, method: str, following: str) -> Response:
        before = page.session.id if page.session is not None else None
        cookie = await portal.sessions.begin(user_id, method, page.client_ip, page.agent, replaces=before)
        response = page.redirect(following)
        response.set_cookie(sessions.COOKIE, cookie, secure=True, httponly=True, samesite="lax")
        return _forget(response)

    return [
        get("/login", form, Access.EVERYBODY),
        post("/login", by_password, Access.EVERYBODY),
        get("/login/{provider}", to_provider, Access.EVERYBODY),
        get("/login/{provider}/callback", from_provider, Access.EVERYBODY),
        post("/logout", sign_out),
    ]


def link_path(page: PageRequest, provider: str) -> str:
    """Where somebody who has signed in gets an identity at the provider as well."""
    return f"/login/{provider}?" + urlencode({LINK.strip(): proof(page.csrf, LINK + provider)})


def _wants_link(page: PageRequest, provider: str) -> int | None:
    """The session that is to get an identity: its own pages hold the proof that it is wanted."""
    given = page.query.get(LINK.strip())
    if page.session is None or given is None:
        return None
    right = hmac.compare_digest(given.encode(), proof(page.csrf, LINK + provider).encode())
    return page.session.id if right else None


def _form(
    page: PageRequest, attempt: LoginState, status: int = 200, *, error: str = "", out: str | None = None
) -> Response:
    portal = page.portal
    more = "?" + urlencode({"next": attempt.next}) if attempt.next != HOME else ""
    response = page.render(
        "signin/form.html",
        status,
        attempt=attempt,
        error=error,
        name=page.text("name"),
        providers=[(f"/login/{name}{more}", flow.provider.title) for name, flow in portal.flows.items()],
        passwords=portal.passwords.enabled,
        out="out" in page.query,
        out_there=out,
        unsafe=not page.tls and not is_loopback(page.request.url.hostname or ""),
    )
    _keep(response, attempt)
    return response


async def _sign_out_there(portal: Portal, provider: str | None) -> str | None:
    flow = portal.flows.get(provider or "")
    if flow is None:
        return None
    try:
        return await flow.sign_out_url()
    except ProviderDown:
        return None


def _provider_down(page: PageRequest, provider: str) -> Response:
    return page.render("signin/failed.html", 503, provider=provider, why="down")


def _attempt(page: PageRequest) -> LoginState | None:
    return LoginState.from_cookie(page.request.cookies.get(COOKIE))


def _keep(response: Response, attempt: LoginState) -> None:
    value = attempt.to_cookie()
    response.set_cookie(COOKIE, value, max_age=SECONDS, secure=True, httponly=True, samesite="lax")


def _forget(response: Response) -> Response:
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
    return response
