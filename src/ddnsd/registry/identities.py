# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities of users at OpenID Connect providers, and the rights that claims give.

A claim gives groups and administrator rights, and removes only what it gave before. An unknown identity becomes a new
user with an unused name, never an existing user.
"""

from collections.abc import Mapping

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.auth.claims_age import ClaimsAge
from ddnsd.db import host_edits, identities, queries, sessions
from ddnsd.db.base import Store
from ddnsd.db.identities import LinkedIdentity, Member, OidcIdentity
from ddnsd.db.rows import Identity, User
from ddnsd.registry import accounts
from ddnsd.registry.errors import Code, Invalid, NotAdmitted, Reason, Taken
from ddnsd.registry.inputs import GROUP_LENGTH

SECOND = 1_000_000
"""How exact the times in JWTs are, in microseconds."""

USE_MICROSECONDS = 3600 * SECOND
"""How exact `last_used` of an identity is for access tokens, and `claims_at` for those that are not JWTs."""

NOT_AT_FIRST_CONTACT = ("admin", "administrator", "root")
"""Names that no new user gets at the first sign-in with a provider."""

TRIES = 1000


class Identities:
    """Reads and changes identities. `passwords` says whether users can sign in with a password."""

    def __init__(self, store: Store, claims_age: ClaimsAge | None = None, *, passwords: bool = True) -> None:
        self._store, self._claims_age, self._passwords = store, claims_age or ClaimsAge(), passwords

    async def of_user(self, user_id: int) -> list[Identity]:
        """A user's identities, the oldest first. Raises StoreDown."""
        return await self._store.read(lambda c: identities.identities_of(c, user_id))

    async def has_password(self, user_id: int) -> bool:
        """Whether the user has a password. Raises StoreDown."""
        return await self._store.read(lambda c: identities.has_password(c, user_id))

    async def set_password(self, name: str, hashed: str, *, actor: str, client_ip: str | None) -> None:
        """Store the hash of a user's new password, and end all their sessions. Raises Invalid, StoreDown."""
        await self._store.transact(lambda c: set_password(c, name, hashed, actor=actor, client_ip=client_ip))

    async def recognise(self, somebody: OidcIdentity, *, create: bool, client_ip: str | None) -> Member | None:
        """The active user of the identity, or None. Writes only what is new. Raises StoreDown."""
        found = await self._store.read(lambda c: identities.linked_identity(c, somebody.issuer, somebody.subject))
        somebody = _unless_older(found, somebody)
        if found is None or _differs(found, somebody) or _is_old(found, somebody):
            try:
                return await self.admit(somebody, create=create, client_ip=client_ip)
            except NotAdmitted:
                return None
        return self._member(found) if found.active else None

    async def admit(self, somebody: OidcIdentity, *, create: bool, client_ip: str | None) -> Member:
        """The user who signs in with the identity. Raises NotAdmitted, StoreDown."""

        def work(connection: Connection) -> LinkedIdentity:
            return admit(connection, somebody, create=create, client_ip=client_ip)

        try:
            return self._member(await self._store.transact(work))
        except Taken:  # another request was first
            return self._member(await self._store.transact(work))

    def _member(self, found: LinkedIdentity) -> Member:
        rights = self._claims_age.of_token(found.rights)
        return Member(found.user_id, found.user, rights.admin, rights.groups)

    async def link(self, user_id: int, somebody: OidcIdentity, client_ip: str | None) -> None:
        """Add an identity to a user. Raises Taken, NotAdmitted, StoreDown."""
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
        """Remove an identity, and end the user's sessions of its provider, except the session `keep`.

        `methods` are the sign-in methods of sessions, by issuer of the provider. Raises Invalid, StoreDown.
        """
        await self._store.transact(
            lambda c: unlink(c, user_id, identity_id, client_ip, methods, passwords=self._passwords, keep=keep)
        )


