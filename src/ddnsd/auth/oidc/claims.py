# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert the claims of a provider into an identity."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from ddnsd.auth.oidc.jwt import subject_of
from ddnsd.auth.oidc.provider import Provider
from ddnsd.db.identities import OidcIdentity

LONGEST = 255
MOST_GROUPS = 1000

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._@+-]+")


def presented(provider: Provider, claims: Mapping[str, Any], *, whole: bool) -> OidcIdentity:
    """The identity in the claims. `whole`: these are all claims, so a missing one is empty. Raises Invalid."""
    stated = _claim(claims, provider.groups_claim)
    groups = _groups(stated) if whole or stated is not None else None
    admin = None if groups is None else bool(provider.admin_group) and provider.admin_group in groups
    name = _name(claims.get(provider.name_claim), claims)
    return OidcIdentity(provider.issuer, subject_of(claims), _label(claims), name, groups, admin)


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path such as `realm_access.roles`."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _groups(stated: Any) -> frozenset[str]:
    values = [stated] if isinstance(stated, str) else stated if isinstance(stated, list) else []
    fit = (v for v in values if isinstance(v, str) and 0 < len(v) <= LONGEST and v.isprintable())
    return frozenset(sorted(set(fit))[:MOST_GROUPS])


def _label(claims: Mapping[str, Any]) -> str:
    for name in ("email", "preferred_username", "name"):
        value = claims.get(name)
        if isinstance(value, str) and value.strip() and value.isprintable():
            return value.strip()[:LONGEST]
    return ""


def _name(wanted: object, claims: Mapping[str, Any]) -> str:
    """A name for a new user: their name at the provider, reduced to allowed characters."""
    email = claims.get("email")
    for value in (wanted, email.partition("@")[0] if isinstance(email, str) else None):
        if isinstance(value, str) and (name := _folded(value)):
            return name
    return "user"


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text[:LONGEST]).encode("ascii", "ignore").decode()
    return _NOT_IN_NAMES.sub("-", plain).lstrip("._@+-").rstrip("-")[:100]
