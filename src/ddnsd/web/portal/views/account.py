# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's account: identities, password, sessions; and the language of the portal."""

from starlette.responses import Response

from ddnsd.auth import known_browsers, passwords
from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.oidc.login_state import local_path
from ddnsd.auth.passwords import Locked
from ddnsd.auth.sessions import COOKIE as SESSION_COOKIE
from ddnsd.auth.sessions import PASSKEY, PASSWORD, PASSWORD_AND_PASSKEY, csrf_of
from ddnsd.registry.account_removal import Removal
from ddnsd.registry.errors import NotEmpty
from ddnsd.web.downloads import download
from ddnsd.web.portal import cookies, flash
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.i18n import N_, languages
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.presenters import quotas, security_log
from ddnsd.web.portal.presenters.user_agents import Agent
from ddnsd.web.portal.request import LANGUAGE_COOKIE, PageRequest
from ddnsd.web.portal.routing import Access, get, post
from ddnsd.web.portal.views.sign_in import link_path, set_session_cookie, sign_in_first
from ddnsd.web.preconditions import same_user

NEWEST, SIZE = 10, 50
"""Events of the security log: on the account's page, and on a page of the log."""

DELETE = "/account/delete"
YEAR_SECONDS = 365 * 86_400

LOCAL_METHODS = {
    PASSWORD: N_("Password"),
    PASSKEY: N_("Passkey"),
    PASSWORD_AND_PASSKEY: N_("Password and passkey"),
}


async def show(page: PageRequest) -> Response:
    """The account."""
    return await _show(page, {})


async def unlink(page: PageRequest) -> Response:
    """Remove an identity from the account."""
    assert page.session is not None
    await page.portal.identities.unlink(
        page.caller.user_id,
        _id(page),
        page.client_ip,
        keep=page.session.id,
        methods={flow.provider.issuer: name for name, flow in page.portal.flows.items()},
    )
    return page.redirect("/account", page.gettext("You can no longer sign in with this identity."))


async def change_password(page: PageRequest) -> Response:
    """Change the password, end all sessions, and begin a new one for this browser."""
    portal, caller = page.portal, page.caller
    if not portal.passwords.enabled:
        raise NotFound
    assert page.session is not None
    if not await portal.identities.has_password(caller.user_id) and (first := sign_in_first(page, "/account")):
        return first
    if errors := await _password_errors(page):
        return await _show(page, errors)
    before, hashed = page.session, await portal.passwords.hashed(page.form.get("new", ""))
    await portal.identities.set_password(caller.user, hashed, actor=caller.user, client_ip=page.client_ip)
    cookie = await portal.sessions.begin(caller.user_id, before.method, page.client_ip, page.agent, proof=before.proof)
    response = page.redirect("/account")
    flash.write(response, csrf_of(cookie), flash.Flash(page.gettext("The password was changed."), "done"))
    set_session_cookie(response, cookie)
    return response


async def end_session(page: PageRequest) -> Response:
    """End one of the user's sessions."""
    session_id = _id(page)
    if all(row.id != session_id for row in await page.portal.sessions.list(page.caller.user_id)):
        raise NotFound
    await page.portal.sessions.end(session_id, page.client_ip)
    return page.redirect("/account", page.gettext("That browser is signed out."))


async def end_others(page: PageRequest) -> Response:
    """End all other sessions of the user."""
    assert page.session is not None
    count = await page.portal.sessions.end_all(page.caller.user_id, but=page.session.id, client_ip=page.client_ip)
    done = page.ngettext("%(num)s other browser is signed out.", "%(num)s other browsers are signed out.", count)
    return page.redirect("/account", done)


async def show_log(page: PageRequest) -> Response:
    """A page of the user's security log."""
    before = page.cursor("before") or None
    found = await page.portal.audit_log.security(page.caller, before, SIZE)
    return page.render(
        "account/log.html",
        events=security_log.lines(found.items, page.caller.user),
        pages=paginate(page, found.next, "before"),
    )


async def export(page: PageRequest) -> Response:
    """Everything that is stored about the user, as a file."""
    user = await page.portal.users.get(page.caller.user)
    return await download(page.portal.account_export.parts(user), "account.json", "application/json")


async def delete_form(page: PageRequest) -> Response:
    """What the deletion of the account removes, and the form for it."""
    if first := sign_in_first(page, DELETE):
        return first
    return await _delete_form(page, {})


