# SPDX-License-Identifier: GPL-3.0-or-later
"""Second factors of users with a password: an authenticator app, and recovery codes for the day when it is lost.

Passkeys have a module of their own.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.auth import recovery_codes, totp
from ddnsd.auth.sealing import SealingKeys
from ddnsd.auth.sessions import PASSWORD
from ddnsd.db import host_edits, passkeys, queries, sessions
from ddnsd.db import second_factors as stored
from ddnsd.db.base import Store
from ddnsd.db.passkeys import StoredPasskey
from ddnsd.registry import accounts
from ddnsd.registry.errors import Code, Invalid, NoFactor, Reason

STORED, NEW = "totp", "new totp"
"""Purposes of sealed seeds: of an app in the database, and of one that is being set up."""


class Factors(NamedTuple):
    """A user's second factors: when the app was added, in microseconds since the epoch, passkeys, and unused codes."""

    app: int | None
    codes: int
    passkeys: tuple[StoredPasskey, ...] = ()

    def __bool__(self) -> bool:
        return self.app is not None or bool(self.passkeys)


class NewApp(NamedTuple):
    """An app that is being set up: its seed, the URI of the QR code, and the sealed seed for the form."""

    seed: str
    uri: str
    sealed: str


class SecondFactors:
    """Reads, checks and changes second factors. `keys` are None where the operator has made no key file.

    `issuer` is the name of this service in apps.
    """

    def __init__(self, store: Store, keys: SealingKeys | None, issuer: str) -> None:
        self._store, self._keys, self._issuer = store, keys, issuer

    @property
    def enabled(self) -> bool:
        """Whether apps can be added, and their codes be checked."""
        return self._keys is not None

    async def of_user(self, user_id: int) -> Factors:
        """The user's second factors. Raises StoreDown."""
        return await self._store.read(lambda c: of_user(c, user_id))

    async def is_needed(self, user_id: int) -> bool:
        """Whether the user signs in with a second factor. Raises StoreDown."""
        return await self._store.read(lambda c: stored.has_factor(c, user_id))

    # ---- sign-in

    async def check(self, user_id: int, text: str, client_ip: str | None) -> bool:
        """Whether this is the app's current code or a recovery code, which then cannot be used again.

        Raises StoreDown.
        """
        if totp.is_code(text):
            return await self._check_app(user_id, text)
        hashed = recovery_codes.code_digest(text)
        if hashed is None:
            return False
        return await self._store.transact(lambda c: _use_code(c, user_id, hashed, client_ip))

    async def _check_app(self, user_id: int, code: str) -> bool:
        app = await self._store.read(lambda c: stored.app_of(c, user_id))
        if app is None or self._keys is None:
            return False
        seed = self._keys.unseal(STORED, user_id, app.sealed)
        step = totp.matching_step(seed, code, app.last_step) if seed is not None else None
        if step is None:
            return False
        return await self._store.transact(lambda c: stored.use_step(c, user_id, app.sealed, step))

    # ---- the account

    def new_app(self, user_id: int, user: str) -> NewApp:
        """A new seed, which is stored only after a code shows that the app has it."""
        return self._app(user_id, user, totp.new_seed())

    def app_of_form(self, user_id: int, user: str, sealed: str) -> NewApp:
        """The same app again, from the form. Raises Invalid if the form is not of this user."""
        seed = self._keys.unseal(NEW, user_id, sealed) if self._keys is not None else None
        if seed is None:
            raise Invalid(code=Reason(Code.FACTOR_FORM_INVALID))
        return self._app(user_id, user, seed)

    def _app(self, user_id: int, user: str, seed: str) -> NewApp:
        assert self._keys is not None
        return NewApp(seed, totp.uri(seed, user, self._issuer), self._keys.seal(NEW, user_id, seed))

    async def add_app(
        self, user_id: int, app: NewApp, code: str, codes: Sequence[str], *, client_ip: str | None, keep: int
    ) -> None:
        """Store the app, replacing any other, and recovery codes if given. End the user's sessions except `keep`.

        Sessions of providers stay. Raises Invalid if the code is not the app's, StoreDown.
        """
        step = totp.matching_step(app.seed, code, 0)
        if step is None or self._keys is None:
            raise Invalid(code=Reason(Code.FACTOR_CODE_WRONG))
        sealed = self._keys.seal(STORED, user_id, app.seed)

        def work(connection: Connection) -> None:
            name = queries.user_name(connection, user_id)
            host_edits.locked_user(connection, name)
            stored.set_app(connection, user_id, sealed, step)
            queries.add_event(connection, name, "factor.add", name, client_ip, "authenticator app", owner_id=user_id)
            if codes:
                set_codes(connection, user_id, name, codes, client_ip)
            sessions.end_all(connection, user_id, but=keep, method=PASSWORD)

        await self._store.transact(work)

    async def remove_app(self, user_id: int, client_ip: str | None) -> None:
        """Remove the app; with the last factor, the recovery codes too. Raises Invalid, StoreDown."""

        def work(connection: Connection) -> None:
            name = queries.user_name(connection, user_id)
            host_edits.locked_user(connection, name)
            if not stored.delete_app(connection, user_id):
                raise Invalid(app=Reason(Code.FACTOR_MISSING))
            queries.add_event(connection, name, "factor.delete", name, client_ip, "authenticator app", owner_id=user_id)
            if not stored.has_factor(connection, user_id):
                stored.set_codes(connection, user_id, ())

        await self._store.transact(work)

    async def replace_codes(self, user_id: int, codes: Sequence[str], client_ip: str | None) -> None:
        """Replace the user's recovery codes. Raises Invalid if they have no second factor, StoreDown."""

        def work(connection: Connection) -> None:
            name = queries.user_name(connection, user_id)
            host_edits.locked_user(connection, name)
            if not stored.has_factor(connection, user_id):
                raise Invalid(codes=Reason(Code.FACTOR_MISSING))
            set_codes(connection, user_id, name, codes, client_ip)

        await self._store.transact(work)

    async def remove_all(self, name: str, *, actor: str, client_ip: str | None) -> None:
        """Remove all second factors of a user, for an administrator. Raises Invalid, NoFactor, StoreDown."""
        await self._store.transact(lambda c: remove_all(c, name, actor=actor, client_ip=client_ip))


