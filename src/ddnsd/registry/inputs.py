# SPDX-License-Identifier: GPL-3.0-or-later
"""Field types that validate inputs, both in bodies of the API and in forms of the portal.

A type checks a value, and returns it as the registry needs it: folded names, canonical addresses and networks, numbers.
A resource that API and portal create from the same fields has one model here. `from_form` validates a form.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from ddnsd.db import queries
from ddnsd.registry import host_columns, names
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.record_sets import LENGTH, MOST
from ddnsd.registry.related_labels import MOST as MOST_RELATED
from ddnsd.registry.token_scope import TokenScope, network
from ddnsd.registry.webhook_messages import TYPES, MessageType

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

TTL_LEAST, TTL_MOST = 1, 86_400
COMMENT_LENGTH = host_columns.COMMENT_LENGTH
TEXT_LENGTH = 255
LONG_TEXT_LENGTH = 1000
LINES_LENGTH = 4000
USER_NAME_LENGTH = 150
GROUP_LENGTH = 255
CREDENTIAL_NAME_LENGTH = 100
KEY_HOSTS = 1000
TOKEN_LIMITS = 100
"""Maximum number of patterns or networks of a token."""

KEY_LENGTH = 300
"""Maximum number of characters of a key of `records`."""

ID_DIGITS = 18
"""Maximum digits of an id or a cursor; more do not fit into a column."""

LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"
LINES = r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$"
FULL_NAME = rf"^{LABEL}(\.{LABEL})+\.?$"
NAME_PATTERN = r"^[a-z0-9.*?-]+$"
STACK_PATTERN = r"^[A-Za-z0-9._*?-]+$"

RULE = "rule"
"""The type of errors from a rule of the registry, not from the schema."""


# ---- numbers


def row_id(text: str) -> int:
    """The id in a path, a query or a form; 0, which no row has, for a text that is not an id."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= ID_DIGITS else 0


def _whole(value: object) -> object:
    """An integer from JSON, where 60.0 is also 60, or from the digits in a form."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise PydanticKnownError("int_parsing")
    return value


Whole = BeforeValidator(_whole)
RowId = Annotated[int, BeforeValidator(row_id), WithJsonSchema({"type": "string"})]
Ttl = Annotated[int, Field(ge=TTL_LEAST, le=TTL_MOST, description="Seconds."), Whole]


# ---- names and texts


FullName = Annotated[str, Field(max_length=254, pattern=FULL_NAME), AfterValidator(names.fold)]
UserName = Annotated[str, Field(min_length=1, max_length=USER_NAME_LENGTH, pattern=PRINTABLE)]
NewUserName = Annotated[str, Field(max_length=USER_NAME_LENGTH, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$")]
CredentialName = Annotated[str, Field(min_length=1, max_length=CREDENTIAL_NAME_LENGTH, pattern=PRINTABLE)]
Comment = Annotated[str, Field(max_length=COMMENT_LENGTH, pattern=PRINTABLE)]
Text = Annotated[str, Field(max_length=TEXT_LENGTH, pattern=PRINTABLE)]
LongText = Annotated[str, Field(min_length=1, max_length=LONG_TEXT_LENGTH, pattern=PRINTABLE)]
Lines = Annotated[str, Field(max_length=LINES_LENGTH, pattern=LINES)]
Group = Annotated[
    str,
    Field(
        min_length=1,
        max_length=GROUP_LENGTH,
        pattern=PRINTABLE,
        description="Members of this group may register hosts in it.",
    ),
]
Stack = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="The stack (declaration) that it belongs to.",
    ),
]
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


def by_full_name(values: Any, most: int, description: str) -> dict[str, Any]:
    """The JSON schema of an object whose keys are full names: pydantic's own allows all other keys as well."""
    return {
        "type": "object",
        "maxProperties": most,
        "propertyNames": TypeAdapter(FullName).json_schema(),
        "additionalProperties": TypeAdapter(values).json_schema(),
        "description": description,
    }


