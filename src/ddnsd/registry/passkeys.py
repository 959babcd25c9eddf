# SPDX-License-Identifier: GPL-3.0-or-later
"""Passkeys of users with a password: as their second factor, or alone in place of the password."""

import secrets
import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.auth import passkeys
from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.oidc.login_state import LoginState
from ddnsd.auth.passkey_throttle import PasskeyThrottle
from ddnsd.auth.passkeys import Asked, Assertion, BadPasskey, Purpose, Site
from ddnsd.auth.passwords import Locked, Suspended
from ddnsd.auth.sealing import SealingKeys
from ddnsd.auth.secrets import digest
from ddnsd.auth.sessions import PASSKEY, PASSWORD, PASSWORD_AND_PASSKEY
from ddnsd.db import host_edits, queries, sessions
from ddnsd.db import passkeys as stored
from ddnsd.db import second_factors as factors
from ddnsd.db.base import Store
from ddnsd.db.passkeys import PasskeyOwner, StoredPasskey
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.second_factors import set_codes

MOST = 20
"""Maximum number of passkeys per user."""

REMEMBERED_MICROSECONDS = 2 * passkeys.SECONDS * 1_000_000
"""How long used challenges are remembered; they are valid for half of it."""


class NewPasskey(NamedTuple):
    """A passkey that is being made: what the browser is asked, and the field of the form that says when."""

    options: str
    asked: str


