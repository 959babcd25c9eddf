# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as they are sent and shown."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from ddnsd.registry.inputs import Comment, FullName, Ipv4, Ipv6, Labels, Stack, Text, Ttl, UserName
from ddnsd.web.api.schemas import Body, Moment, Next, Page, Secret, Shown, unset


class HostCreate(Body):
    """A new host."""

    fqdn: FullName
    ipv4: Ipv4 | None = None
    ipv6: Ipv6 | None = None
    wildcard: bool = Field(False, description="Also every name below it.")
    comment: Comment | None = None
    ttl: Ttl | None = None
    stack: Stack | None = None
    labels: Labels | None = None


class HostPatch(Body):
    """What is to change; an absent field stays as it is."""

    fqdn: FullName = unset(description="A new name.")
    ipv4: Ipv4 | None = None
    ipv6: Ipv6 | None = None
    wildcard: bool = unset()
    comment: Comment | None = None
    ttl: Ttl | None = None
    stack: Stack | None = None
    labels: Labels | None = None
    available: bool = unset(description="Whether updates are accepted.")
    abuse_blocked: bool = unset(description="A block takes the records out of DNS; lifting it lifts the flag as well.")
    owner: UserName = unset(description="Whose it is from now on.")
    secrets: Literal["keep", "replace"] = unset(
        description="With a new owner. replace (unless given): the host's secret and the former owner's keys stop "
        "working, and the new owner makes a new secret. keep: they go on to work."
    )


class HostOut(Shown):
    """A host."""

    fqdn: str
    name: str = Field(description="`fqdn` within its domain.")
    domain: str
    owner: str
    ipv4: str | None
    ipv6: str | None
    wildcard: bool
    comment: str | None
    ttl: int | None = Field(description="Seconds; null: what the domain says.")
    stack: str | None
    labels: dict[str, str]
    available: bool = Field(description="Whether updates are accepted.")
    abuse: bool = Field(description="Flagged by a rule.")
    abuse_blocked: bool
    client_faults: int
    server_faults: int
    updated_ipv4: Moment | None
    tls_ipv4: bool = Field(description="Whether the last update came over TLS.")
    updated_ipv6: Moment | None
    tls_ipv6: bool
    created: Moment
    dns: Literal["current", "pending", "conflict"] = Field(
        description="current: DNS is known to hold this; pending: it follows; conflict: a foreign record has the name."
    )
    conflict: str | None = Field(description="The foreign record that has the name or hides it.")


class NewHostOut(HostOut):
    """A host that has just been registered."""

    secret: Secret


class HostPage(Shown):
    """A page of hosts."""

    items: list[HostOut]
    next: Next


class HostQuery(Page):
    """Which hosts."""

    model_config = ConfigDict(extra="forbid")

    domain: Text | None = None
    stack: Text | None = None
    owner: Text | None = Field(None, description="A user's name.")
    fqdn: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,254}$")]] | None = Field(
        None, description="One of these; repeatable, within 16 KiB for the whole head of the request."
    )
