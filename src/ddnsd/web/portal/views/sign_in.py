# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in, with a password or at an identity provider, and signing out."""

import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import structlog
from starlette.responses import Response

from ddnsd.auth import known_browsers, pending_signin, sessions
from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.failed_sign_ins import Kind
from ddnsd.auth.oidc import NotBegun, NotSignedIn, ProviderDown, TooWeak
from ddnsd.auth.oidc.login_state import COOKIE, HOME, LINK_FIELD, SECONDS, LoginState, local_path
from ddnsd.auth.oidc.provider import is_loopback
from ddnsd.auth.passwords import Locked, Suspended
from ddnsd.auth.pending_signin import PendingUser
from ddnsd.auth.sessions import PASSKEY, PASSWORD, PASSWORD_AND_PASSKEY, proof
from ddnsd.registry.errors import Invalid, NotAdmitted
from ddnsd.web.portal import cookies
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import Access, get, post

if TYPE_CHECKING:
    from ddnsd.auth.oidc.login import Flow

log = structlog.get_logger()

AGAIN = "again"
"""In the query of a sign-in by a user who has signed in already."""

AGAIN_SECONDS = 60
"""How long ago a provider may have asked for the password when people sign in again."""

FACTOR_FIELD = "second"
"""In the query of the form for the second factor."""

LINK = "link "
"""The prefix of the purpose of the proof in a link to a provider."""


async def show_form(page: PageRequest) -> Response:
    """The sign-in form. Users who have signed in are redirected, unless they want to sign in again."""
    following = local_path(page.query.get("next"))
    if FACTOR_FIELD in page.query and (attempt := _login_state(page)):
        try:
            user = await page.portal.pending_signins.user_of(cookies.value(page.request, pending_signin.COOKIE))
        except Suspended as error:
            return _form(page, LoginState.new(), 403, error=_suspended(page, error))
        if user is not None:
            return await _factor_form(page, attempt, user)
    if page.signed_in and AGAIN not in page.query:
        return page.redirect(following)
    return _form(page, LoginState.new(next_path=following), out=await _provider_sign_out_url(page))


async def by_password(page: PageRequest) -> Response:
    """Check name and password. Begin a session, or ask for the second factor."""
    _, attempt, name = page.gettext, _login_state(page), page.text("name")
    again = LoginState.new(next_path=local_path(page.text("next")))
    if attempt is None or not _is_of_attempt(page, attempt):
        text = _("Your browser did not send the cookie of the form. Try again.")
        return _form(page, again, 403, error=text)
    try:
        user_id = await page.portal.passwords.check(
            name, page.form.get("password", ""), page.client_ip, cookies.value(page.request, known_browsers.COOKIE)
        )
    except BadCredentials as error:
        return _refused(page, again, error, _("Wrong user name or password."))
    if await page.portal.second_factors.is_needed(user_id):
        response = page.redirect("/login?" + urlencode({FACTOR_FIELD: "1"}))
        _set_cookie(response, pending_signin.COOKIE, await page.portal.pending_signins.new_cookie(name), SECONDS)
        return response
    return await _finish_here(page, user_id, name, attempt, PASSWORD)


async def by_code(page: PageRequest) -> Response:
    """Check the code of an app or a recovery code after the right password, and begin a session."""

    async def is_right(user: PendingUser, _attempt: LoginState) -> bool:
        return await page.portal.second_factors.check(user.user_id, page.text("code"), page.client_ip)

    wrong = page.gettext("This code is wrong, or it was used before. Wait for the next one.")
    return await _by_factor(page, Kind.CODE, is_right, wrong, PASSWORD)


async def by_second_passkey(page: PageRequest) -> Response:
    """Check a passkey after the right password, and begin a session."""

    async def is_right(user: PendingUser, attempt: LoginState) -> bool:
        return await page.portal.passkeys.check(attempt, user.user_id, page.text("credential"))

    wrong = page.gettext("This passkey was not accepted. Try again, or use another one.")
    return await _by_factor(page, Kind.PASSKEY, is_right, wrong, PASSWORD_AND_PASSKEY)


