# SPDX-License-Identifier: GPL-3.0-or-later
"""Your account: who you are, how you sign in, and where you have."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth import passwords, sessions
from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.passwords import Locked
from ddnsd.auth.sessions import PASSWORD, csrf_of
from ddnsd.db import identities
from ddnsd.registry import identities as registry_members
from ddnsd.web.portal import flash
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.i18n import N_
from ddnsd.web.portal.presenters.user_agents import Agent
from ddnsd.web.portal.request import PageRequest, get, post
from ddnsd.web.portal.views.sign_in import link_path

_SAID = {
    passwords.TOO_SHORT: N_("A password has at least %(number)s characters."),
    passwords.TOO_LONG: N_("A password has at most %(number)s characters."),
    passwords.TOO_SIMPLE: N_("A password must not be the user name, or one repeated character."),
}
_NUMBERS = {passwords.TOO_SHORT: passwords.SHORTEST, passwords.TOO_LONG: passwords.LONGEST}


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def account_page(page: PageRequest, status: int = 200, errors: dict[str, str] | None = None) -> Response:
        user_id = page.caller.user_id
        held = await portal.store.read(lambda c: identities.identities_of(c, user_id))
        titles = {flow.provider.issuer: flow.provider.title for flow in portal.flows.values()}
        methods = {name: flow.provider.title for name, flow in portal.flows.items()}
        return page.render(
            "account/show.html",
            status,
            errors=errors or {},
            here_id=page.session.id if page.session else None,
            identities=[(identity, titles.get(identity.issuer, identity.issuer)) for identity in held],
            links=[(link_path(page, name), title) for name, title in methods.items()],
            passwords=portal.passwords.enabled,
            shortest=passwords.SHORTEST,
            has_password=await portal.store.read(lambda c: identities.has_password(c, user_id)),
            sessions=[
                (row, _browser(page, row.agent), _method(page, methods, row.method))
                for row in await portal.sessions.list(user_id)
            ],
        )

    async def show(page: PageRequest) -> Response:
        return await account_page(page)

    async def unlink(page: PageRequest) -> Response:
        assert page.session is not None
        await portal.members.unlink(
            page.caller.user_id,
            _number(page),
            page.client_ip,
            keep=page.session.id,
            methods={flow.provider.issuer: name for name, flow in portal.flows.items()},
        )
        return page.redirect("/account", page.gettext("You can no longer sign in with this identity."))

    async def change_password(page: PageRequest) -> Response:
        _, caller = page.gettext, page.caller
        if not portal.passwords.enabled:
            raise NotFound
        new = page.form.get("new", "")
        errors = await _refused(page)
        if reason := passwords.problem(new, caller.user):
            errors["new"] = _(_SAID[reason], number=_NUMBERS.get(reason, ""))
        elif not passwords.same(new, page.form.get("again", "")):
            errors["again"] = _("The two passwords differ.")
        if errors:
            return await account_page(page, 422, errors)
        assert page.session is not None
        hashed, method = await portal.passwords.hashed(new), page.session.method
        await portal.store.transact(
            lambda c: registry_members.set_password(c, caller.user, hashed, actor=caller.user, client_ip=page.client_ip)
        )
        cookie = await portal.sessions.begin(caller.user_id, method, page.client_ip, page.agent)
        response = page.redirect("/account")
        flash.write(response, csrf_of(cookie), flash.Flash(_("The password was changed."), "done"))
        response.set_cookie(sessions.COOKIE, cookie, secure=True, httponly=True, samesite="lax")
        return response

    async def _refused(page: PageRequest) -> dict[str, str]:
        """What is wrong with the password that somebody says they have."""
        _, caller = page.gettext, page.caller
        if not await portal.store.read(lambda c: identities.has_password(c, caller.user_id)):
            return {}
        try:
            await portal.passwords.check(caller.user, page.form.get("current", ""), page.client_ip)
        except Locked:
            return {"current": _("Too many failed attempts. Wait some minutes before you try again.")}
        except BadCredentials:
            return {"current": _("Wrong password.")}
        return {}

    async def end_session(page: PageRequest) -> Response:
        wanted = _number(page)
        if all(row.id != wanted for row in await portal.sessions.list(page.caller.user_id)):
            raise NotFound
        await portal.sessions.end(wanted)
        return page.redirect("/account", page.gettext("That browser is signed out."))

    async def end_others(page: PageRequest) -> Response:
        assert page.session is not None
        count = await portal.sessions.end_all(page.caller.user_id, but=page.session.id)
        done = page.ngettext("%(num)s other browser is signed out.", "%(num)s other browsers are signed out.", count)
        return page.redirect("/account", done)

    return [
        get("/account", show),
        post("/account/password", change_password),
        post("/account/identities/{id}/remove", unlink),
        post("/account/sessions/end", end_others),
        post("/account/sessions/{id}/end", end_session),
    ]


def _browser(page: PageRequest, text: str) -> str:
    agent = Agent.of(text)
    if agent.browser and agent.system:
        return page.gettext("%(browser)s on %(system)s", browser=agent.browser, system=agent.system)
    return agent.browser or text[:40] or page.gettext("unknown")


def _method(page: PageRequest, methods: dict[str, str], method: str) -> str:
    return page.gettext("Password") if method == PASSWORD else methods.get(method, method)


def _number(page: PageRequest) -> int:
    text = page.param("id")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFound
    return int(text)
