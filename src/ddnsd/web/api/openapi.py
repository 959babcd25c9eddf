# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI description: FastAPI's, with the token and the problems that it cannot know of."""

from typing import Any

from fastapi import FastAPI

from ddnsd.web.api import error_responses

TOKEN = {"type": "http", "scheme": "bearer", "description": "A token of a user: ddns_…"}
ENROLMENT = {"type": "http", "scheme": "bearer", "description": "An enrolment token of a host: ddnse_…"}
SECURITY: dict[str, list[dict[str, list[str]]]] = {"/api": [], "/api/status": [], "/api/enrol": [{"enrolment": []}]}
"""Paths that need no token of a user."""


def of(app: FastAPI) -> dict[str, Any]:
    """The description as JSON objects."""
    described: dict[str, Any] = app.openapi()
    components = described.setdefault("components", {})
    components["securitySchemes"] = {"token": TOKEN, "enrolment": ENROLMENT}
    components.setdefault("schemas", {})["Problem"] = error_responses.SCHEMA
    for path, operations in described["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _not_null(parameter["schema"])
            operation["security"] = SECURITY.get(path, [{"token": []}])
    return described


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter may be absent; there is no way to send null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**rest, **kinds[0]}
