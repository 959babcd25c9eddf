# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with the TSIG key of a zone: a `key` clause as in `named.conf`, or `[algorithm:]name:secret`.

Plans have the name, the algorithm and the fingerprint of a key, and the path of its file. The secret is read only when
it is sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping

from .errors import DeclarationError, Problem, SyncError
from .model import Declaration, DomainSpec

_CLAUSE = re.compile(r'\bkey\s+"?([^"\s{};]+)"?\s*\{([^{}]*)\}')
_STATEMENT = re.compile(r'([\w-]+)\s+"?([^"\s;]+)"?\s*;')
_COMMENT = re.compile(r"/\*.*?\*/|(?://|#)[^\n]*", re.DOTALL)


def loaded(declaration: Declaration, base: str = "") -> Declaration:
    """The declaration with the keys of its domains. Relative files are relative to `base`. Raises DeclarationError."""
    problems: list[Problem] = []
    domains: dict[str, DomainSpec] = {}
    for name, spec in declaration.domains.items():
        domains[name] = spec
        if spec.key_file is None:
            continue
        path = str(Path(base) / spec.key_file)
        try:
            domains[name] = replace(spec, key=_shown(_read(path)), key_file=path)
        except OSError as error:
            problems.append(Problem(f"{name}: key: {path}: {error.strerror or error}", spec.where))
        except ValueError as error:
            problems.append(Problem(f"{name}: key: {path}: {error}", spec.where))
    if problems:
        raise DeclarationError(problems)
    return replace(declaration, domains=domains)


def with_secret(path: str, planned: Mapping[str, Any]) -> dict[str, str]:
    """The key in the file, to send it. Raises SyncError if it is not the planned one."""
    try:
        key = _read(path)
    except (OSError, ValueError) as error:
        raise SyncError(f"{path}: {error}") from None
    if _shown(key) != planned:
        raise SyncError(f"{path}: the key has changed since the plan; make a new plan")
    return key


def _shown(key: Mapping[str, str]) -> dict[str, str]:
    fingerprint = hashlib.sha256(base64.b64decode(key["secret"])).hexdigest()[:8]
    return {"name": key["name"], "algorithm": key["algorithm"], "fingerprint": fingerprint}


def _read(path: str) -> dict[str, str]:
    """The name, algorithm and secret. Raises OSError, ValueError."""
    text = Path(path).expanduser().read_text(encoding="utf-8")
    clauses = _CLAUSE.findall(_COMMENT.sub(" ", text))
    if clauses:
        name, body = clauses[0]
        statements = dict(_STATEMENT.findall(body))
        algorithm, secret = statements.get("algorithm", ""), statements.get("secret", "")
    else:
        words = text.strip().split(":")
        if len(words) not in (2, 3):
            raise ValueError('is no TSIG key; write key "name" { algorithm …; secret "…"; }; or algorithm:name:secret')
        algorithm, name, secret = words if len(words) == 3 else ("hmac-sha256", *words)
    if len(clauses) > 1:
        raise ValueError("has several keys; name a file with one")
    try:
        whole = bool(algorithm and name and base64.b64decode(secret, validate=True))
    except binascii.Error:
        whole = False
    if not whole:
        raise ValueError("the key needs a name, an algorithm, and a secret in base64")
    return {"name": name.lower().rstrip("."), "algorithm": algorithm.lower().rstrip("."), "secret": secret}
