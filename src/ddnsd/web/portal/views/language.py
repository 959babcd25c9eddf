# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice of a language, at the foot of every page."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.i18n import languages
from ddnsd.web.portal.request import LANGUAGE_COOKIE, Access, PageRequest, local, post

YEAR_SECONDS = 365 * 86_400


def routes(_portal: Portal) -> list[Route]:
    """The routes."""

    async def choose(page: PageRequest) -> Response:
        response = page.redirect(local(page.text("next")))
        if page.text("language") in languages():
            code = page.text("language")
            response.set_cookie(LANGUAGE_COOKIE, code, max_age=YEAR_SECONDS, httponly=True, samesite="lax")
        return response

    return [post("/account/language", choose, Access.EVERYBODY)]