async def by_passkey(page: PageRequest) -> Response:
    """Check a passkey in place of name and password, and begin a session."""
    _, attempt, portal = page.gettext, _login_state(page), page.portal
    if not portal.passkeys.enabled:
        raise NotFound
    again = LoginState.new(next_path=attempt.next if attempt is not None else None)
    if attempt is None or not _is_of_attempt(page, attempt):
        text = _("The sign-in took too long, or began in another browser. Start again.")
        return _form(page, again, 403, error=text)
    try:
        user = await portal.passkeys.sign_in(attempt, page.text("credential"), page.client_ip)
    except BadCredentials as error:
        return _refused(page, again, error, _("This passkey was not accepted. Try again, or use your password."))
    return await _finish_here(page, user.user_id, user.name, attempt, PASSKEY)


async def _by_factor(
    page: PageRequest,
    kind: Kind,
    is_right: Callable[[PendingUser, LoginState], Awaitable[bool]],
    wrong: str,
    method: str,
) -> Response:
    """Check the second factor after the right password, and begin a session with this method."""
    _, attempt, portal = page.gettext, _login_state(page), page.portal
    again = LoginState.new(next_path=attempt.next if attempt is not None else None)
    late = _("The sign-in took too long, or began in another browser. Start again.")
    if attempt is None or not _is_of_attempt(page, attempt):
        return _form(page, again, 403, error=late)
    try:
        user = await portal.pending_signins.user_of(cookies.value(page.request, pending_signin.COOKIE))
    except Suspended as error:
        return _form(page, again, 403, error=_suspended(page, error))
    if user is None or not portal.passwords.enabled:
        return _form(page, again, 403, error=late)
    browser = cookies.value(page.request, known_browsers.COOKIE)
    try:
        await portal.passwords.check_code(user.name, page.client_ip, browser, lambda: is_right(user, attempt), kind)
    except Locked:
        text = _("Too many failed attempts. Wait some minutes before you try again.")
        return await _factor_form(page, attempt, user, 429, text)
    except BadCredentials:
        return await _factor_form(page, attempt, user, 403, wrong)
    return await _finish_here(page, user.user_id, user.name, attempt, method)


async def to_provider(page: PageRequest) -> Response:
    """Send the browser to a provider, to sign in or to link an identity to the account."""
    flow, link, again = _flow(page), _linking_session(page), AGAIN in page.query
    following = "/account" if link is not None else local_path(page.query.get("next"))
    if page.signed_in and link is None and not again:
        return page.redirect(following)
    if link is not None and (first := sign_in_first(page, following)):
        return first
    attempt = LoginState.new(flow.provider.name, following, link)
    try:
        response = page.redirect(await flow.begin(attempt, max_age=AGAIN_SECONDS if again else None))
    except ProviderDown:
        return _failed(page, flow, 503, "down")
    _set_login_cookie(response, attempt)
    return response


async def from_provider(page: PageRequest) -> Response:
    """Complete the sign-in when the browser returns from a provider. The cookie of the attempt is always deleted."""
    flow, attempt = _flow(page), _login_state(page)
    try:
        response = await _complete(page, flow, attempt)
    except ProviderDown:
        response = _failed(page, flow, 503, "down")
    except NotSignedIn as error:
        if attempt is not None and not isinstance(error, NotBegun):  # any site can cause a NotBegun
            page.portal.callbacks.refused(attempt.state, page.client_ip or "")
        log.info("sign-in not completed", provider=flow.provider.name, reason=str(error))
        response = _failed(page, flow, 403, "too weak" if isinstance(error, TooWeak) else "not completed")
    except NotAdmitted as error:
        log.info("sign-in refused", provider=flow.provider.name, reason=str(error))
        response = _failed(page, flow, 403, "not admitted", page.explain(error))
    except Invalid as error:
        response = page.redirect("/account", page.explain(error), "warning")
    _delete_login_cookie(response)
    return response


