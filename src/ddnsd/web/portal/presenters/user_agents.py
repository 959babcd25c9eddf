# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of browsers and systems, read from user agents."""

from typing import NamedTuple

# The first match counts: the user agents of most browsers also contain names of browsers below them.
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
    """A browser and its system; "" if unknown."""

    browser: str
    system: str

    @classmethod
    def of(cls, text: str) -> "Agent":
        """Parse a User-Agent header."""
        return cls(_first(_BROWSERS, text), _first(_SYSTEMS, text))


def _first(names: dict[str, str], text: str) -> str:
    return next((name for mark, name in names.items() if mark in text), "")
