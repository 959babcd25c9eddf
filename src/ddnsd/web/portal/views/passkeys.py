# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's passkeys. A script of the page asks the browser for a new one; everything else works without it."""

from collections.abc import Mapping

from starlette.responses import Response

from ddnsd.auth import recovery_codes
from ddnsd.registry.errors import Invalid
from ddnsd.web.portal import forms, show_once
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import get, post
from ddnsd.web.portal.views.second_factor import CODES, HERE, check_local
from ddnsd.web.portal.views.sign_in import sign_in_first

PASSKEYS = f"{HERE}/passkeys"
NEW = f"{PASSKEYS}/new"


async def new(page: PageRequest) -> Response:
    """The form for a new passkey."""
    await _check_enabled(page)
    if first := sign_in_first(page, NEW):
        return first
    return await _form(page, {})


async def add(page: PageRequest) -> Response:
    """Add the passkey that the browser has made. The next page shows recovery codes, if the user had none."""
    await _check_enabled(page)
    if first := sign_in_first(page, NEW):
        return first
    assert page.session is not None
    portal, user_id, keep = page.portal, page.caller.user_id, page.session.id
    has_codes = (await portal.second_factors.of_user(user_id)).codes > 0
    codes = [] if has_codes else recovery_codes.new_codes()
    try:
        name = forms.read(page, forms.PasskeyFields).name

        async def create() -> None:
            await portal.passkeys.add(
                user_id,
                name,
                page.text("credential"),
                codes,
                asked=page.text("asked"),
                secret=page.csrf,
                client_ip=page.client_ip,
                keep=keep,
            )

        if codes:
            return await show_once.create_and_redirect(page, CODES, {"codes": " ".join(codes)}, create)
        await create()
    except Invalid as error:
        return await _form(page, page.reasons(error.fields))
    return page.redirect(HERE, page.gettext("The passkey was added."))


async def show(page: PageRequest) -> Response:
    """The form that renames a passkey."""
    return await _show(page, {})


async def rename(page: PageRequest) -> Response:
    """Rename a passkey."""
    try:
        name = forms.read(page, forms.PasskeyFields).name
        await page.portal.passkeys.rename(page.caller.user_id, page.id_param(), name, page.client_ip)
    except Invalid as error:
        return await _show(page, page.reasons(error.fields))
    return page.redirect(HERE, page.gettext("Saved."))


async def remove(page: PageRequest) -> Response:
    """Remove a passkey."""
    if first := sign_in_first(page, HERE):
        return first
    assert page.session is not None
    await page.portal.passkeys.remove(page.caller.user_id, page.id_param(), page.client_ip, keep=page.session.id)
    return page.redirect(HERE, page.gettext("The passkey was removed. You can delete it on your device as well."))


async def _form(page: PageRequest, errors: Mapping[str, str]) -> Response:
    try:
        asked = await page.portal.passkeys.new(page.caller.user_id, page.caller.user, page.csrf)
    except Invalid as error:  # they have too many
        return page.redirect(HERE, page.explain(error), "warning")
    factors = await page.portal.second_factors.of_user(page.caller.user_id)
    return page.render(
        "account/passkey_new.html",
        422 if errors else 200,
        errors=errors,
        name=page.text("name"),
        asked=asked,
        first=not factors,
    )


async def _show(page: PageRequest, errors: Mapping[str, str]) -> Response:
    passkey = await page.portal.passkeys.named(page.caller.user_id, page.id_param())
    if passkey is None:
        raise NotFound
    name = page.form.get("name", passkey.name)
    return page.render("account/passkey.html", 422 if errors else 200, errors=errors, passkey=passkey, name=name)


async def _check_enabled(page: PageRequest) -> None:
    """Check that the user can have passkeys here. Raises NotFound, StoreDown."""
    await check_local(page)
    if not page.portal.passkeys.enabled:
        raise NotFound


ROUTES = [
    get(NEW, new),
    post(PASSKEYS, add),
    get(f"{PASSKEYS}/{{id}}", show),
    post(f"{PASSKEYS}/{{id}}", rename),
    post(f"{PASSKEYS}/{{id}}/remove", remove),
]
