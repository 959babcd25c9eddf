# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and change users, for administrators."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.auth.claims_age import ClaimsAge
from ddnsd.db import host_edits, paging, queries, quotas
from ddnsd.db import identities as stored
from ddnsd.db.base import Store
from ddnsd.db.rows import Identity, Token, User
from ddnsd.registry import account_removal, accounts, identities
from ddnsd.registry.account_removal import Removal
from ddnsd.registry.errors import NoUser
from ddnsd.registry.inputs import USER_NAME_LENGTH
from ddnsd.registry.rows import Page, page_of

Expect = Callable[[User, Sequence[str]], None]
"""Called with a user and the groups that administrators have assigned, just before a change; may raise."""

DOMAINS = 100
"""Maximum number of domains that `owned` returns."""

COUNTED = 1_000_000
"""Maximum number of hosts that `owned` counts."""

TOKENS = 100
"""Maximum number of tokens that `details` returns."""


class UserDetails(NamedTuple):
    """A user's groups, identities and tokens. Groups are assigned by administrators, or claimed by providers."""

    assigned_groups: list[str]
    claimed_groups: list[str]
    identities: list[Identity]
    tokens: list[Token]
    has_password: bool


class Owned(NamedTuple):
    """The names of domains that a user owns, and the numbers of their hosts, keys and tokens."""

    domains: list[str]
    hosts: int
    keys: int
    tokens: int


class Users:
    """Reads and changes users. The caller checks that an administrator asks."""

    def __init__(self, store: Store, claims_age: ClaimsAge | None = None) -> None:
        self._store, self._claims_age = store, claims_age or ClaimsAge()

    async def named(self, name: str) -> User | None:
        """The user of that name. Raises StoreDown."""
        return await self._store.read(lambda c: queries.user(c, name))

    async def get(self, name: str) -> User:
        """The user of that name. Raises NoUser, StoreDown."""
        user = await self.named(name) if name.isprintable() and len(name) <= USER_NAME_LENGTH else None
        if user is None:
            raise NoUser
        return user

    async def rights_end(self, user_id: int) -> int | None:
        """When rights that a provider stated end for the user's tokens, unless it states them again; None: never.

        Raises StoreDown.
        """
        return self._claims_age.end_of_token(await self._store.read(lambda c: queries.rights(c, user_id)))

    async def page(self, after: int, limit: int) -> Page[User]:
        """Users with an id above `after`. Raises StoreDown."""
        return page_of(await self._store.read(lambda c: paging.page_of_users(c, after, limit + 1)), limit)

    async def details(self, user_id: int) -> UserDetails:
        """The user's groups, identities and tokens. Raises StoreDown."""

        def work(connection: Connection) -> UserDetails:
            assigned = stored.groups_of(connection, user_id, given=True)
            return UserDetails(
                assigned,
                [group for group in stored.groups_of(connection, user_id) if group not in assigned],
                stored.identities_of(connection, user_id),
                paging.page_of_tokens(connection, user_id, 0, TOKENS),
                stored.has_password(connection, user_id),
            )

        return await self._store.read(work)

    async def add(self, name: str, *, admin: bool, actor: str, client_ip: str | None) -> User:
        """Create a user. Raises Invalid, Taken, StoreDown."""
        return await self._store.transact(
            lambda c: accounts.new_user(c, name, admin=admin, actor=actor, client_ip=client_ip)
        )

    async def change(
        self,
        name: str,
        values: Mapping[str, bool | str | None],
        groups: frozenset[str] | None = None,
        *,
        actor: str,
        client_ip: str | None,
        expect: Expect,
    ) -> User:
        """Change fields as `accounts.set_user` does, and the assigned groups if given.

        Raises Invalid, Stale, StoreDown, and what `expect` raises.
        """

        def work(connection: Connection) -> User:
            user = accounts.set_user(
                connection,
                name,
                values,
                actor=actor,
                client_ip=client_ip,
                expect=lambda user: expect(user, stored.groups_of(connection, user.id, given=True)),
            )
            if groups is not None:
                identities.set_groups(connection, name, groups, actor=actor, client_ip=client_ip)
            return user

        return await self._store.transact(work)

    async def owned(self, user_id: int) -> Owned:
        """What prevents or follows the deletion of the user. Raises StoreDown."""

        def work(connection: Connection) -> Owned:
            return Owned(
                host_edits.domains_of_user(connection, user_id, DOMAINS),
                quotas.hosts_of(connection, user_id, most=COUNTED),
                quotas.keys_of(connection, user_id),
                quotas.tokens_of(connection, user_id),
            )

        return await self._store.read(work)

    async def remove(self, removal: Removal) -> None:
        """Delete a user as `account_removal.step` does. Raises what it raises, and StoreDown."""
        while not await self._store.transact(lambda c: account_removal.step(c, removal)):
            pass