def lines_of_text(field: str, text: str, limit: int) -> str:
    """A required text of several lines, without blanks around it. Raises Invalid for the field."""
    stripped = text.strip()
    if not stripped or len(stripped) > limit:
        raise Invalid(**{field: Reason(Code.TEXT_LENGTH, limit=limit)})
    if any(not (c.isprintable() or c == "\n") for c in stripped):
        raise Invalid(**{field: Reason(Code.NOT_PRINTABLE)})
    return stripped


# ---- addresses


def _rule(check: Callable[[Any], T]) -> Callable[[Any], T]:
    """Make a validator from the check. A reason of the registry becomes an error of the field."""

    def validate(value: Any) -> T:
        try:
            return check(value)
        except Invalid as error:
            (reason,) = error.fields.values()
            raise PydanticCustomError(RULE, "{reason}", {"reason": reason}) from None

    return validate


InterfaceId = Annotated[str, Field(max_length=45, json_schema_extra={"format": "ipv6"})]


def split(text: str) -> list[str]:
    """The elements of a list with commas or blanks."""
    return text.replace(",", " ").split()


def _addresses(field: str) -> Callable[[Any], str]:
    """A validator for one address, or a list of them. It returns them as a host's column has them."""

    def check(value: Any) -> str:
        given = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) and len(text) <= 45 for text in given):
            raise PydanticKnownError("string_type")
        return host_columns.addresses(field, given)

    return _rule(check)


def _addresses_schema(family: str) -> dict[str, Any]:
    one = {"type": "string", "format": family, "maxLength": 45}
    several = {"type": "array", "minItems": 1, "maxItems": host_columns.MOST_ADDRESSES, "items": one}
    said = "An address; or a list of them, which updates do not change."
    return {"anyOf": [one, several], "description": said}


Ipv4s = Annotated[str, BeforeValidator(_addresses("ipv4")), WithJsonSchema(_addresses_schema("ipv4"))]
Ipv6s = Annotated[str, BeforeValidator(_addresses("ipv6")), WithJsonSchema(_addresses_schema("ipv6"))]
Ipv4List = Annotated[str, AfterValidator(_rule(lambda text: host_columns.addresses("ipv4", split(text))))]
"""IPv4 addresses in a form, separated by commas or blanks."""

Ipv6List = Annotated[str, AfterValidator(_rule(lambda text: host_columns.addresses("ipv6", split(text))))]
AliasTarget = Annotated[
    str,
    Field(
        max_length=host_columns.ALIAS_LENGTH,
        description="The full name, with a dot at its end, that the host is an alias of (CNAME record). An alias has "
        "no addresses, no wildcard, no records and no related names, and updates do not change it.",
    ),
    AfterValidator(_rule(host_columns.alias)),
]
RelatedNames = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=63, pattern=PRINTABLE)],
        InterfaceId | None,
    ],
    Field(max_length=2 * MOST_RELATED),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 2 * MOST_RELATED,
            "propertyNames": {"minLength": 1, "maxLength": 63, "pattern": PRINTABLE},
            "additionalProperties": {
                "anyOf": [{"type": "string", "format": "ipv6", "maxLength": 45}, {"type": "null"}]
            },
            "description": "Interface ids by label, such as nas: ::7. The name LABEL below the host follows its IPv6 "
            "network with this interface id. null: no such name. Others stay as they are.",
        }
    ),
]
Primary = Annotated[
    str,
    Field(
        max_length=260,
        pattern=r"^(\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]+|[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*)(:[0-9]{1,5})?$",
        description="ADDRESS[:PORT] of the primary name server, which accepts its updates.",
    ),
]


# ---- RRsets


Value = Annotated[str, Field(min_length=1, max_length=LENGTH, pattern=PRINTABLE)]


class RRsetInput(BaseModel):
    """The content of an RRset."""

    model_config = ConfigDict(extra="forbid", strict=True)

    values: Annotated[
        list[Value],
        Field(
            min_length=1,
            max_length=MOST,
            description="In presentation format. A TXT value is literal text unless it begins with a quotation mark.",
        ),
    ]
    ttl: Ttl | None = Field(None, description="Seconds; null or absent: the host's TTL.")


