# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders of certificates by DNS-01 (RFC 8555, section 8.4). All calls block: run them in a thread.

A deadline is a time of `time.monotonic()`. Every message to the authority ends by then.
"""

import contextlib
import datetime
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import requests
from acme import challenges, client, errors, messages
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from ddnsd.acme import account_key
from ddnsd.acme.errors import (
    AuthorityBusy,
    AuthorityError,
    AuthorityFailed,
    AuthorityRefused,
    AuthoritySilent,
)

CALL_SECONDS = 20.0
"""Longest wait for a part of one answer."""

NONCE_TRIES = 20
"""An authority may refuse a nonce at any time; each refusal brings a new one (RFC 8555, section 6.5)."""

REFUSALS = frozenset(
    {"badCSR", "badPublicKey", "caa", "rejectedIdentifier", "unsupportedIdentifier", "userActionRequired"}
)
"""Types of errors (RFC 8555, section 6.7) that a repetition does not change."""

AGENT = "fedcloud-ddns"


@dataclass(frozen=True)
class Authority:
    """Where certificates are ordered: the URL of the directory, and the account.

    `ca_file` has the root certificates of a private authority. `eab_kid` and `eab_key` (base64url) bind the account to
    one that the authority already has. `identities` are the names of the authority in CAA records, if the directory
    does not state them.
    """

    directory: str
    account_key: Path
    contact: str = ""
    ca_file: Path | None = None
    eab_kid: str = ""
    eab_key: str = field(default="", repr=False)
    identities: tuple[str, ...] = ()


class Terms(NamedTuple):
    """What CAA records are compared with: the authority's names, and the URL of our account."""

    identities: tuple[str, ...]
    account: str


class Order:
    """An order that waits for its TXT values at `_acme-challenge`, one for each name that must be proven."""

    def __init__(self, acme: "_Client", order: messages.OrderResource) -> None:
        self._acme, self._order = acme, order
        self._waiting = [
            _dns_challenge(one) for one in order.authorizations if one.body.status == messages.STATUS_PENDING
        ]
        self.values = tuple(challenge.validation(acme.net.key) for challenge in self._waiting)
        """The values, without quotes. None if the authority already knows that the names are ours."""

    def complete(self) -> str:
        """Tell the authority that the values are in DNS. Returns the chain in PEM. Raises AuthorityError."""
        with _translated():
            for challenge in self._waiting:
                self._acme.answer_challenge(challenge, challenge.response(self._acme.net.key))
            deadline = datetime.datetime.now() + datetime.timedelta(seconds=self._acme.net.seconds_left())
            chain = self._acme.poll_and_finalize(self._order, deadline).fullchain_pem
        if not chain:
            raise AuthorityFailed("the authority sent no certificate")
        return str(chain)


