# SPDX-License-Identifier: GPL-3.0-or-later
"""Browsers by the names that people give them, as far as their user agents tell."""

from typing import NamedTuple

# Each says that it is also those below it.
_BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Vivaldi": "Vivaldi",
    "Firefox/": "Firefox",
    "FxiOS": "Firefox",
    "Chrome/": "Chrome",
    "CriOS": "Chrome",
    "Safari/": "Safari",
}
_SYSTEMS = {
    "Android": "Android",
    "iPhone": "iOS",
    "iPad": "iPadOS",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
    "BSD": "BSD",
}


class Agent(NamedTuple):
    """`browser` is "" for one that is not known, `system` for one that does not say."""

    browser: str
    system: str

    @classmethod
    def of(cls, text: str) -> "Agent":
        """Read from a user agent."""
        return cls(_first(_BROWSERS, text), _first(_SYSTEMS, text))


def _first(names: dict[str, str], text: str) -> str:
    return next((name for mark, name in names.items() if mark in text), "")