class RRsetChange(BaseModel):
    """Values to add to an RRset and to remove from it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    add: Annotated[list[Value], Field(max_length=MOST, description="Values to add, in presentation format.")] = []
    remove: Annotated[
        list[Value],
        Field(max_length=MOST, description="Values to remove first. Those that are not there are ignored."),
    ] = []
    ttl: Ttl | None = Field(None, description="Seconds; null: the host's TTL. Absent: the RRset keeps its own.")


def _rrset(value: object) -> object:
    return {"values": value} if isinstance(value, list) else value


RRSET_SCHEMA: dict[str, Any] = {
    "anyOf": [RRsetInput.model_json_schema(), RRsetInput.model_json_schema()["properties"]["values"]]
}
Records = Annotated[
    dict[
        Annotated[str, Field(max_length=KEY_LENGTH, pattern=PRINTABLE)],
        Annotated[RRsetInput | None, BeforeValidator(_rrset)],
    ],
    Field(max_length=4 * MOST),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 4 * MOST,
            "propertyNames": {"maxLength": KEY_LENGTH, "pattern": PRINTABLE},
            "additionalProperties": {"anyOf": [*RRSET_SCHEMA["anyOf"], {"type": "null"}]},
            "description": "RRsets other than addresses, by `NAME TYPE`, such as `_443._tcp TLSA`; `TYPE` alone is at "
            "the host's own name. Each RRset is complete: its values, or an object with `values` and `ttl`. null: no "
            "such RRset. Others stay as they are.",
        }
    ),
]


# ---- tokens and keys


def _networks(texts: Sequence[str]) -> list[str]:
    return [network(text) for text in texts]


def _expiry(value: object) -> int:
    """A future time in RFC 3339, as microseconds since the epoch. Raises Invalid."""
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
Pattern = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN)]
Patterns = Annotated[
    list[Pattern], Field(max_length=TOKEN_LIMITS, description="Only names that match, such as *.example.org.")
]
StackPattern = Annotated[str, Field(min_length=1, max_length=63, pattern=STACK_PATTERN)]
StackPatterns = Annotated[
    list[StackPattern], Field(max_length=TOKEN_LIMITS, description="Only stacks that match, such as web-*.")
]
Network = Annotated[str, Field(max_length=49)]
Networks = Annotated[
    list[Network],
    Field(max_length=TOKEN_LIMITS, description="Only callers from these networks, such as 192.0.2.0/24."),
    AfterValidator(_rule(_networks)),
]
Expiry = Annotated[int, BeforeValidator(_rule(_expiry)), WithJsonSchema({"type": "string", "format": "date-time"})]
KeyHosts = Annotated[list[FullName], Field(min_length=1, max_length=KEY_HOSTS)]


class TokenInput(BaseModel):
    """A new token, without its end."""

    name: CredentialName
    scopes: TokenRights
    domains: Patterns = Field([])
    hosts: Patterns = Field([])
    stacks: StackPatterns = Field([])
    networks: Networks = Field([])

    def scope(self, expires: int | None) -> TokenScope:
        """What the token may do, until `expires` in microseconds since the epoch; None: without an end."""
        scopes = tuple(dict.fromkeys(self.scopes))
        domains, hosts, networks, stacks = map(tuple, (self.domains, self.hosts, self.networks, self.stacks))
        return TokenScope(scopes, domains, hosts, networks, expires, stacks)


DHCP_DOMAINS = 100
"""Maximum number of domains of a DHCP key."""


class KeyInput(BaseModel):
    """A new key."""

    name: CredentialName
    hosts: KeyHosts
    stack: Stack | None = None


class DhcpKeyInput(BaseModel):
    """A new key of DHCP servers."""

    name: Annotated[str, Field(min_length=1, max_length=63, description="The name of the TSIG key.")]
    domains: Annotated[
        list[FullName],
        Field(min_length=1, max_length=DHCP_DOMAINS, description="The domains that it may change. You must own them."),
    ]


WEBHOOK_LIMITS = 100
"""Maximum number of domains, and of patterns of hosts, of a webhook."""


def _target(text: str) -> str:
    """The URL of a target. A user and a password in it would be stored in clear. Raises Invalid."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username is not None or parts.fragment:
        raise Invalid(url=Reason(Code.WEBHOOK_URL))
    return text