class Passkeys:
    """Checks and changes passkeys. `keys` are None where the operator has made no key file.

    `site` is None where passkeys cannot be used. `title` is the name of this service in browsers.
    """

    def __init__(
        self, store: Store, keys: SealingKeys | None, site: Site | None, throttle: PasskeyThrottle, title: str
    ) -> None:
        self._store, self._site, self._throttle, self._title = store, site, throttle, title
        self._key = keys.mac_key("passkeys") if keys is not None else None
        if self.enabled:
            passkeys.preload()

    @property
    def enabled(self) -> bool:
        """Whether passkeys can be added and used."""
        return self._site is not None and self._key is not None

    # ---- sign-in

    def sign_in_options(self, attempt: LoginState) -> str | None:
        """What a browser is asked for a sign-in with a passkey alone, as JSON; None where there are no passkeys."""
        if self._site is None or self._key is None:
            return None
        challenge = _sign_in(attempt).challenge(self._key)
        return passkeys.request_options(self._site, challenge, verify_user=True)

    async def factor_options(self, attempt: LoginState, user_id: int) -> str | None:
        """What a browser is asked after the password; None if the user has no passkeys here. Raises StoreDown."""
        if self._site is None or self._key is None:
            return None
        held = await self._store.read(lambda c: stored.of_user(c, user_id))
        challenge = _after_password(attempt, user_id).challenge(self._key)
        ids = [passkey.credential_id for passkey in held]
        return passkeys.request_options(self._site, challenge, ids, verify_user=False) if ids else None

    async def sign_in(self, attempt: LoginState, answer: str, client_ip: str | None) -> PasskeyOwner:
        """The active user who signs in with a passkey alone, which has verified them.

        Raises BadCredentials, Locked, Suspended, StoreDown.
        """
        owner: PasskeyOwner | None = None
        try:
            assertion = passkeys.read_assertion(answer)
            found = await self._store.read(lambda c: stored.find(c, assertion.credential_id))
            if found is None:
                raise BadPasskey("nobody has this passkey")
            passkey, owner = found
            if assertion.user_handle != passkeys.user_handle(owner.user_id, owner.created):
                raise BadPasskey("the passkey is of another user")
            await self._use(_sign_in(attempt), assertion, passkey, verify_user=True)
        except BadPasskey:
            in_turn = await self._throttle.failed(client_ip, owner and owner.name, owner and owner.user_id)
            raise (BadCredentials if in_turn else Locked) from None
        if not owner.active:
            raise Suspended(owner.suspension_reason)
        return owner

    async def check(self, attempt: LoginState, user_id: int, answer: str) -> bool:
        """Whether this is the answer of a passkey of the user, after the right password. Raises StoreDown."""
        try:
            assertion = passkeys.read_assertion(answer)
            found = await self._store.read(lambda c: stored.find(c, assertion.credential_id))
            if found is None or found[1].user_id != user_id:
                return False
            await self._use(_after_password(attempt, user_id), assertion, found[0], verify_user=False)
        except BadPasskey:
            return False
        return True

    async def _use(self, asked: Asked, assertion: Assertion, passkey: StoredPasskey, *, verify_user: bool) -> None:
        """Verify an answer, and remember its challenge and the counter. Raises BadPasskey, StoreDown."""
        if self._site is None or self._key is None or not asked.is_current:
            raise BadPasskey("no passkey was asked for")
        challenge = asked.challenge(self._key)
        count = passkeys.verified_count(
            self._site, challenge, assertion, passkey.public_key, passkey.sign_count, verify_user=verify_user
        )
        forget_before = queries.now() - REMEMBERED_MICROSECONDS

        def work(connection: Connection) -> bool:
            unknown = stored.use_challenge(connection, digest(challenge.hex()), forget_before)
            return unknown and stored.use(connection, passkey, count)

        if not await self._store.transact(work):
            raise BadPasskey("the challenge or the counter was used before")

    # ---- the account

    async def new(self, user_id: int, user: str, secret: str) -> NewPasskey:
        """What a browser is asked for a new passkey. `secret` is of its session. Raises Invalid, StoreDown."""
        site, key = self._required()
        asked = f"{int(time.time())}.{secrets.token_urlsafe(16)}"
        row, held = await self._store.read(lambda c: (queries.user(c, user), stored.of_user(c, user_id)))
        assert row is not None
        if len(held) >= MOST:
            raise Invalid(name=Reason(Code.PASSKEYS_TOO_MANY, limit=MOST))
        options = passkeys.creation_options(
            site,
            _new(asked, secret, user_id).challenge(key),
            user,
            passkeys.user_handle(user_id, row.created),
            [passkey.credential_id for passkey in held],
            title=self._title,
        )
        return NewPasskey(options, asked)

    async def add(
        self,
        user_id: int,
        name: str,
        answer: str,
        codes: Sequence[str],
        *,
        asked: str,
        secret: str,
        client_ip: str | None,
        keep: int,
    ) -> None:
        """Store the passkey of the browser's answer, and recovery codes if given.

        With the first factor, the user's other sessions that began with the password alone end. Raises Invalid,
        StoreDown.
        """
        site, key = self._required()
        question = _new(asked, secret, user_id)
        if not question.is_current:
            raise Invalid(__all__=Reason(Code.FACTOR_FORM_INVALID))
        challenge = question.challenge(key)
        try:
            made = passkeys.verified_creation(site, challenge, answer)
        except BadPasskey:
            raise Invalid(__all__=Reason(Code.PASSKEY_INVALID)) from None
        forget_before = queries.now() - REMEMBERED_MICROSECONDS

        def work(connection: Connection) -> None:
            user = queries.user_name(connection, user_id)
            host_edits.locked_user(connection, user)
            first = not factors.has_factor(connection, user_id)
            if stored.count(connection, user_id) >= MOST:
                raise Invalid(name=Reason(Code.PASSKEYS_TOO_MANY, limit=MOST))
            if not stored.use_challenge(connection, digest(challenge.hex()), forget_before):
                raise Invalid(__all__=Reason(Code.FACTOR_FORM_INVALID))
            if not stored.add(connection, user_id, *made, name):
                raise Invalid(__all__=Reason(Code.PASSKEY_TAKEN))
            queries.add_event(connection, user, "factor.add", user, client_ip, _shown(name), owner_id=user_id)
            if codes:
                set_codes(connection, user_id, user, codes, client_ip)
            if first:
                sessions.end_all(connection, user_id, but=keep, method=PASSWORD)

        await self._store.transact(work)

    async def named(self, user_id: int, passkey_id: int) -> StoredPasskey | None:
        """A passkey of the user. Raises StoreDown."""
        held = await self._store.read(lambda c: stored.of_user(c, user_id))
        return next((passkey for passkey in held if passkey.id == passkey_id), None)

    async def rename(self, user_id: int, passkey_id: int, name: str, client_ip: str | None) -> None:
        """Give a passkey another name. Raises Invalid, StoreDown."""

        def work(connection: Connection) -> None:
            before = stored.rename(connection, user_id, passkey_id, name)
            if before is None:
                raise Invalid(passkey=Reason(Code.FACTOR_MISSING))
            if before != name:
                user, detail = queries.user_name(connection, user_id), f"{_shown(before)}, now {name}"
                queries.add_event(connection, user, "factor.rename", user, client_ip, detail, owner_id=user_id)

        await self._store.transact(work)

    async def remove(self, user_id: int, passkey_id: int, client_ip: str | None, *, keep: int) -> None:
        """Remove a passkey, and end the user's sessions that began with one, except `keep`.

        With the last factor, the recovery codes are removed too. Raises Invalid, StoreDown.
        """

        def work(connection: Connection) -> None:
            user = queries.user_name(connection, user_id)
            host_edits.locked_user(connection, user)
            name = stored.remove(connection, user_id, passkey_id)
            if name is None:
                raise Invalid(passkey=Reason(Code.FACTOR_MISSING))
            queries.add_event(connection, user, "factor.delete", user, client_ip, _shown(name), owner_id=user_id)
            if not factors.has_factor(connection, user_id):
                factors.set_codes(connection, user_id, ())
            for method in (PASSKEY, PASSWORD_AND_PASSKEY):
                sessions.end_all(connection, user_id, but=keep, method=method)

        await self._store.transact(work)

    def _required(self) -> tuple[Site, bytes]:
        """The site and the key. Raises Invalid where there are no passkeys."""
        if self._site is None or self._key is None:
            raise Invalid(__all__=Reason(Code.PASSKEYS_OFF))
        return self._site, self._key


def _sign_in(attempt: LoginState) -> Asked:
    return Asked(Purpose.SIGN_IN, attempt.seed, attempt.began)


def _after_password(attempt: LoginState, user_id: int) -> Asked:
    return Asked(Purpose.SECOND_FACTOR, attempt.seed, attempt.began, user_id)


def _new(asked: str, secret: str, user_id: int) -> Asked:
    """The challenge of a form; one that is too old if the field is not ours."""
    began, _, nonce = asked.partition(".")
    moment = int(began) if began.isascii() and began.isdigit() and len(began) < 12 else 0
    return Asked(Purpose.NEW, f"{secret} {nonce}", moment, user_id)


def _shown(name: str) -> str:
    """A passkey in the audit trail."""
    return f"passkey {name}"
