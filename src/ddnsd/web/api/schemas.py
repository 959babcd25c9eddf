# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of the schema that several resources share. Bodies are strict: an unknown field is an error."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"


def _tidy(schema: dict[str, Any]) -> None:
    """A default of null says that a field may be absent, which `required` says already."""
    for field in schema.get("properties", {}).values():
        if field.get("default", ...) is None:
            del field["default"]


class Body(BaseModel):
    """What a caller sends."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_tidy)


class Shown(BaseModel):
    """What the service answers; it describes and is never built for a list."""

    model_config = ConfigDict(extra="forbid")


def whole(value: Any) -> Any:
    """JSON has one kind of numbers: 60.0 is the integer 60."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def unset(**schema: Any) -> Any:
    """A field that may be absent, which then leaves alone what there is, but not null."""
    return Field(default=None, **schema)


Text = Annotated[str, Field(max_length=255, pattern=PRINTABLE)]
Username = Annotated[str, Field(min_length=1, max_length=150, pattern=PRINTABLE)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=PRINTABLE)]
FullName = Annotated[str, Field(max_length=254, pattern=rf"^{LABEL}(\.{LABEL})+\.?$")]
Ipv4 = Annotated[str, Field(max_length=15, json_schema_extra={"format": "ipv4"})]
Ipv6 = Annotated[str, Field(max_length=45, json_schema_extra={"format": "ipv6"})]
Comment = Annotated[str, Field(max_length=255, pattern=PRINTABLE)]
Ttl = Annotated[int, Field(ge=1, le=86400, description="Seconds."), BeforeValidator(whole)]
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
Secret = Annotated[str, Field(description="Shown this once.")]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Page(BaseModel):
    """The parameters of every list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=10_000, description="Items in a page at most.")
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = Field(
        None, description="`next` of the page before."
    )

    @property
    def after(self) -> int:
        """The id after which the page begins."""
        return int(self.cursor or 0)


Paging = Annotated[Page, Query()]
Next = Annotated[str | None, Field(description="`cursor` of the next page; null at the end.")]
