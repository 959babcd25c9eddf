# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of the schema that several resources share. Bodies are strict: an unknown field is an error."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from ddnsd.registry.inputs import ID_DIGITS


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


def unset(**schema: Any) -> Any:
    """A field that may be absent, which then leaves alone what there is, but not null."""
    return Field(default=None, **schema)


Secret = Annotated[str, Field(description="Shown this once.")]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Page(BaseModel):
    """The parameters of every list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=10_000, description="Items in a page at most.")
    cursor: Annotated[str, Field(pattern=rf"^[0-9]{{1,{ID_DIGITS}}}$")] | None = Field(
        None, description="`next` of the page before."
    )

    @property
    def after(self) -> int:
        """The id after which the page begins, of a list by age."""
        return int(self.cursor or 0)

    @property
    def before(self) -> int | None:
        """The id before which the page begins, of a list with the newest item first."""
        return None if self.cursor is None else int(self.cursor)


Paging = Annotated[Page, Query()]
Next = Annotated[str | None, Field(description="`cursor` of the next page; null at the end.")]
