# SPDX-License-Identifier: GPL-3.0-or-later
"""Browsers by the names that people give them."""

import pytest

from ddnsd.web.portal.presenters.user_agents import Agent

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"


@pytest.mark.parametrize(
    ("text", "browser", "system"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox", "Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/126.0.0.0", "Edge", "Windows"),
        (f"Mozilla/5.0 (Linux; Android 14) {CHROME} Mobile Safari/537.36", "Chrome", "Android"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {SAFARI} Mobile Safari/604.1", "Safari", "iOS"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI} Safari/605.1.15", "Safari", "macOS"),
        ("curl/8.8.0", "", ""),
        ("", "", ""),
    ],
)
def test_names(text: str, browser: str, system: str) -> None:
    assert Agent.of(text) == (browser, system)