WebhookUrl = Annotated[
    str,
    Field(min_length=1, max_length=2000, pattern=r"^[\x21-\x7e]*$", description="https://…"),
    AfterValidator(_rule(_target)),
]
WebhookTypes = Annotated[
    list[MessageType],
    Field(min_length=1, max_length=len(TYPES), description="What it tells."),
]
WebhookDomains = Annotated[
    list[FullName], Field(max_length=WEBHOOK_LIMITS, description="Only about names in these domains. Empty: all.")
]
WebhookHosts = Annotated[
    list[Annotated[str, Field(max_length=253, pattern=NAME_PATTERN)]],
    Field(max_length=WEBHOOK_LIMITS, description="Only about hosts that match one of these patterns. Empty: all."),
]
SilentDays = Annotated[
    int, Field(ge=1, le=365, description="After so many days without a request, a host is silent."), Whole
]
AllOwners = Annotated[bool, Field(description="About hosts of all users, not only your own. For administrators.")]


class WebhookInput(BaseModel):
    """A new webhook."""

    name: CredentialName
    url: WebhookUrl
    types: WebhookTypes
    domains: WebhookDomains = Field([])
    hosts: WebhookHosts = Field([])
    all_owners: AllOwners = False
    silent_days: SilentDays = 7


# ---- forms


def from_form(model: type[Model], texts: Mapping[str, str | Sequence[str]]) -> Model:
    """Validate a form with the model. Raises Invalid with the reason for each field that is not valid.

    `texts` are the form's fields. The value of a field that may occur several times is a list. An empty field counts as
    absent.
    """
    given = {name: _stripped(value) for name, value in texts.items()}
    try:
        return model.model_validate({name: value for name, value in given.items() if value != ""})
    except ValidationError as error:
        raise Invalid(**_reasons(error)) from None


def _stripped(value: str | Sequence[str]) -> str | list[str]:
    return value.strip() if isinstance(value, str) else [text.strip() for text in value if text.strip()]


def _reasons(error: ValidationError) -> dict[str, Reason]:
    """The first reason for each field, by the field's name."""
    found: dict[str, Reason] = {}
    for part in error.errors(include_url=False):
        found.setdefault(str(part["loc"][0]), _reason(part["type"], part.get("ctx", {}), part["input"], part["msg"]))
    return found


def _reason(kind: str, context: Mapping[str, Any], value: object, text: str) -> Reason:
    """The reason for an error of the schema, from pydantic's type, values, input and English text of the error."""
    match kind:
        case "rule":
            reason: Reason = context["reason"]
            return reason
        case "string_too_long":
            return Reason(Code.TEXT_TOO_LONG, limit=context["max_length"])
        case "int_parsing" | "int_parsing_size" | "greater_than_equal" | "less_than_equal":
            return Reason(Code.TTL_OUT_OF_RANGE, least=TTL_LEAST, most=TTL_MOST)  # forms have no other numbers
        case "missing":
            return Reason(Code.NAME_MISSING)  # no other field is required
        case "too_short":
            return Reason(Code.LIST_EMPTY)
        case "too_long":
            return Reason(Code.LIST_TOO_LONG, limit=context["max_length"])
        case "literal_error":
            return Reason(Code.NOT_A_CHOICE, choices=context["expected"])
        case "string_pattern_mismatch":
            return _mismatch(context["pattern"], str(value))
    return Reason(Code.SCHEMA, text=text)


def _mismatch(pattern: str, value: str) -> Reason:
    """The reason for a text that does not match the pattern of its type."""
    if pattern == FULL_NAME:
        return Reason(Code.NAME_INVALID, name=value)
    if pattern in (NAME_PATTERN, STACK_PATTERN):
        return Reason(Code.NAME_PATTERN_INVALID, pattern=value)
    return Reason(Code.NOT_PRINTABLE)
