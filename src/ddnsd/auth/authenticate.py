# SPDX-License-Identifier: GPL-3.0-or-later
"""Authenticate a caller by credentials."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence

from ddnsd.auth import secrets
from ddnsd.auth.caller import BadCredentials, Caller, Kind, NoCredentials, NotFqdn
from ddnsd.auth.device_keys import DeviceKeys, DeviceLogin, SignedRequest, fresh_time, signature
from ddnsd.auth.failed_sign_ins import FailedSignIns
from ddnsd.auth.failed_sign_ins import Kind as Failed
from ddnsd.auth.throttle import Guess, LoginThrottle, SharedLookups
from ddnsd.auth.tokens import Verifier
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import Host, Key

_NOBODY = secrets.verifier("")
LONGEST = 512
"""Maximum characters of a user name or secret."""

Rows = Lookups | SharedLookups
"""The source of lookups for a sign-in."""


class SignIn:
    """All ways to sign in on `/nic` and `/api`; cookies are not accepted."""

    def __init__(
        self,
        lookups: Lookups,
        throttle: LoginThrottle,
        verifiers: Sequence[Verifier],
        failed: FailedSignIns | None = None,
        note: Callable[[str], None] = lambda _: None,
        devices: DeviceKeys | None = None,
    ) -> None:
        """`note` gets each secret of a host, key or token that was right."""
        self._lookups, self._throttle, self._verifiers = lookups, throttle, verifiers
        self._devices = devices or DeviceKeys(None)
        self._failed, self._note_right = failed or FailedSignIns(), note

    async def by_header(self, header: str, client_ip: str | None) -> Caller:
        """The caller of an `Authorization` header, Basic or Bearer. Raises SignInError, StoreDown, ProviderDown."""
        scheme, _, value = header.strip().partition(" ")
        if scheme.lower() == "basic":
            name, password = _decode_basic(value.strip())
            return await self.by_password(name, password, client_ip)
        if scheme.lower() == "bearer" and value.strip():
            return await self.by_token(value.strip(), client_ip)
        raise NoCredentials

    async def by_token(self, token: str, client_ip: str | None) -> Caller:
        """The user of a Bearer token. Raises BadCredentials, StoreDown, ProviderDown."""
        try:
            for verifier in self._verifiers:
                if verifier.recognises(token) and (caller := await verifier.verify(token, client_ip)):
                    if caller.token_id is not None:
                        self._note_right(token)
                    return caller
            raise BadCredentials
        except BadCredentials:
            self._failed.note(Failed.TOKEN, "", client_ip, account=None)
            raise

    async def by_password(self, name: str, password: str, client_ip: str | None) -> Caller:
        """The host `FQDN:secret`, the key `login:secret` or the device `f-ID.MAC:key`.

        Raises BadCredentials, NotFqdn, StoreDown.
        """
        name = name.strip().lower().removesuffix(".")
        try:
            if len(name) > LONGEST or len(password) > LONGEST:
                raise BadCredentials
            if "." not in name and not name.startswith(secrets.LOGIN_PREFIX):
                raise NotFqdn
            guess = self._throttle.begin(name, password, client_ip or "")
            if (device := DeviceLogin.of_text(name)) is not None:
                return await self._counted(guess, self._device(guess.rows, device, lambda key: (key, password)))
            find = self._host if "." in name else self._key
            return await self._counted(guess, find(guess.rows, name, password))
        except BadCredentials as error:
            self._note(error, name, client_ip)
            raise

    async def by_signature(self, signed: SignedRequest, client_ip: str | None) -> tuple[Caller, int]:
        """The device of a signed request, and the time of the request, which was not checked against earlier ones.

        Raises BadCredentials, StoreDown.
        """
        device = DeviceLogin.of_text(signed.device.lower()) if max(map(len, signed)) <= LONGEST else None
        name = "" if device is None else str(device)
        try:
            if device is None:
                raise BadCredentials
            guess = self._throttle.begin(name, f"{signed.text}|{signed.sig}", client_ip or "")
            right = self._device(guess.rows, device, lambda key: (signature(key, signed.text), signed.sig.lower()))
            caller = await self._counted(guess, right)
            if (moment := fresh_time(signed.time)) is None:
                raise BadCredentials(known=True)
        except BadCredentials as error:
            self._note(error, name, client_ip)
            raise
        return caller, moment

    async def by_secret(self, secret: str, name: str, client_ip: str | None) -> Caller:
        """The caller of Duck DNS's form: only a secret of a host or key, or a token; `name` is the name to update.

        Raises BadCredentials, StoreDown.
        """
        if secret.startswith(secrets.TOKEN_PREFIX) and len(name) <= LONGEST and len(secret) <= LONGEST:
            return await self.by_token(secret, client_ip)
        try:
            if len(name) > LONGEST or len(secret) > LONGEST:
                raise BadCredentials
            guess = self._throttle.begin(name, secret, client_ip or "")
            return await self._counted(guess, self._by_secret_alone(guess.rows, secret))
        except BadCredentials as error:
            self._note(error, name, client_ip)
            raise

    def _note(self, error: BadCredentials, name: str, client_ip: str | None) -> None:
        """Log the failure. Names that nothing has count as one: clients and strangers can invent any number."""
        self._failed.note(Failed.SECRET, name if error.known else "", client_ip, account=name if error.known else None)

    async def _counted(self, guess: Guess, found: Awaitable[Caller]) -> Caller:
        try:
            caller = await found
        except BadCredentials as error:
            self._throttle.failed(guess, error)
            raise
        self._throttle.succeeded(guess)
        if caller.kind is not Kind.DEVICE:
            self._note_right(guess.secret)
        return caller

    async def _by_secret_alone(self, rows: Rows, secret: str) -> Caller:
        hashed = secrets.verifier(secret)
        if host := await rows.host_by_secret.one(hashed):
            return caller_of_host(host)
        if key := await rows.key_by_secret.one(hashed):
            return await self.caller_of_key(key)
        raise BadCredentials

    async def _host(self, rows: Rows, name: str, password: str) -> Caller:
        host = await rows.host.one(name) if name.isascii() and "\0" not in name else None
        right = secrets.matches(password, host.secret_hash if host else _NOBODY)
        if host is None or not right:
            raise BadCredentials(host.id if host else None)
        return caller_of_host(host)

    async def _device(self, rows: Rows, device: DeviceLogin, pair: Callable[[str], tuple[str, str]]) -> Caller:
        """The device, if both texts of `pair` are equal for one of its keys."""
        found = await rows.fleet_keys.all(device.fleet_id)
        pairs = [pair(key) for key in self._devices.of(found, device.mac)]
        if not any(secrets.are_equal(wanted, given) for wanted, given in pairs):
            raise BadCredentials  # not `known`: who has no key could invent any number of MAC addresses
        fleet, known = found[0], await rows.fleet_device.one(str(device))
        if known is not None and known.revoked is not None:
            raise BadCredentials(known=True)
        host = await rows.host_by_id.one(known.host_id) if known is not None and known.host_id is not None else None
        own = (host,) if host is not None and host.owner_id == fleet.owner_id else ()
        return Caller(Kind.DEVICE, str(device), fleet.owner_id, hosts=own, credential_name=fleet.name)

    async def _key(self, rows: Rows, name: str, password: str) -> Caller:
        key = await rows.key.one(name) if name.isascii() and "\0" not in name else None
        right = secrets.matches(password, key.secret_hash if key else _NOBODY)
        if key is None or not right:
            raise BadCredentials(known=key is not None)
        return await self.caller_of_key(key)

    async def caller_of_key(self, key: Key) -> Caller:
        """The caller with the credentials of a key. Raises StoreDown."""
        hosts = await self._lookups.hosts_of_key.all(key.id) if key.active else []
        return Caller(Kind.KEY, key.login, key.owner_id, hosts=tuple(hosts), credential_name=key.name)


def caller_of_host(host: Host) -> Caller:
    """The caller with the credentials of a host."""
    return Caller(Kind.HOST, host.fqdn, host.owner_id, hosts=(host,))


def _decode_basic(value: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        raise NoCredentials from None
    name, colon, password = text.partition(":")
    if not colon or not name.strip():
        raise NoCredentials
    return name, password
