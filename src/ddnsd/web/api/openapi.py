# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI description of FastAPI, with the tokens and the problems that FastAPI does not know."""

from typing import Any

from fastapi import FastAPI

from ddnsd.web.api import errors

TOKEN = {"type": "http", "scheme": "bearer", "description": "A token of a user: ddns_…"}
ENROLMENT = {"type": "http", "scheme": "bearer", "description": "An enrolment token of a host: ddnse_…"}
MACHINE = {
    "type": "http",
    "scheme": "basic",
    "description": "The name and secret of a host, or the login and secret of a key",
}
SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "/api": [],
    "/api/status": [],
    "/api/enrol": [{"enrolment": []}],
    "/api/hosts/{fqdn}/certificate": [{"token": []}, {"machine": []}],
}
"""Paths that need no token of a user."""


def of(app: FastAPI) -> dict[str, Any]:
    """The description as JSON objects."""
    described: dict[str, Any] = app.openapi()
    components = described.setdefault("components", {})
    components["securitySchemes"] = {"token": TOKEN, "enrolment": ENROLMENT, "machine": MACHINE}
    components.setdefault("schemas", {})["Problem"] = errors.SCHEMA
    for path, operations in described["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _not_null(parameter["schema"])
            operation["security"] = SECURITY.get(path, [{"token": []}])
    return described


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without null: a parameter can be absent, but it cannot be null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**rest, **kinds[0]}
