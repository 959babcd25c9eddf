# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in and out."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.faces.portal.context import Portal
from ddnsd.faces.portal.visit import SESSION_COOKIE, Access, Visit, get, local, post
from ddnsd.identity.caller import BadCredentials


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def form(visit: Visit) -> Response:
        following = local(visit.query.get("next", ""))
        if visit.signed_in:
            return visit.redirect(following)
        return visit.render("signin/form.html", following=following, error="")

    async def sign_in(visit: Visit) -> Response:
        following = local(visit.text("next"))
        try:
            caller = await portal.signin.by_token(visit.text("token"), visit.source)
        except BadCredentials:
            error = visit.gettext("This token is unknown, or has expired.")
            return visit.render("signin/form.html", 403, following=following, error=error)
        cookie = await portal.sessions.begin(caller.user_id, "token", visit.source, visit.agent)
        response = visit.redirect(following)
        response.set_cookie(SESSION_COOKIE, cookie, secure=True, httponly=True, samesite="lax")
        return response

    async def sign_out(visit: Visit) -> Response:
        assert visit.session is not None
        await portal.sessions.end(visit.session.id)
        response = visit.redirect("/")
        response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="lax")
        return response

    return [
        get("/login", form, Access.EVERYBODY),
        post("/login", sign_in, Access.EVERYBODY),
        post("/logout", sign_out),
    ]
