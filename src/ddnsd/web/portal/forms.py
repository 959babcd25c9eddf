# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of forms, validated as the API validates those of its bodies."""

from collections.abc import Sequence
from typing import Literal, TypeVar

from pydantic import BaseModel

from ddnsd.registry.inputs import (
    AliasTarget,
    Comment,
    CredentialName,
    Group,
    Ipv4List,
    Ipv6List,
    TokenInput,
    Ttl,
    UserName,
    from_form,
)
from ddnsd.web.portal.request import PageRequest

Model = TypeVar("Model", bound=BaseModel)


class TtlField(BaseModel):
    """The TTL of records; None: the default."""

    ttl: Ttl | None = None


class CommentField(BaseModel):
    """A comment of one line."""

    comment: Comment | None = None


class DomainFields(TtlField, CommentField):
    """What a form sets of a domain, beside boxes and choices."""


class HostFields(DomainFields):
    """What a form sets of a host, beside boxes and choices."""

    ipv4: Ipv4List | None = None
    ipv6: Ipv6List | None = None
    alias: AliasTarget | None = None


class BlockFields(BaseModel):
    """What a form of an administrator sets of a blocked host, beside boxes."""

    block_reason: Comment | None = None


class TokenFields(TokenInput):
    """What a form sets of a token; it expires after `lifetime` days, or never."""

    lifetime: Literal["1", "30", "90", "365"] | None = None


class PasskeyFields(BaseModel):
    """What a form sets of a passkey."""

    name: CredentialName


class UserFields(BaseModel):
    """What a form sets of a new user, beside boxes."""

    name: UserName


class UserChangeFields(BaseModel):
    """What an administrator sets of a user, beside boxes: groups, and why the user is disabled."""

    groups: list[Group]
    reason: Comment | None = None


def read(page: PageRequest, model: type[Model], **lists: Sequence[str]) -> Model:
    """The fields of the form. Raises Invalid with the reason of each field that is wrong.

    `lists` are the values of the fields that hold several.
    """
    return from_form(model, {name: page.text(name) for name in model.model_fields} | lists)