def of_user(connection: Connection, user_id: int) -> Factors:
    """The user's second factors."""
    app = stored.app_of(connection, user_id)
    return Factors(
        app.created if app is not None else None,
        stored.count_codes(connection, user_id),
        tuple(passkeys.of_user(connection, user_id)),
    )


def remove_all(connection: Connection, name: str, *, actor: str = accounts.ACTOR, client_ip: str | None = None) -> None:
    """Remove all second factors and recovery codes of a user, and end their sessions. Raises Invalid, NoFactor."""
    user = accounts.user_named(connection, name)
    host_edits.locked_user(connection, name)
    if not stored.has_factor(connection, user.id):
        raise NoFactor
    stored.delete_app(connection, user.id)
    passkeys.remove_all(connection, user.id)
    stored.set_codes(connection, user.id, ())
    sessions.end_all(connection, user.id)
    queries.add_event(connection, actor, "factor.delete", name, client_ip, "all second factors", owner_id=user.id)


def set_codes(connection: Connection, user_id: int, name: str, codes: Iterable[str], client_ip: str | None) -> None:
    """Replace the user's recovery codes."""
    hashes = filter(None, map(recovery_codes.code_digest, codes))
    stored.set_codes(connection, user_id, hashes)
    queries.add_event(connection, name, "factor.codes", name, client_ip, "new recovery codes", owner_id=user_id)


def _use_code(connection: Connection, user_id: int, hashed: bytes, client_ip: str | None) -> bool:
    if not stored.has_factor(connection, user_id) or not stored.use_code(connection, user_id, hashed):
        return False
    name, left = queries.user_name(connection, user_id), stored.count_codes(connection, user_id)
    queries.add_event(connection, name, "factor.use-code", name, client_ip, f"{left} codes left", owner_id=user_id)
    return True