async def sign_out(page: PageRequest) -> Response:
    """End the session."""
    assert page.session is not None
    await page.portal.sessions.end(page.session.id, page.client_ip)
    response = page.redirect("/login?" + urlencode({"out": page.session.method or "password"}))
    response.delete_cookie(sessions.COOKIE, secure=True, httponly=True, samesite="lax")
    return response


def again_path(following: str) -> str:
    """The path at which a user who has signed in can sign in again, and then opens a local path."""
    return "/login?" + urlencode({AGAIN: "1", "next": following})


def sign_in_first(page: PageRequest, following: str) -> Response | None:
    """The way to sign in again, for what only a user may do who has just signed in; None if they have."""
    assert page.session is not None
    if page.session.is_fresh:
        return None
    text = page.gettext("Sign in again first: you signed in some time ago. Nothing was changed.")
    return page.redirect(again_path(following), text, "warning")


def link_path(page: PageRequest, provider: str) -> str:
    """The path that links an identity of the provider to the account of the user who has signed in."""
    return f"/login/{provider}?" + urlencode({LINK_FIELD: proof(page.csrf, LINK + provider)})


def set_session_cookie(response: Response, cookie: str) -> None:
    """Give the browser the cookie of a new session."""
    response.set_cookie(sessions.COOKIE, cookie, secure=True, httponly=True, samesite="lax")


async def _complete(page: PageRequest, flow: "Flow", attempt: LoginState | None) -> Response:
    """Sign in, or link the identity. Raises ProviderDown, NotSignedIn, NotAdmitted, Invalid, StoreDown."""
    portal, client_ip = page.portal, page.client_ip
    if attempt is None or portal.callbacks.is_spent(attempt.state):
        raise NotBegun("this browser began no sign-in, or began it too long ago")
    flow.check(attempt, page.query)
    if not await portal.callbacks.may_ask(client_ip or ""):
        return _failed(page, flow, 429, "too often")
    identity, how = await flow.complete(attempt, page.query)
    if attempt.link is None:
        user = await portal.identities.admit(identity, create=flow.provider.creates, client_ip=client_ip)
        return await _begin_session(page, user.user_id, flow.provider.name, attempt.next, how)
    if page.session is None or page.session.id != attempt.link:
        raise NotSignedIn("the session to which the identity should be added has ended")
    # the browser can have written its cookie of the attempt itself
    if page.session.must_add_factor:
        return page.redirect("/account/second-factor")
    if first := sign_in_first(page, "/account"):
        return first
    await portal.identities.link(page.session.user.user_id, identity, client_ip)
    done = page.gettext("You can now sign in with %(provider)s as well.", provider=flow.provider.title)
    return page.redirect("/account", done)


def _is_of_attempt(page: PageRequest, attempt: LoginState) -> bool:
    """Whether the form is from a page of this browser's sign-in."""
    return hmac.compare_digest(attempt.csrf.encode(), page.text("attempt").encode())


async def _finish_here(page: PageRequest, user_id: int, name: str, attempt: LoginState, method: str) -> Response:
    """Begin a session after a sign-in without a provider, with all factors that the user needs."""
    response = await _begin_session(page, user_id, method, attempt.next)
    _delete_login_cookie(response)
    _set_cookie(
        response, known_browsers.COOKIE, await page.portal.passwords.new_cookie(name), known_browsers.DAYS * 86_400
    )
    return response


async def _begin_session(
    page: PageRequest, user_id: int, method: str, following: str, how: sessions.Proof | None = None
) -> Response:
    """Begin a session that replaces the browser's earlier one, and redirect."""
    before = page.session.id if page.session is not None else None
    cookie = await page.portal.sessions.begin(user_id, method, page.client_ip, page.agent, replaces=before, proof=how)
    response = page.redirect(following)
    set_session_cookie(response, cookie)
    return response


def _refused(page: PageRequest, again: LoginState, error: BadCredentials, wrong: str) -> Response:
    """The form for another try, with the reason; `wrong` is that of wrong credentials."""
    if isinstance(error, Locked):
        text = page.gettext("Too many failed attempts. Wait some minutes before you try again.")
        return _form(page, again, 429, error=text)
    return _form(page, again, 403, error=_suspended(page, error) if isinstance(error, Suspended) else wrong)


