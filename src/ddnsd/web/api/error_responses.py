# SPDX-License-Identifier: GPL-3.0-or-later
"""Problems as OpenAPI describes them: which statuses a call may answer beside its success."""

from typing import Any

from ddnsd.web.api.errors import MEDIA_TYPE, TYPES

SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "enum": ["about:blank", *TYPES]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "object",
            "description": "Where fields are concerned: what is wrong with each.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}

MEANINGS = {
    400: "Not a request that can be read",
    401: "No valid token",
    403: "The token lacks the scope, or the host is blocked for abuse",
    404: "Unknown, or not visible to the caller",
    409: "The name is taken, or something still depends on it",
    412: "It is not as If-Match says",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "Fields that are not acceptable",
    503: "Name server or database did not do it; the type tells whether the change is kept",
}

_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "Bearer", "required": True, "schema": {"type": "string"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: the problems that every call may answer, and these."""
    return described(401, 403, 422, 503, *statuses)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: these problems and no others; 401 is one of them."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in sorted(set(statuses)):
        responses[status] = {"description": MEANINGS[status], "content": _CONTENT}
    responses[401]["headers"] = _CHALLENGE
    return responses


def changes(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that takes a body."""
    return problems(400, 413, 415, *statuses)


def success(model: Any, *headers: str, description: str = "Done") -> dict[str, Any]:
    """The response of a success with a body of `model`."""
    shown = {name: {"required": True, "schema": {"type": "string"}} for name in headers}
    return {"model": model, "description": description, **({"headers": shown} if shown else {})}


def leads_to(field: str, *operations: str) -> dict[str, Any]:
    """`links`: what can be done with the resource that an answer names in `field`."""
    parameters = {field: f"$response.body#/{field}"}
    return {"links": {name: {"operationId": name, "parameters": parameters} for name in operations}}


NO_CONTENT: dict[int | str, dict[str, Any]] = {204: {"description": "Done"}}
