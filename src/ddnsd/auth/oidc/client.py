# SPDX-License-Identifier: GPL-3.0-or-later
"""Client of one provider: metadata (OpenID Connect Discovery), keys, and authenticated calls."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.oidc.cached_fetch import CachedFetch
from ddnsd.auth.oidc.http_client import Http
from ddnsd.auth.oidc.provider import Provider, is_loopback

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
KEY_TYPES = ("RSA", "EC", "OKP")
ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
    "introspection_endpoint",
    "end_session_endpoint",
)
NEEDED = ENDPOINTS[:3]


class Client:
    """Calls raise ProviderDown if the provider does not answer correctly."""

    def __init__(self, provider: Provider, http: Http) -> None:
        self.provider, self._http = provider, http
        self._metadata = CachedFetch(self._fetch_metadata)
        self._keys = CachedFetch(self._fetch_keys)

    async def metadata(self) -> dict[str, Any]:
        """The provider's metadata; its endpoints are as trustworthy as the issuer."""
        return await self._metadata.get()

    async def keys(self, kid: object, *, newer: bool = False) -> list[Key]:
        """The public keys with this id, or all if it is None; `newer` fetches again, unless that was just done."""
        found = await (self._keys.newer() if newer else self._keys.get())
        return [key for key in found if kid is None or key.kid == kid]

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> dict[str, Any]:
        """The answer of the token endpoint; {} if it refuses the code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        status, content = await self._post("token_endpoint", form)
        return content if status == 200 else {}

    async def introspect(self, token: str) -> dict[str, Any]:
        """The introspection of an access token; it has at least `active`."""
        status, content = await self._post(
            "introspection_endpoint", {"token": token, "token_type_hint": "access_token"}
        )
        if status == 400:  # the provider does not accept it as a token
            return {"active": False}
        if status != 200:
            raise ProviderDown(f"{self.provider.name}: introspection was refused with status {status}")
        return content

    async def userinfo(self, access_token: str) -> dict[str, Any]:
        """The claims of the user; {} if the provider has no such endpoint."""
        endpoint = (await self.metadata()).get("userinfo_endpoint")
        return await self._http.get(endpoint, {"Authorization": f"Bearer {access_token}"}) if endpoint else {}

    async def _post(self, endpoint: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        metadata = await self.metadata()
        url, provider = metadata.get(endpoint), self.provider
        if url is None:
            raise ProviderDown(f"{provider.name}: there is no {endpoint}")
        headers, more = _credentials(provider, metadata)
        return await self._http.post(url, FORM | headers, urlencode(form | more))

    async def _fetch_metadata(self) -> dict[str, Any]:
        issuer = self.provider.issuer
        found = await self._http.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise ProviderDown(f"{issuer}: it calls itself {found.get('issuer')!r}")
        for name in ENDPOINTS:
            if name in found or name in NEEDED:
                _check_endpoint(issuer, name, found.get(name))
        return found

    async def _fetch_keys(self) -> list[Key]:
        url = (await self.metadata())["jwks_uri"]
        found = (await self._http.get(url)).get("keys")
        if not isinstance(found, list):
            raise ProviderDown(f"{url}: no key set")
        return [key for key in map(_key, found) if key is not None]


def _credentials(provider: Provider, metadata: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Header and fields by which the client authenticates (RFC 6749, section 2.3.1)."""
    if provider.secret is None:
        return {}, {"client_id": provider.client_id}
    methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if "client_secret_basic" not in methods:
        return {}, {"client_id": provider.client_id, "client_secret": provider.secret}
    pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.secret)}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}, {}


def _check_endpoint(issuer: str, name: str, url: object) -> None:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts and parts.hostname and (parts.scheme == "https" or _is_local(issuer, parts.scheme, parts.hostname)):
        return
    raise ProviderDown(f"{issuer}: {name} is {url!r}")


def _is_local(issuer: str, scheme: str, host: str) -> bool:
    return issuer.startswith("http://") and scheme == "http" and is_loopback(host)


def _key(content: Any) -> Key | None:
    """A public key for signatures; unsupported ones are skipped (RFC 7517, section 5)."""
    if not isinstance(content, dict) or content.get("kty") not in KEY_TYPES or content.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(content)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
