# SPDX-License-Identifier: GPL-3.0-or-later
"""The authorization code flow: to the provider, and back with a code."""

import hmac
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from ddnsd.auth.oidc import NotBegun, NotSignedIn, TooWeak, backchannel, jwt
from ddnsd.auth.oidc.backchannel import LogoutToken
from ddnsd.auth.oidc.claims import presented
from ddnsd.auth.oidc.client import Client
from ddnsd.auth.oidc.login_state import LoginState
from ddnsd.auth.oidc.provider import Provider
from ddnsd.auth.sessions import Proof
from ddnsd.db.identities import OidcIdentity


class SignedIn(NamedTuple):
    """Who has signed in at a provider, and how."""

    identity: OidcIdentity
    proof: Proof


class Flow:
    """Sign-in at one provider; `base_url` is our own, without a slash at the end. Raises ProviderDown."""

    def __init__(self, client: Client, base_url: str) -> None:
        self._client, self._base_url = client, base_url

    @property
    def provider(self) -> Provider:
        """The operator's settings of the provider."""
        return self._client.provider

    @property
    def redirect_uri(self) -> str:
        """The redirect URI, to which the provider sends browsers back."""
        return f"{self._base_url}/login/{self.provider.name}/callback"

    async def begin(self, attempt: LoginState, *, max_age: int | None = None) -> str:
        """The URL at the provider to which the browser goes.

        The provider asks for the password again if it last did so more than `max_age` seconds ago.
        """
        metadata = await self._client.metadata()
        oauth = OAuth2Client(
            None,
            self.provider.client_id,
            scope=" ".join(self.provider.scopes),
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
        )
        more = {} if max_age is None else {"max_age": str(max_age)}
        if self.provider.acr_values:
            more["acr_values"] = " ".join(self.provider.acr_values)
        url, _ = oauth.create_authorization_url(
            metadata["authorization_endpoint"],
            state=attempt.state,
            code_verifier=attempt.verifier,
            nonce=attempt.nonce,
            **more,
        )
        return str(url)

    async def complete(self, attempt: LoginState, params: Mapping[str, str]) -> SignedIn:
        """The identity of the browser that came back with these parameters. Raises NotSignedIn with the reason.

        NotBegun if no code was redeemed, TooWeak if the provider did not sign the user in as the operator demands.
        """
        metadata = await self._client.metadata()
        self.check(attempt, params)
        if metadata.get("authorization_response_iss_parameter_supported") is True and "iss" not in params:
            raise NotBegun("the answer does not name its provider")
        tokens = await self._client.exchange(params["code"], attempt.verifier, self.redirect_uri)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise NotSignedIn("the provider gave no token for the code")
        try:
            claims = await self._id_token(attempt, id_token, access_token)
            self._check_strength(claims)
            told = await self._client.userinfo(access_token)
            if told and told.get("sub") != claims["sub"]:
                raise NotSignedIn("the userinfo endpoint returned claims of another subject")
            return SignedIn(presented(self.provider, claims | told, whole=True), _proof(claims))
        except jwt.Invalid as error:
            raise NotSignedIn(f"the ID token is invalid: {error}") from None

    def check(self, attempt: LoginState, params: Mapping[str, str]) -> None:
        """Check that the code belongs to the sign-in that this browser began. Raises NotBegun."""
        if attempt.provider != self.provider.name or not hmac.compare_digest(
            params.get("state", "").encode(), attempt.state.encode()
        ):
            raise NotBegun("the sign-in began in another browser")
        # the provider names itself against mix-up attacks (RFC 9207)
        if params.get("iss", self.provider.issuer) != self.provider.issuer:
            raise NotBegun("the answer is from another provider")
        if "code" not in params:
            raise NotBegun(f"the provider answered {params.get('error', 'nothing')!r}")

    async def _id_token(self, attempt: LoginState, token: str, access_token: str) -> dict[str, Any]:
        header, claims = await jwt.verified(self._client, token)
        client_id = self.provider.client_id
        expected = {
            "iss": {"essential": True, "value": self.provider.issuer},
            "aud": {"essential": True, "value": client_id},
        }
        given = {"client_id": client_id, "nonce": attempt.nonce, "access_token": access_token}
        try:
            CodeIDToken(claims, header, expected, given).validate(leeway=jwt.LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as error:
            raise jwt.Invalid(str(error)) from None
        jwt.subject_of(claims)
        return claims

    def _check_strength(self, claims: Mapping[str, Any]) -> None:
        """Check how the provider has signed the user in, by its ID token. Raises TooWeak."""
        acr, amr = claims.get("acr"), claims.get("amr")
        methods = amr if isinstance(amr, list) else []
        if self.provider.acr_values and acr not in self.provider.acr_values:
            raise TooWeak(f"the ID token has acr {acr!r}, demanded is one of {', '.join(self.provider.acr_values)}")
        if self.provider.amr_values and not any(method in self.provider.amr_values for method in methods):
            raise TooWeak(f"the ID token has amr {amr!r}, demanded is one of {', '.join(self.provider.amr_values)}")

    async def read_logout(self, token: str) -> LogoutToken:
        """Verify a logout token of the provider. Raises jwt.Invalid."""
        return await backchannel.read(self._client, token)

    async def sign_out_url(self) -> str | None:
        """The URL to sign out at the provider as well, and to come back; None if it has none."""
        endpoint = (await self._client.metadata()).get("end_session_endpoint")
        if endpoint is None:
            return None
        back = {"client_id": self.provider.client_id, "post_logout_redirect_uri": f"{self._base_url}/login"}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(back)}"


def _proof(claims: Mapping[str, Any]) -> Proof:
    """A provider that does not say when it asked for the password has done so now."""
    stated, sid, now = claims.get("auth_time"), claims.get("sid"), time.time()
    moment = min(stated, now) if isinstance(stated, int | float) and stated > 0 else now
    known = sid if isinstance(sid, str) and 0 < len(sid) <= backchannel.LONGEST and "\0" not in sid else None
    return Proof(round(moment * 1_000_000), claims["sub"], known)