class AcmeClient:
    """The account at the authority, which is registered at its first use in this process."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._lock = threading.Lock()
        self._account: messages.RegistrationResource | None = None

    def terms(self, deadline: float) -> Terms:
        """Read the directory, and register the account if necessary. Raises AuthorityError."""
        with _translated():
            acme = self._connected(deadline)
            stated = acme.directory.meta.caa_identities
            names = self._authority.identities or tuple(stated or ())
            return Terms(tuple(name.lower() for name in names), str(self._registered(acme).uri))

    def order(self, csr: bytes, deadline: float) -> Order:
        """Order a certificate for the names in the CSR (PEM). Raises AuthorityError."""
        with _translated():
            acme = self._connected(deadline)
            account = self._registered(acme)
            try:
                return Order(acme, acme.new_order(csr))
            except messages.Error as error:
                if error.code != "accountDoesNotExist":
                    raise
            with self._lock:  # the authority was set up anew
                if self._account is account:
                    self._account = None
            self._registered(acme)
            return Order(acme, acme.new_order(csr))

    def _connected(self, deadline: float) -> "_Client":
        ca = self._authority.ca_file
        network = _Network(account_key.load(self._authority.account_key), deadline, True if ca is None else str(ca))
        return _Client(client.ClientV2.get_directory(self._authority.directory, network), network)

    def _registered(self, acme: "_Client") -> messages.RegistrationResource:
        """The account. Only one thread registers it; `acme` then uses it."""
        if not self._lock.acquire(timeout=max(acme.net.seconds_left(), 0)):
            raise AuthoritySilent("the authority did not register the account in time")
        try:
            acme.net.account = None
            if self._account is None:
                self._account = self._register(acme)
            acme.net.account = self._account
            return self._account
        finally:
            self._lock.release()

    def _register(self, acme: "_Client") -> messages.RegistrationResource:
        given = self._authority
        binding: dict[str, Any] | None = None
        if given.eab_kid:
            binding = messages.ExternalAccountBinding.from_data(
                acme.net.key.public_key(), given.eab_kid, given.eab_key, acme.directory
            )
        new = messages.NewRegistration.from_data(
            email=given.contact or None, external_account_binding=binding, terms_of_service_agreed=True
        )
        try:
            return acme.new_account(new)
        except errors.ConflictError as known:
            return messages.RegistrationResource(body=messages.Registration(), uri=known.location)


class _Network(client.ClientNetwork):
    """Messages that end by the deadline. `ca` is True, or a file with root certificates."""

    def __init__(self, key: JWKEC, deadline: float, ca: bool | str) -> None:
        super().__init__(key, alg=ES256, verify_ssl=ca, user_agent=AGENT)  # type: ignore[arg-type]
        self._deadline = deadline
        self.key: JWKEC

    def seconds_left(self) -> float:
        """The time until the deadline."""
        return self._deadline - time.monotonic()

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """POST; refused nonces are replaced. Raises as the library."""
        for _ in range(NONCE_TRIES):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        raise AuthorityFailed(f"the authority refused {NONCE_TRIES} nonces")

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        left = self.seconds_left()
        if left <= 0:
            raise errors.TimeoutError
        kwargs["timeout"] = min(left, CALL_SECONDS)
        return super()._send_request(method, url, *args, **kwargs)


class _Client(client.ClientV2):
    """The library's client with our network."""

    def __init__(self, directory: messages.Directory, net: _Network) -> None:
        super().__init__(directory, net)
        self.net: _Network = net


def _dns_challenge(authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
    for one in authorization.body.challenges:
        if isinstance(one.chall, challenges.DNS01):
            return one
    name = authorization.body.identifier.value
    raise AuthorityRefused(f"the authority offers no proof by DNS for {name}")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Raise errors of the libraries as AuthorityError."""
    try:
        yield
    except AuthorityError:
        raise
    except errors.TimeoutError:
        raise AuthoritySilent("the authority did not finish the order in time") from None
    except requests.exceptions.SSLError:
        raise AuthoritySilent("the TLS certificate of the authority cannot be verified") from None
    except requests.exceptions.RequestException as error:
        raise AuthoritySilent(f"the authority cannot be reached ({_kind(error)})") from None
    except errors.ValidationError as error:
        raise AuthorityFailed(f"the authority could not verify the names: {_reasons(error)}") from None
    except errors.IssuanceError as error:
        raise _of_problem(error.error) from None
    except messages.Error as error:
        raise _of_problem(error) from None
    except (errors.Error, JoseError, KeyError, ValueError) as error:
        raise AuthorityFailed(f"the authority's answer cannot be understood ({_kind(error)})") from None


def _of_problem(problem: messages.Error) -> AuthorityError:
    text = _text(problem)
    if problem.code == "rateLimited":
        return AuthorityBusy(text)
    kind = AuthorityRefused if problem.code in REFUSALS else AuthorityFailed
    return kind(f"the authority answers: {text}")


def _text(problem: messages.Error) -> str:
    found = [problem.detail or problem.code or "an error", *(_text(one) for one in problem.subproblems or ())]
    return "; ".join(found)


def _reasons(error: errors.ValidationError) -> str:
    found = [
        f"{one.body.identifier.value}: {_text(challenge.error)}"
        for one in error.failed_authzrs
        for challenge in one.body.challenges
        if challenge.error is not None
    ]
    return "; ".join(found)


def _kind(error: Exception) -> str:
    return type(error).__name__