def _suspended(page: PageRequest, error: Suspended) -> str:
    text = page.gettext("Your account is disabled. Contact the operator of the service.")
    return f"{text} {page.gettext('Reason:')} {error.reason}" if error.reason else text


def _linking_session(page: PageRequest) -> int | None:
    """The session whose account gets an identity, if any. Only pages of that session know the proof."""
    given = page.query.get(LINK_FIELD)
    if page.session is None or given is None:
        return None
    expected = proof(page.csrf, LINK + page.param("provider"))
    return page.session.id if hmac.compare_digest(given.encode(), expected.encode()) else None


def _flow(page: PageRequest) -> "Flow":
    """The sign-in of the path's provider. Raises NotFound."""
    flow = page.portal.flows.get(page.param("provider"))
    if flow is None:
        raise NotFound
    return flow


def _form(
    page: PageRequest, attempt: LoginState, status: int = 200, *, error: str = "", out: str | None = None
) -> Response:
    portal = page.portal
    given = ({AGAIN: "1"} if page.signed_in else {}) | ({"next": attempt.next} if attempt.next != HOME else {})
    more = "?" + urlencode(given) if given else ""
    response = page.render(
        "signin/form.html",
        status,
        attempt=attempt,
        error=error,
        name=page.text("name") or (page.caller.user if page.signed_in else ""),
        providers=[(f"/login/{name}{more}", flow.provider.title) for name, flow in portal.flows.items()],
        passwords=portal.passwords.enabled,
        passkey=portal.passkeys.sign_in_options(attempt),
        out="out" in page.query,
        out_there=out,
        unsafe=not page.tls and not is_loopback(page.request.url.hostname or ""),
    )
    _set_login_cookie(response, attempt)
    return response


async def _factor_form(
    page: PageRequest, attempt: LoginState, user: PendingUser, status: int = 200, error: str = ""
) -> Response:
    portal = page.portal
    return page.render(
        "signin/code.html",
        status,
        attempt=attempt,
        error=error,
        factors=await portal.second_factors.of_user(user.user_id),
        apps=portal.second_factors.enabled,
        passkey=await portal.passkeys.factor_options(attempt, user.user_id),
    )


def _failed(page: PageRequest, flow: "Flow", status: int, why: str, detail: str = "") -> Response:
    return page.render("signin/failed.html", status, provider=flow.provider.title, why=why, detail=detail)


async def _provider_sign_out_url(page: PageRequest) -> str | None:
    """The URL at which the user can also sign out at the provider; None if there is none."""
    flow = page.portal.flows.get(page.query.get("out", ""))
    if flow is None:
        return None
    try:
        return await flow.sign_out_url()
    except ProviderDown:
        return None


# ---- the cookie of an attempt


def _login_state(page: PageRequest) -> LoginState | None:
    return LoginState.from_cookie(cookies.value(page.request, COOKIE))


def _set_cookie(response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(name, value, max_age=seconds, secure=True, httponly=True, samesite="lax")


def _set_login_cookie(response: Response, attempt: LoginState) -> None:
    _set_cookie(response, COOKIE, attempt.to_cookie(), SECONDS)


def _delete_login_cookie(response: Response) -> None:
    for name in (COOKIE, pending_signin.COOKIE):
        response.delete_cookie(name, secure=True, httponly=True, samesite="lax")


ROUTES = [
    get("/login", show_form, Access.EVERYBODY),
    post("/login", by_password, Access.EVERYBODY),
    post("/login/code", by_code, Access.EVERYBODY),
    post("/login/code/passkey", by_second_passkey, Access.EVERYBODY),
    post("/login/passkey", by_passkey, Access.EVERYBODY),
    get("/login/{provider}", to_provider, Access.EVERYBODY),
    get("/login/{provider}/callback", from_provider, Access.EVERYBODY),
    post("/logout", sign_out),
]
