# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's second factor: an authenticator app, and recovery codes."""

import segno
from starlette.responses import Response

from ddnsd.auth import recovery_codes
from ddnsd.registry.errors import Invalid
from ddnsd.registry.second_factors import NewApp
from ddnsd.web.portal import show_once
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import get, post
from ddnsd.web.portal.views.sign_in import sign_in_first

HERE = "/account/second-factor"
CODES = f"{HERE}/codes"
QR_SCALE, QR_BORDER = 5, 4


async def show(page: PageRequest) -> Response:
    """The second factor, and the ways to change it."""
    await check_local(page)
    assert page.session is not None
    return page.render(
        "account/second_factor.html",
        factors=await page.portal.second_factors.of_user(page.caller.user_id),
        enabled=page.portal.second_factors.enabled,
        passkeys=page.portal.passkeys.enabled,
        required=page.session.must_add_factor,
    )


async def new_app(page: PageRequest) -> Response:
    """The QR code of a new app, and the form for its first code."""
    await _check_apps(page)
    if first := sign_in_first(page, f"{HERE}/app"):
        return first
    return _app_form(page, page.portal.second_factors.new_app(page.caller.user_id, page.caller.user), {})


async def add_app(page: PageRequest) -> Response:
    """Add the app whose first code is right. The next page shows recovery codes, if the user had none."""
    await _check_apps(page)
    if first := sign_in_first(page, f"{HERE}/app"):
        return first
    assert page.session is not None
    factors, user_id, keep = page.portal.second_factors, page.caller.user_id, page.session.id
    try:
        app = factors.app_of_form(user_id, page.caller.user, page.text("sealed"))
    except Invalid as error:
        return page.redirect(f"{HERE}/app", page.explain(error), "warning")
    has_codes = (await factors.of_user(user_id)).codes > 0
    codes = [] if has_codes else recovery_codes.new_codes()

    async def create() -> None:
        await factors.add_app(user_id, app, page.text("code"), codes, client_ip=page.client_ip, keep=keep)

    try:
        if codes:
            return await show_once.create_and_redirect(page, CODES, {"codes": " ".join(codes)}, create)
        await create()
    except Invalid as error:
        return _app_form(page, app, page.reasons(error.fields))
    return page.redirect(HERE, page.gettext("The app was added. From now on, you need its code to sign in."))


async def remove_app(page: PageRequest) -> Response:
    """Remove the app."""
    if first := sign_in_first(page, HERE):
        return first
    await page.portal.second_factors.remove_app(page.caller.user_id, page.client_ip)
    return page.redirect(HERE, page.gettext("The app was removed. You can sign in without its code."))


async def replace_codes(page: PageRequest) -> Response:
    """Replace the recovery codes."""
    if first := sign_in_first(page, HERE):
        return first
    user_id, codes = page.caller.user_id, recovery_codes.new_codes()
    return await show_once.create_and_redirect(
        page,
        CODES,
        {"codes": " ".join(codes)},
        lambda: page.portal.second_factors.replace_codes(user_id, codes, page.client_ip),
    )


async def show_codes(page: PageRequest) -> Response:
    """The new recovery codes, once."""
    return page.render("account/recovery_codes.html", made=await show_once.take_content(page))


def _app_form(page: PageRequest, app: NewApp, errors: dict[str, str]) -> Response:
    picture = segno.make(app.uri, micro=False)
    return page.render(
        "account/app.html",
        422 if errors else 200,
        errors=errors,
        app=app,
        picture=picture.svg_data_uri(scale=QR_SCALE, border=QR_BORDER, dark="#000", light="#fff"),
        size=picture.symbol_size(QR_SCALE, QR_BORDER)[0],
        seed=" ".join(app.seed[place : place + 4] for place in range(0, len(app.seed), 4)),
    )


async def check_local(page: PageRequest) -> None:
    """Check that the user can sign in with a password. Raises NotFound, StoreDown."""
    portal = page.portal
    if not portal.passwords.enabled or not await portal.identities.has_password(page.caller.user_id):
        raise NotFound


async def _check_apps(page: PageRequest) -> None:
    """Likewise, and that apps can be added. Raises NotFound, StoreDown."""
    await check_local(page)
    if not page.portal.second_factors.enabled:
        raise NotFound


ROUTES = [
    get(HERE, show),
    get(f"{HERE}/app", new_app),
    post(f"{HERE}/app", add_app),
    post(f"{HERE}/app/remove", remove_app),
    get(CODES, show_codes),
    post(CODES, replace_codes),
]
