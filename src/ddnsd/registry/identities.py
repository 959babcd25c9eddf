# SPDX-License-Identifier: GPL-3.0-or-later
"""Users as providers know them: who somebody is here, and what their claims give and take.

A claim gives groups and an administrator's rights, and takes away what itself has given. Somebody of whom nothing is
known becomes a new user under a name that nobody has; never do they become one who is there.
"""

from collections.abc import Mapping

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.db import host_edits, identities, queries, sessions
from ddnsd.db.base import Store
from ddnsd.db.identities import LinkedIdentity, Member, OidcIdentity
from ddnsd.db.rows import Identity, User
from ddnsd.registry import accounts
from ddnsd.registry.errors import Code, Invalid, NotAdmitted, Reason, Taken
from ddnsd.registry.inputs import GROUP_LENGTH

USE_MICROSECONDS = 3600 * 1_000_000
"""`last_used` of an identity is that exact where access tokens are concerned."""

NOT_AT_FIRST_CONTACT = ("admin", "administrator", "root")
"""Names that a person of this machine gives, if anybody."""

TRIES = 1000


class Identities:
    """What a session, or a request with an access token, needs; `passwords` says whether they sign anybody in."""

    def __init__(self, store: Store, *, passwords: bool = True) -> None:
        self._store, self._passwords = store, passwords

    async def of_user(self, user_id: int) -> list[Identity]:
        """A user's identities, the oldest first. Raises StoreDown."""
        return await self._store.read(lambda c: identities.identities_of(c, user_id))

    async def has_password(self, user_id: int) -> bool:
        """Whether the user has a password. Raises StoreDown."""
        return await self._store.read(lambda c: identities.has_password(c, user_id))

    async def set_password(self, name: str, hashed: str, *, actor: str, client_ip: str | None) -> None:
        """Keep the hash of a user's new password, and end all their sessions. Raises Invalid, StoreDown."""
        await self._store.transact(lambda c: set_password(c, name, hashed, actor=actor, client_ip=client_ip))

    async def recognise(self, somebody: OidcIdentity, *, create: bool, client_ip: str | None) -> Member | None:
        """The active user; None for nobody. Writes only what is new. Raises StoreDown."""
        found = await self._store.read(lambda c: identities.linked_identity(c, somebody.issuer, somebody.subject))
        if found is None or _differs(found, somebody) or queries.now() - found.last_used > USE_MICROSECONDS:
            try:
                return await self.admit(somebody, create=create, client_ip=client_ip)
            except NotAdmitted:
                return None
        return _member(found) if found.active else None

    async def admit(self, somebody: OidcIdentity, *, create: bool, client_ip: str | None) -> Member:
        """The user who signs in. Raises NotAdmitted, StoreDown."""
        try:
            return await self._store.transact(lambda c: admit(c, somebody, create=create, client_ip=client_ip))
        except Taken:  # another request was first
            return await self._store.transact(lambda c: admit(c, somebody, create=create, client_ip=client_ip))

    async def link(self, user_id: int, somebody: OidcIdentity, client_ip: str | None) -> None:
        """Give a user one more identity. Raises Taken, StoreDown."""
        await self._store.transact(lambda c: link(c, user_id, somebody, client_ip))

    async def unlink(
        self,
        user_id: int,
        identity_id: int,
        client_ip: str | None,
        *,
        methods: Mapping[str, str],
        keep: int | None = None,
    ) -> None:
        """Take an identity away, and end the sessions of its provider but the one to `keep`.

        `methods` are those of sessions, by their providers' issuers. Raises Invalid, StoreDown.
        """
        await self._store.transact(
            lambda c: unlink(c, user_id, identity_id, client_ip, methods, passwords=self._passwords, keep=keep)
        )


def admit(connection: Connection, somebody: OidcIdentity, *, create: bool, client_ip: str | None) -> Member:
    """The user whom the provider knows, created when nobody is and `create` allows it. Raises NotAdmitted."""
    found = identities.linked_identity(connection, somebody.issuer, somebody.subject)
    if found is None:
        if not create:
            raise NotAdmitted
        user = _new_user(connection, somebody.name, client_ip)
        _add(connection, user.id, user.name, somebody, client_ip)
        found = identities.linked_identity(connection, somebody.issuer, somebody.subject)
        assert found is not None
    if not found.active:
        raise NotAdmitted(Code.IDENTITY_INACTIVE)
    _apply(connection, found, somebody, client_ip)
    found = identities.linked_identity(connection, somebody.issuer, somebody.subject)
    assert found is not None
    return _member(found)


def link(connection: Connection, user_id: int, somebody: OidcIdentity, client_ip: str | None) -> None:
    """Give a user one more identity; nothing happens when it is theirs. Raises Taken."""
    found = identities.linked_identity(connection, somebody.issuer, somebody.subject)
    if found is not None and found.user_id != user_id:
        raise Taken(identity=Reason(Code.IDENTITY_TAKEN))
    if found is None:
        _add(connection, user_id, queries.user_name(connection, user_id), somebody, client_ip)
        found = identities.linked_identity(connection, somebody.issuer, somebody.subject)
        assert found is not None
    _apply(connection, found, somebody, client_ip)


