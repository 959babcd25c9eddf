# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies and parameters: shared pieces, hosts, and changes. Bodies are strict: an unknown field is an error."""

from typing import Annotated, Any, Literal

from fastapi import Header, Query
from pydantic import BaseModel, ConfigDict, Field

from ddnsd.registry.inputs import (
    ID_DIGITS,
    AliasTarget,
    Comment,
    FullName,
    Ipv4s,
    Ipv6s,
    Labels,
    Records,
    RelatedNames,
    Stack,
    Text,
    Ttl,
    UserName,
)


def _tidy(schema: dict[str, Any]) -> None:
    """Remove defaults of null: `required` already says which fields may be absent."""
    for field in schema.get("properties", {}).values():
        if field.get("default", ...) is None:
            del field["default"]


class Body(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_tidy)


class Shown(BaseModel):
    """The body of an answer. It is only for the OpenAPI description: answers are built without it."""

    model_config = ConfigDict(extra="forbid")


def unset(**schema: Any) -> Any:
    """A field that may be absent, but not null. An absent field changes nothing."""
    return Field(default=None, **schema)


LeaseId = Annotated[
    str | None, Header(alias="Stack-Lease", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The id of your lease.")
]
Secret = Annotated[str, Field(description="It is shown only once.")]
Warnings = Annotated[
    list[str],
    Field(description="Names for which the wildcard does not answer, because a host below them is registered."),
]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Page(BaseModel):
    """The parameters of every list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=10_000, description="Maximum number of items in a page.")
    cursor: Annotated[str, Field(pattern=rf"^[0-9]{{1,{ID_DIGITS}}}$")] | None = Field(
        None, description="`next` of the previous page."
    )

    @property
    def after(self) -> int:
        """The id after which the page begins, for a list with the oldest item first."""
        return int(self.cursor or 0)

    @property
    def before(self) -> int | None:
        """The id before which the page begins, for a list with the newest item first."""
        return None if self.cursor is None else int(self.cursor)


Paging = Annotated[Page, Query()]
Next = Annotated[str | None, Field(description="`cursor` of the next page; null at the end.")]


MOST = 10_000
"""Maximum number of changes in one call."""


class Expected(Body):
    """Expected current values. If one of them differs, the change fails."""

    ipv4: Ipv4s | None = None
    ipv6: Ipv6s | None = None
    alias: AliasTarget | None = None
    wildcard: bool = unset()
    comment: Comment | None = None
    ttl: Ttl | None = None
    stack: Stack | None = None
    protect: bool = unset()
    ptr: bool = unset()
    labels: Labels | None = None
    records: Records = unset()
    related: RelatedNames = unset()
    available: bool = unset()
    owner: UserName = unset()


class ChangeError(Shown):
    """Why a change failed."""

    title: str
    status: int = Field(
        description="The status that a single call with this change would have; 424: another change of the call failed."
    )
    detail: str
    errors: dict[str, list[str]] | None = None


class TsigKeyOut(Shown):
    """The TSIG key that belongs to a new secret. It is not shown again."""

    name: str
    algorithm: str
    secret: Secret


class RemovedRecord(Shown):
    """A record that goes with a host, in addition to its addresses."""

    fqdn: str
    type: str


class ChangeResult(Shown):
    """The result of a change."""

    fqdn: str
    status: Literal["applied", "pending", "unchanged", "failed"]
    secret: Secret | None = None
    tsig: TsigKeyOut | None = Field(None, description="Beside a secret. Absent without a port for DNS UPDATE.")
    warnings: Warnings | None = None
    removes: list[RemovedRecord] | None = Field(
        None, description="With `dry_run`: the other records and the related names that a deletion removes."
    )
    error: ChangeError | None = None


class Results(Shown):
    """The result of each change, in order."""

    results: list[ChangeResult]


_OBJECT = {"type": "object", "additionalProperties": True}
_ITEM: dict[str, Any] = {
    "type": "object",
    "required": ["action", "fqdn"],
    "additionalProperties": False,
    "properties": {
        "action": {"type": "string", "enum": ["create", "update", "delete", "rotate"]},
        "fqdn": {"type": "string", "minLength": 1, "maxLength": 254},
        "set": _OBJECT | {"description": "create: the fields of POST /api/hosts; update: those of PATCH."},
        "if": _OBJECT
        | {"description": "Expected current values. If one of them differs, the change fails. Not for create."},
    },
}
REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["changes"],
    "additionalProperties": False,
    "properties": {
        "atomic": {"type": "boolean", "default": False, "description": "If one change fails, make none of them."},
        "changes": {"type": "array", "maxItems": MOST, "items": _ITEM},
    },
}
"""The schema of the body."""


PTR = "Whether its addresses have PTR records with its name, as far as their reverse zones allow it."


class HostCreate(Body):
    """A new host."""

    fqdn: FullName
    ipv4: Ipv4s | None = None
    ipv6: Ipv6s | None = None
    alias: AliasTarget | None = None
    wildcard: bool = Field(False, description="Whether every name below it also gets its addresses.")
    comment: Comment | None = None
    ttl: Ttl | None = None
    stack: Stack | None = None
    protect: bool = Field(False, description="Whether to refuse its deletion, until this is false again.")
    ptr: bool = Field(False, description=PTR)
    labels: Labels | None = None
    records: Records = unset()
    related: RelatedNames = unset()


class HostPatch(Body):
    """The fields to change. An absent field keeps its value."""

    fqdn: FullName = unset(description="A new name.")
    ipv4: Ipv4s | None = None
    ipv6: Ipv6s | None = None
    alias: AliasTarget | None = None
    wildcard: bool = unset()
    comment: Comment | None = None
    ttl: Ttl | None = None
    stack: Stack | None = None
    protect: bool = unset(description="Whether to refuse its deletion, until this is false again.")
    ptr: bool = unset(description=PTR)
    labels: Labels | None = None
    records: Records = unset()
    related: RelatedNames = unset()
    available: bool = unset(description="Whether updates are accepted.")
    abuse_blocked: bool = unset(
        description="A block removes the records from DNS. If you remove the block, the flag is removed, too."
    )
    block_reason: Comment | None = Field(None, description="Why the host is blocked. Its owner can read it.")
    quarantined: bool = unset(
        description="true: block the host, and give its names the addresses that the operator has configured. false: "
        "the host stays blocked, without records."
    )
    owner: UserName = unset(description="The new owner.")
    secrets: Literal["keep", "replace"] = unset(
        description="Only with a new owner. replace (default): the host's secret and the former owner's keys stop "
        "working, and the new owner must create a new secret. keep: they continue to work."
    )


class RRsetOut(Shown):
    """An RRset of a host, in `records`."""

    values: list[str] = Field(description="In presentation format, canonical and sorted.")
    ttl: int | None
    conflict: str | None = Field(description="Why the RRset is not in DNS, although the host is.")


class HostOut(Shown):
    """A host."""

    fqdn: str
    name: str = Field(description="The part of `fqdn` before the domain.")
    domain: str
    owner: str
    ipv4: str | list[str] | None = Field(description="An address, or a list of several.")
    ipv6: str | list[str] | None
    alias: str | None = Field(description="The name that it is an alias of.")
    wildcard: bool
    comment: str | None
    ttl: int | None = Field(description="Seconds; null: the domain's TTL.")
    stack: str | None
    protect: bool = Field(description="Whether its deletion is refused.")
    ptr: bool = Field(description=PTR)
    labels: dict[str, str]
    available: bool = Field(description="Whether updates are accepted.")
    abuse: bool = Field(description="Whether a rule of the service has flagged the host.")
    abuse_blocked: bool = Field(description="Whether the host is blocked for abuse, so its records are not in DNS.")
    block_reason: str | None = Field(description="Why the host is blocked, if a reason was given.")
    blocked_by_domain: bool = Field(description="Whether the owner of its domain has blocked it, and may unblock it.")
    quarantined: bool = Field(description="Whether it is blocked, and its names have the operator's addresses.")
    client_faults: int = Field(description="Update requests for the host that had an error of the client.")
    server_faults: int = Field(description="Update requests that were late because of the name server.")
    updated_ipv4: Moment | None
    tls_ipv4: bool = Field(description="Whether the last update came over TLS.")
    updated_ipv6: Moment | None
    tls_ipv6: bool
    created: Moment
    dns: Literal["current", "pending", "conflict"] = Field(
        description="current: DNS has these values; pending: DNS has not confirmed them yet; conflict: a foreign "
        "record has the name or hides it."
    )
    conflict: str | None = Field(description="The foreign record that has the name or hides it.")
    rrsets: int = Field(description="The number of its RRsets other than addresses.")
    records: dict[str, RRsetOut] | None = Field(
        None, description="These RRsets by `NAME TYPE`; in lists only with the parameter `records`."
    )
    related: dict[str, str] | None = Field(
        None, description="Interface ids of its related names by label; in lists only with the parameter `records`."
    )


class PointerOut(Shown):
    """The reverse name of an address."""

    address: str
    name: str | None = Field(description="In its reverse zone; null if the service has no zone for the address.")
    state: Literal["published", "waiting", "taken", "not_allowed", "no_zone"] = Field(
        description="published: DNS has the PTR record; waiting: DNS has not confirmed it yet; taken: the address "
        "belongs to another host, or a foreign record has the name; not_allowed: the reverse zone does not take it."
    )
    reason: str | None = Field(description="Why it is not published, as a sentence.")


class HostDetailOut(HostOut):
    """A host, with warnings for its owner."""

    warnings: Warnings
    flapping_since: Moment | None = Field(
        description="Since when several clients set different addresses in turn; null if they do not."
    )
    pointers: list[PointerOut] = Field(description="With `ptr`: the reverse names of its addresses.")


class NewHostOut(HostDetailOut):
    """A new host, with its secret."""

    secret: Secret
    tsig: TsigKeyOut | None = Field(None, description="Absent without a port for DNS UPDATE.")


class HostPage(Shown):
    """A page of hosts."""

    items: list[HostOut]
    next: Next


class HostQuery(Page):
    """The parameters of the list."""

    model_config = ConfigDict(extra="forbid")

    domain: Text | None = None
    stack: Text | None = None
    owner: Text | None = Field(None, description="A user's name.")
    fqdn: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,254}$")]] | None = Field(
        None, description="A full name. Repeat it for several hosts; the whole head of a request has at most 16 KiB."
    )
    records: Annotated[
        Literal["true", "false"] | None,
        Field(description="true: with `records`, the RRsets other than addresses, and with `related`."),
    ] = None
    silent_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="Only hosts that sent no request for so many days, changed or unchanged; "
        "a host without any request counts from its registration.",
    )
