# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api` as a caller with a token sees it, and what every problem must look like."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

from support.clients.dyndns import new_label
from support.servers.service import Service

Content = dict[str, Any]


SHOWN_ONCE = ("secret", "token", "tsig", "algorithm", "configurations")
"""Fields that only the answer to a creation has."""


@dataclass(frozen=True)
class Api:
    """Calls with one token."""

    service: Service
    token: str | None

    def call(self, method: str, path: str, content: object = None, **kwargs: Any) -> requests.Response:
        """Send a request; `content` is its JSON body."""
        if content is not None:
            kwargs["json"] = content
        answer = self.service.request(method, f"/api{path}", self.token, **kwargs)
        assert "set-cookie" not in answer.headers
        assert answer.headers.get("cache-control") == "no-store" or answer.status_code == 204
        assert answer.headers.get("content-length") == str(len(answer.content)) or answer.status_code == 204
        return answer

    def get(self, path: str, **params: Any) -> Content:
        """The body of an answer 200."""
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        content: Content = answer.json()
        return content

    def post(self, path: str, content: Content) -> Content:
        """The body of an answer 201, whose Location leads to the same thing."""
        answer = self.call("POST", path, content)
        assert answer.status_code == 201, answer.text
        made: Content = answer.json()
        shown = self.get(answer.headers["location"].removeprefix("/api"))
        assert shown == {name: value for name, value in made.items() if name not in SHOWN_ONCE}
        return made

    def patch(self, path: str, content: Content, **kwargs: Any) -> Content:
        """The body of an answer 200."""
        answer = self.call("PATCH", path, content, **kwargs)
        assert answer.status_code == 200, answer.text
        changed: Content = answer.json()
        return changed

    def delete(self, path: str) -> None:
        """Delete; it was there."""
        answer = self.call("DELETE", path)
        assert (answer.status_code, answer.content) == (204, b""), answer.text

    def items(self, path: str, **params: Any) -> list[Content]:
        """The items of all pages."""
        found: list[Content] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, **params, **cursor)
            assert set(page) == {"items", "next"}
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    def host(self, **fields: Any) -> Content:
        """A new host with these fields, under a new name in the service's domain unless `fqdn` is one of them."""
        return self.post("/hosts", {"fqdn": new_name(self.service)} | fields)


def new_name(service: Service) -> str:
    """A full name that no other test uses."""
    return f"{new_label()}.{service.domain}"


def problem(
    answer: requests.Response, status: int, kind: str = "about:blank", fields: set[str] | None = None
) -> Content:
    """Assert that the answer is this problem, in the one shape that all have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content: Content = answer.json()
    optional = ({"errors"} if fields else set()) | ({"lease"} if kind == "urn:ddns:leased" else set())
    assert set(content) == {"type", "title", "status", "detail"} | optional
    assert (content["type"], content["status"]) == (kind, status)
    assert content["detail"]
    if kind == "about:blank":
        assert content["title"] == HTTPStatus(status).phrase
    if fields:
        assert set(content["errors"]) == fields
        assert all(texts and all(isinstance(text, str) for text in texts) for texts in content["errors"].values())
    return content
