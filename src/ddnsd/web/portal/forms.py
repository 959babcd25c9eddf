# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of forms, validated as the API validates those of its bodies."""

from typing import TypeVar

from pydantic import BaseModel

from ddnsd.registry.inputs import CREDENTIAL_NAME_LENGTH, Comment, Ipv4, Ipv6, Ttl, from_form
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

    ipv4: Ipv4 | None = None
    ipv6: Ipv6 | None = None


def read(page: PageRequest, model: type[Model]) -> Model:
    """The fields of the form. Raises Invalid with the reason of each field that is wrong."""
    return from_form(model, {name: page.text(name) for name in model.model_fields})


def is_name(text: str) -> bool:
    """Whether this may be the name of a token or a key."""
    return 0 < len(text) <= CREDENTIAL_NAME_LENGTH and text.isprintable()
