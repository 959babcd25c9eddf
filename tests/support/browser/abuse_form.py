# SPDX-License-Identifier: GPL-3.0-or-later
"""The public form that reports abuse."""

from itertools import count
from typing import Any

from support.browser.portal import Browser, Page
from support.servers.service import Service

PATH = "/report-abuse"
SETTINGS = {"trusted_proxies": "127.0.0.0/8", "rules": "on", "abuse_reports_per_hour": "200"}
"""Settings of a service behind a proxy, so that each reporter has an address of their own."""

_sources = count(1)


def reporter(service: Service) -> Browser:
    """A browser without an account, in an IPv6 /64 of its own."""
    return Browser(service, headers={"X-Forwarded-For": f"2001:db8:{next(_sources):x}::1"})


def send(browser: Browser, name: str, **values: Any) -> Page:
    """Fill in the form and send it."""
    given = {"name": name, "kind": "phishing", "text": "It asks for the password of my bank."}
    return browser.send(browser.open(PATH), PATH, **(given | values))
