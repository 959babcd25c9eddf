# SPDX-License-Identifier: GPL-3.0-or-later
"""The portal as a browser without scripts sees it: cookies, forms, redirects."""

import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from argon2 import PasswordHasher

from ddnsd.auth.secrets import digest
from ddnsd.auth.sessions import PASSWORD
from ddnsd.db import queries, sessions
from ddnsd.db.sqlite import engine_of
from support.servers.service import Service


@dataclass
class Page:
    """A page: its status, its headers, and what it holds."""

    path: str
    answer: requests.Response

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def html(self) -> str:
        return self.answer.text

    @property
    def text(self) -> str:
        """What can be read on the page, with single blanks."""
        reader = _Reader()
        reader.feed(self.html)
        return " ".join(" ".join(reader.texts).split())

    @property
    def forms(self) -> list["Form"]:
        """Every form of the page."""
        reader = _Reader()
        reader.feed(self.html)
        return reader.forms

    def form(self, action: str) -> "Form":
        """The form that is sent to this path."""
        found = [form for form in self.forms if form.action == action]
        assert found, f"no form for {action} among {[form.action for form in self.forms]}"
        return found[0]


@dataclass
class Form:
    """A form with the values that it would send untouched."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass
class Browser:
    """One browser; it keeps cookies as Chromium does on loopback, also those for https alone."""

    service: Service
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """One request, no redirect followed."""
        headers = {**self.headers, **kwargs.pop("headers", {})}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.service.request(method, path, headers=headers, **kwargs)
        for cookie in answer.raw.headers.getlist("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            gone = "max-age=0" in cookie.lower()
            self.cookies = {n: v for n, v in self.cookies.items() if n != name} | ({} if gone else {name: value})
        return answer

    def open(self, path: str) -> Page:
        """A page, wherever it leads."""
        return self._follow(path, self.request("GET", path))

    def send(self, page: Page, action: str, **values: Any) -> Page:
        """Fill in the page's form for `action` and send it; None leaves a field out, as an unticked box."""
        form = page.form(action)
        filled = {name: value for name, value in {**form.values, **values}.items() if value is not None}
        return self.post(action, filled)

    def post(self, path: str, values: dict[str, Any]) -> Page:
        """Send a form, whether or not a page has it."""
        return self._follow(path, self.request("POST", path, data=values))

    def sign_in(self, token: str) -> None:
        """Sign in as the token's user, who gets a password for it."""
        name = self.service.get("/api/users/me", token).json()["name"]
        self.send(self.open("/login"), "/login", name=name, password=password_of(self.service, name))
        assert "__Host-ddns" in self.cookies

    def enter(self, name: str, ago: int = 0) -> None:
        """Be signed in as this user, who gave a password so many seconds ago: for tests of something else."""
        cookie = secrets.token_urlsafe(32)
        with engine_of(self.service.dir / "ddnsd.db").begin() as connection:
            user = queries.user(connection, name)
            assert user is not None
            given = queries.now() - ago * 1_000_000
            sessions.add(connection, sessions.NewSession(user.id, digest(cookie), PASSWORD, None, "", given))
        self.cookies["__Host-ddns"] = cookie

    def _follow(self, path: str, answer: requests.Response) -> Page:
        for _ in range(5):
            if answer.status_code != 303:
                return Page(path, answer)
            path = answer.headers["location"]
            assert not urlsplit(path).netloc, f"leads away to {path}"
            answer = self.request("GET", path)
        raise AssertionError(f"leads round in circles: {path}")


_passwords: dict[tuple[Path, str], str] = {}


def password_of(service: Service, name: str) -> str:
    """The password of a user, who gets one at the first call."""
    if name == "admin":
        return (service.dir / "admin.password").read_text().strip()
    key = service.dir, name
    if key not in _passwords:
        _passwords[key] = secrets.token_urlsafe(16)
        # `ddnsd user password` does the same, and starts anew for each: that is a second of the processor's time
        hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(_passwords[key])
        with closing(sqlite3.connect(service.dir / "ddnsd.db", timeout=10)) as store, store:
            store.execute("INSERT INTO passwords SELECT id, ?, 0 FROM users WHERE name = ?", (hashed, name))
    return _passwords[key]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select: str | None = None
        self._area: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        name = values.get("name") or ""
        if tag == "form":
            self._form = Form(values.get("action") or "", values.get("method") or "get")
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag == "input" and name:
            if values.get("type") not in ("checkbox", "radio") or "checked" in values:
                self._form.values[name] = values.get("value") or ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            if "selected" in values or self._select not in self._form.values:
                self._form.values[self._select] = values.get("value") or ""
        elif tag == "textarea":
            self._area, self._form.values[name] = name, ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._area and self._form:
            self._form.values[self._area] += data


def entered(service: Service, name: str, ago: int = 0) -> Browser:
    """A browser in which that user has signed in, so many seconds ago."""
    browser = Browser(service)
    browser.enter(name, ago)
    return browser