def admit(connection: Connection, somebody: OidcIdentity, *, create: bool, client_ip: str | None) -> LinkedIdentity:
    """The identity with its user; a new one if there is none, and `create` allows it. Raises NotAdmitted."""
    found = identities.linked_identity(connection, somebody.issuer, somebody.subject)
    if found is None:
        if not create:
            raise NotAdmitted
        user = _new_user(connection, somebody.name, client_ip)
        _add(connection, user.id, user.name, somebody, client_ip)
        found = _linked(connection, somebody)
    if not found.active:
        if found.suspension_reason:
            raise NotAdmitted(Code.IDENTITY_SUSPENDED, reason=found.suspension_reason)
        raise NotAdmitted(Code.IDENTITY_INACTIVE)
    return _apply(connection, found.user, somebody, client_ip)


def link(connection: Connection, user_id: int, somebody: OidcIdentity, client_ip: str | None) -> None:
    """Add an identity to a user, unless they have it, and apply its claims. Raises Taken, NotAdmitted."""
    found = identities.linked_identity(connection, somebody.issuer, somebody.subject)
    if found is not None and found.user_id != user_id:
        raise Taken(identity=Reason(Code.IDENTITY_TAKEN))
    user = queries.user_name(connection, user_id)
    if found is None:
        _add(connection, user_id, user, somebody, client_ip)
    _apply(connection, user, somebody, client_ip)


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
    """Remove an identity with its groups and rights, unless it is the only way to sign in. Raises Invalid."""
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
    """Set the groups that administrators have assigned to the user. Raises Invalid."""
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
    """Store the hash of a password, or remove it; end the user's sessions except `keep`. Raises Invalid."""
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


def _apply(connection: Connection, user: str, somebody: OidcIdentity, client_ip: str | None) -> LinkedIdentity:
    """Store the groups and rights in the claims. Returns the identity with them. Raises NotAdmitted."""
    host_edits.locked_user(connection, user)
    found = _linked(connection, somebody)  # another token may have been first
    somebody = _unless_older(found, somebody)
    claims_at = None if somebody.groups is None else somebody.stated or queries.now()
    identities.mark_used(connection, found.id, somebody.label, claims_at=claims_at)
    if somebody.groups is not None:
        identities.set_groups(connection, found.user_id, found.id, somebody.groups)
    change = _change_of_rights(found, somebody)
    if change is not None:
        host_edits.set_user(connection, found.user_id, admin=change, admin_by=found.id if change else None)
        detail = f"admin {'on' if change else 'off'}, by {somebody.issuer}"
        queries.add_event(connection, accounts.ACTOR, "user.set", found.user, client_ip, detail)
    return _linked(connection, somebody)


def _linked(connection: Connection, somebody: OidcIdentity) -> LinkedIdentity:
    found = identities.linked_identity(connection, somebody.issuer, somebody.subject)
    if found is None:  # it has just been removed
        raise NotAdmitted
    return found


def _change_of_rights(found: LinkedIdentity, somebody: OidcIdentity) -> bool | None:
    """True if the claims give administrator rights, False if they remove them, None for no change."""
    if somebody.admin and not found.admin:
        return True
    return False if somebody.admin is False and found.admin and found.admin_by == found.id else None


def _differs(found: LinkedIdentity, somebody: OidcIdentity) -> bool:
    groups = somebody.groups is not None and somebody.groups != _lines(found.own_groups)
    return groups or _change_of_rights(found, somebody) is not None


def _is_old(found: LinkedIdentity, somebody: OidcIdentity) -> bool:
    """Whether the times of the identity must be written again."""
    recent = queries.now() - USE_MICROSECONDS
    return found.last_used < recent or (somebody.groups is not None and found.claims_at < (somebody.stated or recent))


def _unless_older(found: LinkedIdentity | None, somebody: OidcIdentity) -> OidcIdentity:
    """The claims; without rights if newer ones are stored: an access token can be old."""
    if found is None or somebody.stated is None or somebody.stated >= found.claims_at // SECOND * SECOND:
        return somebody
    return somebody._replace(groups=None, admin=None)


def _lines(text: str | None) -> frozenset[str]:
    return frozenset(text.split("\n")) if text else frozenset()


def _shown(issuer: str, label: str) -> str:
    return f"{issuer} {label}".strip()