async def delete(page: PageRequest) -> Response:
    """Delete the account, if the form has the user's name."""
    if first := sign_in_first(page, DELETE):
        return first
    caller = page.caller
    if page.text("name") != caller.user:
        return await _delete_form(page, {"name": page.gettext("This is not your user name.")})
    removal = Removal(caller.user, caller.user, page.client_ip, same_user(caller), hosts=True, own=True)
    try:
        await page.portal.users.remove(removal)
    except NotEmpty as error:
        return await _delete_form(page, {"__all__": page.explain(error)})
    page.session = None
    response = page.render("account/deleted.html", name=caller.user)
    response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="lax")
    return response


async def _delete_form(page: PageRequest, errors: dict[str, str]) -> Response:
    owned = await page.portal.users.owned(page.caller.user_id)
    return page.render("account/delete.html", 422 if errors else 200, errors=errors, owned=owned)


async def choose_language(page: PageRequest) -> Response:
    """Store the language in a cookie. The form is at the foot of each page, for everybody."""
    response = page.redirect(local_path(page.text("next")))
    if (code := page.text("language")) in languages():
        response.set_cookie(LANGUAGE_COOKIE, code, max_age=YEAR_SECONDS, httponly=True, samesite="lax")
    return response


async def _show(page: PageRequest, errors: dict[str, str]) -> Response:
    portal, user_id = page.portal, page.caller.user_id
    providers = [flow.provider for flow in portal.flows.values()]
    titles = {provider.issuer: provider.title for provider in providers}
    methods = {provider.name: provider.title for provider in providers}
    newest = await portal.audit_log.security(page.caller, None, NEWEST)
    return page.render(
        "account/show.html",
        422 if errors else 200,
        errors=errors,
        here_id=page.session.id if page.session else None,
        identities=[
            (identity, titles.get(identity.issuer, identity.issuer))
            for identity in await portal.identities.of_user(user_id)
        ],
        links=[(link_path(page, name), title) for name, title in methods.items()],
        quotas=quotas.lines(await portal.rates.usage(user_id)),
        passwords=portal.passwords.enabled,
        shortest=passwords.SHORTEST,
        events=security_log.lines(newest.items, page.caller.user),
        has_password=await portal.identities.has_password(user_id),
        factors=await portal.second_factors.of_user(user_id),
        sessions=[
            (row, _browser(page, row.agent), _method(page, methods, row.method))
            for row in await portal.sessions.list(user_id)
        ],
    )


async def _password_errors(page: PageRequest) -> dict[str, str]:
    """Errors of the form that changes the password, by field."""
    _, new = page.gettext, page.form.get("new", "")
    errors = await _current_password_errors(page)
    if weakness := passwords.weakness(new, page.caller.user):
        errors["new"] = _(weakness.value, **weakness.parameters)
    elif not passwords.same(new, page.form.get("again", "")):
        errors["again"] = _("The two passwords differ.")
    return errors


async def _current_password_errors(page: PageRequest) -> dict[str, str]:
    _, portal, caller = page.gettext, page.portal, page.caller
    if not await portal.identities.has_password(caller.user_id):
        return {}
    try:
        cookie = cookies.value(page.request, known_browsers.COOKIE)
        await portal.passwords.check(caller.user, page.form.get("current", ""), page.client_ip, cookie)
    except Locked:
        return {"current": _("Too many failed attempts. Wait some minutes before you try again.")}
    except BadCredentials:
        return {"current": _("Wrong password.")}
    return {}


def _browser(page: PageRequest, text: str) -> str:
    agent = Agent.of(text)
    if agent.browser and agent.system:
        return page.gettext("%(browser)s on %(system)s", browser=agent.browser, system=agent.system)
    return agent.browser or text[:40] or page.gettext("unknown")


def _method(page: PageRequest, methods: dict[str, str], method: str) -> str:
    return page.gettext(LOCAL_METHODS[method]) if method in LOCAL_METHODS else methods.get(method, method)


def _id(page: PageRequest) -> int:
    """The id of the path. Raises NotFound."""
    if not (found := page.id_param()):
        raise NotFound
    return found


ROUTES = [
    get("/account", show),
    get("/account/log", show_log),
    get("/account/export", export),
    get(DELETE, delete_form),
    post(DELETE, delete),
    post("/account/password", change_password),
    post("/account/identities/{id}/remove", unlink),
    post("/account/sessions/end", end_others),
    post("/account/sessions/{id}/end", end_session),
    post("/account/language", choose_language, Access.EVERYBODY),
]