def unlink(
    connection: Connection,
    user_id: int,
    identity_id: int,
    client_ip: str | None,
    methods: Mapping[str, str],
    *,
    passwords: bool,
    keep: int | None,
) -> None:
    """Take an identity away, with its groups and rights, unless it is the last way to sign in. Raises Invalid."""
    name = queries.user_name(connection, user_id)
    host_edits.locked_user(connection, name)
    held = identities.identities_of(connection, user_id)
    gone = next((identity for identity in held if identity.id == identity_id), None)
    if gone is None:
        raise Invalid(identity=Reason(Code.IDENTITY_MISSING))
    if len(held) == 1 and not (passwords and identities.has_password(connection, user_id)):
        raise Invalid(identity=Reason(Code.IDENTITY_IS_LAST))
    identities.delete_identity(connection, user_id, identity_id)
    if gone.issuer in methods:
        sessions.end_all(connection, user_id, but=keep, method=methods[gone.issuer])
    queries.add_event(
        connection, name, "identity.delete", name, client_ip, _shown(gone.issuer, gone.label), owner_id=user_id
    )


def set_groups(
    connection: Connection,
    name: str,
    groups: frozenset[str],
    *,
    actor: str = accounts.ACTOR,
    client_ip: str | None = None,
) -> None:
    """Make these the groups that an administrator has given the user. Raises Invalid."""
    user = accounts.user_named(connection, name)
    if any(not 0 < len(group) <= GROUP_LENGTH or not group.isprintable() for group in groups):
        raise Invalid(groups=Reason(Code.GROUP_INVALID, limit=GROUP_LENGTH))
    if set(identities.groups_of(connection, user.id, given=True)) != groups:
        identities.set_groups(connection, user.id, identities.LOCAL, groups)
        detail = "groups " + (", ".join(sorted(groups)) or "none")
        queries.add_event(connection, actor, "user.set", name, client_ip, detail)


def set_password(
    connection: Connection,
    name: str,
    hashed: str | None,
    *,
    actor: str = accounts.ACTOR,
    client_ip: str | None = None,
    keep: int | None = None,
) -> None:
    """Keep the hash of a password, or none; ends the user's sessions, but the one to `keep`. Raises Invalid."""
    user = accounts.user_named(connection, name)
    if hashed is None:
        identities.delete_password(connection, user.id)
    else:
        identities.set_password(connection, user.id, hashed)
    sessions.end_all(connection, user.id, but=keep)
    detail = "password" if hashed is not None else "no password"
    queries.add_event(connection, actor, "user.set", name, client_ip, detail, owner_id=user.id)


def _new_user(connection: Connection, wanted: str, client_ip: str | None) -> User:
    wanted = wanted or "user"
    for number in range(1, TRIES):
        name = wanted if number == 1 else f"{wanted}-{number}"
        if name.lower() in (*accounts.RESERVED, *NOT_AT_FIRST_CONTACT) or queries.user(connection, name) is not None:
            continue
        return accounts.new_user(connection, name, client_ip=client_ip)
    raise NotAdmitted(Code.IDENTITY_NAME_TAKEN, user=wanted)


def _add(connection: Connection, user_id: int, name: str, somebody: OidcIdentity, client_ip: str | None) -> None:
    try:
        identities.add_identity(connection, user_id, somebody)
    except IntegrityError:
        raise Taken(identity=Reason(Code.IDENTITY_TAKEN)) from None
    detail = _shown(somebody.issuer, somebody.label)
    queries.add_event(connection, name, "identity.add", name, client_ip, detail, owner_id=user_id)


def _apply(connection: Connection, found: LinkedIdentity, somebody: OidcIdentity, client_ip: str | None) -> None:
    """Write what the claims say."""
    identities.mark_used(connection, found.id, somebody.label)
    if somebody.groups is not None:
        identities.set_groups(connection, found.user_id, found.id, somebody.groups)
    change = _change_of_rights(found, somebody)
    if change is not None:
        host_edits.set_user(connection, found.user_id, admin=change, admin_by=found.id if change else None)
        detail = f"admin {'on' if change else 'off'}, by {somebody.issuer}"
        queries.add_event(connection, accounts.ACTOR, "user.set", found.user, client_ip, detail)


def _change_of_rights(found: LinkedIdentity, somebody: OidcIdentity) -> bool | None:
    """Whether an administrator's rights come or go; None where they stay."""
    if somebody.admin and not found.admin:
        return True
    return False if somebody.admin is False and found.admin and found.admin_by == found.id else None


def _differs(found: LinkedIdentity, somebody: OidcIdentity) -> bool:
    groups = somebody.groups is not None and somebody.groups != _lines(found.own_groups)
    return groups or _change_of_rights(found, somebody) is not None


def _member(found: LinkedIdentity) -> Member:
    return Member(found.user_id, found.user, bool(found.admin), _lines(found.groups))


def _lines(text: str | None) -> frozenset[str]:
    return frozenset(text.split("\n")) if text else frozenset()


def _shown(issuer: str, label: str) -> str:
    return f"{issuer} {label}".strip()
