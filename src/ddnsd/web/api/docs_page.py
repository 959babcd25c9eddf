# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/schema/`: the OpenAPI description; `/api/docs/`: the same as a web page, without scripts or other servers.

`/api/declaration.schema.json`: the JSON Schema of `ddnsctl`'s declarations, for editors.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI, Request, Response

from ddnsd.web.api import openapi

Described = dict[str, Any]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
summary { cursor: pointer; padding: 0.2rem 0; }
details > div { margin: 0 0 1rem 1.5rem; }
b { display: inline-block; width: 4.5rem; }
td, th { text-align: left; vertical-align: top; padding: 0 1rem 0.2rem 0; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } a { color: #8bf; } }
"""

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


router = APIRouter(include_in_schema=False)


@router.get("/api/schema")
async def read_schema(request: Request) -> Response:
    """The OpenAPI description."""
    return Response(_rendered(request.app).schema, media_type="application/json")


@router.get("/api/docs")
async def read_docs(request: Request) -> Response:
    """The description as a page."""
    return Response(_rendered(request.app).page, headers=HEADERS, media_type="text/html")


@router.get("/api/declaration.schema.json")
async def read_declaration_schema() -> Response:
    """The JSON Schema of declarations, which is part of `ddnsctl` in the same distribution."""
    return Response(_declaration_schema(), media_type="application/schema+json")


@cache
def _declaration_schema() -> bytes:
    return files("ddnsctl").joinpath("schema/declaration.schema.json").read_bytes()


class _Rendered(NamedTuple):
    schema: str
    page: str


@cache
def _rendered(app: FastAPI) -> _Rendered:
    described = openapi.of(app)
    return _Rendered(json.dumps(described), "".join(_page(described)))


def _page(described: Described) -> Iterator[str]:
    title = escape(f"{described['info']['title']} {described['info']['version']}")
    yield f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    yield f'</head><body><h1>{title}</h1><p>OpenAPI: <a href="/api/schema/">/api/schema/</a></p>'
    tag = ""
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if operation["tags"][0] != tag:
                tag = operation["tags"][0]
                yield f"<h2>{escape(tag)}</h2>"
            yield from _operation(method, path, operation)
    yield "<h2>schemas</h2>"
    for name, schema in described["components"]["schemas"].items():
        yield from _schema(name, schema)
    yield "</body></html>"


def _operation(method: str, path: str, operation: Described) -> Iterator[str]:
    yield f"<details><summary><b>{escape(method.upper())}</b> <code>{escape(path)}</code></summary><div>"
    yield f"<p>{escape(operation.get('description', ''))}</p><table>"
    for parameter in operation.get("parameters", ()):
        detail = parameter.get("description") or parameter["schema"].get("description", "")
        yield _row(f"{parameter['name']} ({parameter['in']})", _kind(parameter["schema"]), detail)
    if body := operation.get("requestBody"):
        yield _row("body", *(_kind(content["schema"]) for content in body["content"].values()))
    for status, response in operation["responses"].items():
        kinds = " ".join(_kind(content["schema"]) for content in response.get("content", {}).values())
        yield _row(status, kinds, response["description"])
    yield "</table></div></details>"


def _schema(name: str, schema: Described) -> Iterator[str]:
    yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary><div>'
    yield f"<p>{escape(schema.get('description', ''))}</p><table>"
    required = schema.get("required", ())
    for field, content in schema.get("properties", {}).items():
        mark = " *" if field in required else ""
        yield _row(field + mark, _kind(content), content.get("description", ""))
    yield "</table></div></details>"


def _row(name: str, kind: str, text: str = "") -> str:
    return f"<tr><th><code>{escape(name)}</code></th><td><code>{escape(kind)}</code></td><td>{escape(text)}</td></tr>"


def _kind(schema: Described) -> str:
    """A short text for a schema, such as `string | null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = str(schema.get("format") or schema.get("type", "any"))
    return f"{kind} of {_kind(schema['items'])}" if "items" in schema else kind
