# SPDX-License-Identifier: GPL-3.0-or-later
"""What callers send, validated once: the API's bodies and the portal's forms use these field types.

A type checks and returns the value as the registry takes it: folded names, canonical addresses and networks, numbers.
`from_form` validates the texts of a form with a model of these types.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

from ddnsd.db import queries
from ddnsd.registry import host_columns, names
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.token_scope import network

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

TTL_LEAST, TTL_MOST = 1, 86_400
COMMENT_LENGTH = host_columns.COMMENT_LENGTH
TEXT_LENGTH = 255
LONG_TEXT_LENGTH = 1000
USER_NAME_LENGTH = 150
GROUP_LENGTH = 255
CREDENTIAL_NAME_LENGTH = 100
KEY_HOSTS = 1000
TOKEN_LIMITS = 100
"""Patterns or networks of a token."""

ID_DIGITS = 18
"""Digits of an id or a cursor; more do not fit into a column."""

LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

RULE = "rule"
"""The type of errors that a rule of the registry raises, and not the schema."""


# ---- numbers


def row_id(text: str) -> int:
    """The id that a path, a query or a form holds as text; 0 for a text that is none, which no row has."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= ID_DIGITS else 0


def _whole(value: object) -> object:
    """An integer from JSON, which has one kind of numbers (60.0 is 60), or the digits of a form."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise PydanticKnownError("int_parsing")
    return value


Whole = BeforeValidator(_whole)
RowId = Annotated[int, BeforeValidator(row_id), WithJsonSchema({"type": "string"})]
Ttl = Annotated[int, Field(ge=TTL_LEAST, le=TTL_MOST, description="Seconds."), Whole]


# ---- names and texts


FullName = Annotated[str, Field(max_length=254, pattern=rf"^{LABEL}(\.{LABEL})+\.?$"), AfterValidator(names.fold)]
UserName = Annotated[str, Field(min_length=1, max_length=USER_NAME_LENGTH, pattern=PRINTABLE)]
NewUserName = Annotated[str, Field(max_length=USER_NAME_LENGTH, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$")]
CredentialName = Annotated[str, Field(min_length=1, max_length=CREDENTIAL_NAME_LENGTH, pattern=PRINTABLE)]
Comment = Annotated[str, Field(max_length=COMMENT_LENGTH, pattern=PRINTABLE)]
Text = Annotated[str, Field(max_length=TEXT_LENGTH, pattern=PRINTABLE)]
LongText = Annotated[str, Field(min_length=1, max_length=LONG_TEXT_LENGTH, pattern=PRINTABLE)]
Group = Annotated[
    str, Field(min_length=1, max_length=GROUP_LENGTH, pattern=PRINTABLE, description="Whose members may use it.")
]
Stack = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Who declared it.")]
Labels = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=63, pattern=PRINTABLE)],
        Annotated[str, Field(max_length=255, pattern=PRINTABLE)],
    ],
    Field(max_length=16),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 16,
            "propertyNames": {"minLength": 1, "maxLength": 63, "pattern": PRINTABLE},
            "additionalProperties": {"type": "string", "maxLength": 255, "pattern": PRINTABLE},
        }
    ),
]


# ---- addresses


def _rule(check: Callable[[Any], T]) -> Callable[[Any], T]:
    """The check as a validator: a reason of the registry becomes an error of the field."""

    def validate(value: Any) -> T:
        try:
            return check(value)
        except Invalid as error:
            (reason,) = error.fields.values()
            raise PydanticCustomError(RULE, "{reason}", {"reason": reason}) from None

    return validate


Ipv4 = Annotated[
    str,
    Field(max_length=15, json_schema_extra={"format": "ipv4"}),
    AfterValidator(_rule(lambda text: host_columns.address("ipv4", text))),
]
InterfaceId = Annotated[str, Field(max_length=45, json_schema_extra={"format": "ipv6"})]
Ipv6 = Annotated[InterfaceId, AfterValidator(_rule(lambda text: host_columns.address("ipv6", text)))]
Primary = Annotated[
    str,
    Field(
        max_length=260,
        pattern=r"^(\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]+|[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*)(:[0-9]{1,5})?$",
        description="ADDRESS[:PORT] of the name server that takes its updates.",
    ),
]


# ---- tokens


def _networks(texts: Sequence[str]) -> list[str]:
    return [network(text) for text in texts]


def _expiry(value: object) -> int:
    """A moment of RFC 3339 in the future, in microseconds since the epoch. Raises Invalid."""
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    try:
        moment = datetime.fromisoformat(value)
        microseconds = round(moment.astimezone(UTC).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        moment, microseconds = datetime.min, 0
    if moment.tzinfo is None:
        raise Invalid(expires=Reason(Code.EXPIRY_INVALID, value=value))
    if microseconds <= queries.now():
        raise Invalid(expires=Reason(Code.EXPIRY_PAST, value=value))
    return microseconds


TokenRight = Literal["read", "write", "admin"]
TokenRights = Annotated[list[TokenRight], Field(min_length=1, max_length=3)]
Pattern = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9.*?-]+$")]
Patterns = Annotated[
    list[Pattern], Field(max_length=TOKEN_LIMITS, description="Only names that match, such as *.example.org.")
]
Network = Annotated[str, Field(max_length=49)]
Networks = Annotated[
    list[Network],
    Field(max_length=TOKEN_LIMITS, description="Only callers from there: 192.0.2.0/24."),
    AfterValidator(_rule(_networks)),
]
Expiry = Annotated[int, BeforeValidator(_rule(_expiry)), WithJsonSchema({"type": "string", "format": "date-time"})]
KeyHosts = Annotated[list[FullName], Field(min_length=1, max_length=KEY_HOSTS)]


# ---- forms


def from_form(model: type[Model], texts: Mapping[str, str | Sequence[str]]) -> Model:
    """The model. Raises Invalid with the reason of each field that it does not accept.

    `texts` are a form's fields; the value of a field that may come several times is a list. A field that is empty
    counts as absent.
    """
    given = {name: value.strip() if isinstance(value, str) else list(value) for name, value in texts.items()}
    try:
        return model.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise Invalid(**_reasons(error)) from None


def _reasons(error: ValidationError) -> dict[str, Reason]:
    """The first reason of each field, by the field's name."""
    found: dict[str, Reason] = {}
    for part in error.errors(include_url=False, include_input=False):
        found.setdefault(str(part["loc"][0]), _reason(part["type"], part.get("ctx", {}), part["msg"]))
    return found


def _reason(kind: str, context: Mapping[str, Any], text: str) -> Reason:
    """The reason for an error of the schema: pydantic's type of the error, its values and its English text."""
    match kind:
        case "rule":
            reason: Reason = context["reason"]
            return reason
        case "string_too_long":
            return Reason(Code.TEXT_TOO_LONG, limit=context["max_length"])
        case "int_parsing" | "int_parsing_size" | "greater_than_equal" | "less_than_equal":
            return Reason(Code.TTL_OUT_OF_RANGE, least=TTL_LEAST, most=TTL_MOST)  # forms have no other numbers
        case "missing":
            return Reason(Code.NAME_MISSING)  # nothing else is required
        case "string_pattern_mismatch":
            return Reason(Code.NOT_PRINTABLE)  # names have reasons of their own, from `names.problem`
    return Reason(Code.SCHEMA, text=text)
