# SPDX-License-Identifier: GPL-3.0-or-later
"""The system's Chromium, and what no page may have in it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from support.npm import installed
from support.servers.service import Service

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MODES: dict[str, tuple[ViewportSize, Literal["light", "dark"]]] = {
    "wide-light": ({"width": 1280, "height": 800}, "light"),
    "wide-dark": ({"width": 1280, "height": 800}, "dark"),
    "narrow-light": ({"width": 360, "height": 740}, "light"),
    "narrow-dark": ({"width": 360, "height": 740}, "dark"),
}
SERIOUS = """async () => (await axe.run(document, {resultTypes: ["violations"], selectors: false})).violations
  .filter(found => ["serious", "critical"].includes(found.impact))
  .flatMap(found => found.nodes.map(node => `${found.id} (${found.impact}): ${node.html.slice(0, 160)} `
    + (node.failureSummary ?? "").slice(0, 200)))
"""
SHOTS = "PORTAL_SHOTS"
"""Names the folder, in the environment, where pictures of pages go."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def context(
    browser: Browser, service: Service, cookies: dict[str, str] | None = None, mode: str = "wide-light", **more: Any
) -> BrowserContext:
    """A person's browser with these cookies."""
    viewport, scheme = MODES[mode]
    made = browser.new_context(base_url=service.url, viewport=viewport, color_scheme=scheme, locale="en-GB", **more)
    made.set_default_timeout(15_000)
    for name, value in (cookies or {}).items():
        url = service.url.replace("http:", "https:")  # a secure cookie is set from there alone, and sent on loopback
        made.add_cookies([{"name": name, "value": value, "url": url, "secure": True, "httpOnly": True}])
    return made


def become(page: Page, mode: str) -> None:
    """Have the window's size and the scheme of the mode."""
    viewport, scheme = MODES[mode]
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)


def shoot(page: Page, name: str, mode: str) -> None:
    """A picture of the whole page, where somebody wants one."""
    if folder := os.environ.get(SHOTS):
        page.screenshot(path=Path(folder) / f"{name}-{mode}.png", full_page=True)


def slug(path: str) -> str:
    """A file's name for a page."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "first"


def too_wide(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    found: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


def examined(context: BrowserContext) -> Page:
    """A new page, with axe-core in whatever it opens: so it is sent to the browser and compiled there once."""
    page = context.new_page()
    page.add_init_script(path=installed("axe") / "node_modules" / "axe-core" / "axe.min.js")
    return page


def violations(page: Page) -> list[str]:
    """What axe-core finds in an `examined` page that is serious, as one line each."""
    found: list[str] = page.evaluate(SERIOUS)
    return found
