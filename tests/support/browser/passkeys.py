# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages that ask for passkeys, answered by an authenticator in software."""

import html
import re

from support.authenticator import Authenticator
from support.browser.portal import Browser, Page

FACTORS = "/account/second-factor"
PASSKEYS = f"{FACTORS}/passkeys"
ALONE, SECOND = "/login/passkey", "/login/code/passkey"


def options(page: Page, action: str) -> str:
    """What the page asks the browser in the form for this path."""
    found = re.search(rf'action="{re.escape(action)}"[^>]*data-options="([^"]*)"', page.html)
    assert found, page.text
    return html.unescape(found[1])


def add(browser: Browser, device: Authenticator, name: str = "Telephone") -> Page:
    """Add a passkey on this device to the account."""
    page = browser.open(f"{PASSKEYS}/new")
    return browser.send(page, PASSKEYS, name=name, credential=device.create(options(page, PASSKEYS)))


def answer(browser: Browser, page: Page, device: Authenticator, action: str = ALONE) -> Page:
    """Answer a page with the device's passkey."""
    return browser.send(page, action, credential=device.get(options(page, action)))


def sign_in(browser: Browser, device: Authenticator) -> Page:
    """Sign in with the passkey alone."""
    return answer(browser, browser.open("/login"), device)
