# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller of a request, with any kind of credentials."""

from enum import Enum
from typing import NamedTuple

from ddnsd.db.rows import Host


class Kind(Enum):
    """The kind of credentials, which also tells the habits of the client."""

    HOST = "host"
    KEY = "key"
    DEVICE = "device"
    USER = "user"


class Caller(NamedTuple):
    """`hosts` are those of the credentials (Basic); a user's rights follow from `user_id` and the token's limits.

    A device of a fleet has no host before it is registered. `admin`: also objects of other users. `token_id` is set for
    a token of the database. `credential_name` is the name of the key, token or fleet. `stacks` are patterns of names;
    `given` are names of hosts that other stacks give to these. No token that the caller creates may outlive `expires`,
    in microseconds since the epoch.
    """

    kind: Kind
    name: str
    user_id: int
    user: str = ""
    hosts: tuple[Host, ...] = ()
    scopes: frozenset[str] = frozenset()
    domains: tuple[str, ...] = ()
    host_patterns: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    admin: bool = False
    token_id: int | None = None
    credential_name: str | None = None
    expires: int | None = None


class SignInError(Exception):
    """Sign-in failed.

    NoCredentials   none, malformed, or of another scheme; not counted as a failure
    BadCredentials  unknown or wrong
    NotFqdn         a user name that is neither a host's nor a key's
    """


class NoCredentials(SignInError):
    """no credentials"""


class BadCredentials(SignInError):
    """bad credentials; `host_id` is the host of a right name with a wrong secret

    `known` tells whether a host or key has the name.
    """

    def __init__(self, host_id: int | None = None, *, known: bool = False) -> None:
        super().__init__()
        self.host_id, self.known = host_id, known or host_id is not None


class NotFqdn(SignInError):
    """the user name is not a full name"""
