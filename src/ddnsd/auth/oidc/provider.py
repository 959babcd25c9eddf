# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's settings of a provider."""

import ipaddress
from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from ddnsd.auth.sessions import LOCAL


def _trustworthy(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("an issuer is a URL of a host, without query and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("an issuer begins with https://; http:// is only for this machine")
    return url


def _free(name: str) -> str:
    if name in LOCAL:
        raise ValueError(f"the name {name} is reserved for sign-ins without a provider")
    return name


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Provider(BaseModel):
    """One provider of OpenID Connect. Without `audience` its access tokens are not accepted.

    `opaque`: it is asked about access tokens that are not JWTs, and that do not say whose they are. A sign-in in the
    browser needs one of `acr_values`, and one of `amr_values`, if these are given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,29}$"), AfterValidator(_free)]
    label: str = Field("", max_length=60)
    issuer: Annotated[str, Field(max_length=255), AfterValidator(_trustworthy)]
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    groups_claim: str = "eduperson_entitlement"
    admin_group: str = ""
    audience: tuple[str, ...] = ()
    opaque: bool = False
    acr_values: tuple[Annotated[str, Field(pattern=r"^[!-~]+$")], ...] = ()
    amr_values: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    first_contact: Literal["create", "refuse"] = "create"

    @property
    def title(self) -> str:
        """The text for people."""
        return self.label or self.name

    @property
    def secret(self) -> str | None:
        """The client's secret."""
        return self.client_secret.get_secret_value() if self.client_secret else None

    @property
    def creates(self) -> bool:
        """Whether the first sign-in of an unknown identity creates a user."""
        return self.first_contact == "create"

    def __str__(self) -> str:
        return f"{self.name}={self.issuer}"


def of_opaque_tokens(providers: Sequence[Provider]) -> Provider | None:
    """The only provider that is asked about opaque tokens: the marked one, else the only one that accepts tokens.

    A token must not be shown to a provider that did not issue it, because the provider could use it.
    """
    accepting = [provider for provider in providers if provider.audience]
    marked = [provider for provider in accepting if provider.opaque] or accepting
    return marked[0] if len(marked) == 1 and marked[0].secret else None
