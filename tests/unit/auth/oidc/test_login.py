# SPDX-License-Identifier: GPL-3.0-or-later
"""What a provider answers to a code, and whether it signs anybody in."""

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit

import pytest
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from ddnsd.auth.oidc import NotBegun, NotSignedIn, ProviderDown, TooWeak
from ddnsd.auth.oidc.client import Client
from ddnsd.auth.oidc.http_client import Http
from ddnsd.auth.oidc.login import Flow
from ddnsd.auth.oidc.login_state import LoginState
from ddnsd.auth.oidc.provider import Provider

SECRET = "s:e cret/+ü"


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    opened = Http()
    yield opened
    await opened.close()


def flow(liar: Any, http: Http, **changed: Any) -> Flow:
    provider = Provider(name="liar", issuer=liar.issuer, client_id="ddns", client_secret=SecretStr(SECRET))
    return Flow(Client(provider.model_copy(update=changed), http), "https://ddns.example.org")


async def complete(liar: Any, http: Http, id_token: str | None = None, **changed: Any) -> Any:
    """Who comes back, where the ID token has these claims otherwise."""
    attempt = LoginState.new("liar")
    liar.gives(liar.signed(liar.claims(**{"nonce": attempt.nonce} | changed)) if id_token is None else id_token)
    return (await flow(liar, http).complete(attempt, {"code": "c", "state": attempt.state})).identity


async def test_the_truth_signs_in(liar: Any, http: Http) -> None:
    somebody = await complete(liar, http)
    assert (somebody.issuer, somebody.subject, somebody.name) == (liar.issuer, "1", "ann")
    for changed in ({"aud": ["ddns"]}, {"aud": ["ddns", "x"], "azp": "ddns"}, {"azp": "ddns"}):
        assert (await complete(liar, http, **changed)).subject == "1"
    path, authorization, body = next(r for r in liar.requests if r[0] == "/token")
    name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    sent = dict(parse_qsl(body))
    assert (sent["grant_type"], sent["redirect_uri"]) == (
        "authorization_code",
        "https://ddns.example.org/login/liar/callback",
    )
    assert len(sent["code_verifier"]) == 43
    assert SECRET not in path + body
    assert (name, unquote_plus(secret)) == ("ddns", SECRET)


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": None},
        {"nonce": "other"},
        {"nonce": 7},
        {"iss": "https://other.example.org"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"aud": ["ddns", "x"]},
        {"aud": ["ddns", "x"], "azp": "x"},
        {"azp": "other"},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 9999999999},
        {"iat": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "2"},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"at_hash": 7},
    ],
    ids=str,
)
async def test_claims_that_do_not_fit(liar: Any, http: Http, changed: dict[str, Any]) -> None:
    with pytest.raises(NotSignedIn):
        await complete(liar, http, **changed)


async def test_signatures_that_do_not_fit(liar: Any, http: Http) -> None:
    attempt, other = LoginState.new("liar"), RSAKey.generate_key(2048, {"kid": "one"})
    claims = liar.claims(nonce=attempt.nonce)
    header, payload, signature = liar.signed(claims).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for token in (
        liar.signed(claims, other),
        f"{none}.{payload}.",
        f"{header}.{payload}.",
        "",
        "x",
        f"{header}..{signature}",
    ):
        liar.gives(token)
        with pytest.raises(NotSignedIn):
            await flow(liar, http).complete(attempt, {"code": "c", "state": attempt.state})


@pytest.mark.parametrize(
    "answer",
    [(400, {"error": "invalid_grant"}), (401, {}), (200, {}), (200, {"id_token": 7}), (200, {"access_token": "x"})],
)
async def test_codes_that_are_refused(liar: Any, http: Http, answer: Any) -> None:
    liar.answers["/token"] = answer
    attempt = LoginState.new("liar")
    with pytest.raises(NotSignedIn):
        await flow(liar, http).complete(attempt, {"code": "c", "state": attempt.state})


async def test_what_comes_back_with_the_browser(liar: Any, http: Http) -> None:
    attempt = LoginState.new("liar")
    for params in (
        {},
        {"code": "c"},
        {"code": "c", "state": "x"},
        {"state": attempt.state},
        {"code": "c", "state": "ü"},
    ):
        with pytest.raises(NotBegun):
            await flow(liar, http).complete(attempt, params)
    with pytest.raises(NotBegun):
        await flow(liar, http).complete(LoginState.new("other"), {"code": "c", "state": attempt.state})
    with pytest.raises(NotBegun):
        await flow(liar, http).complete(attempt, {"code": "c", "state": attempt.state, "iss": "https://x.example.org"})
    assert liar.asked("/token") == 0


@pytest.mark.parametrize("told", [{"sub": "2"}, {"sub": None}, {"name": "x"}])
async def test_userinfo_of_somebody_else(liar: Any, http: Http, told: dict[str, Any]) -> None:
    liar.answers["/me"] = 200, told
    with pytest.raises(NotSignedIn):
        await complete(liar, http)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/token", (500, {})),
        ("/token", (200, b"<html>")),
        ("/token", (200, [])),
        ("/token", (302, {})),
        ("/keys", (500, {})),
        ("/keys", (200, {})),
        ("/keys", (302, {})),
        ("/me", (401, {})),
        ("/me", (200, b"x" * 2**21)),
        ("/.well-known/openid-configuration", (404, {})),
        ("/.well-known/openid-configuration", (200, {"issuer": "https://other.example.org"})),
    ],
    ids=str,
)
async def test_answers_that_say_nothing(liar: Any, http: Http, path: str, answer: Any) -> None:
    attempt = LoginState.new("liar")
    liar.gives(liar.signed(liar.claims(nonce=attempt.nonce)))
    liar.answers[path] = answer
    with pytest.raises(ProviderDown if answer[0] != 302 or path != "/token" else (ProviderDown, NotSignedIn)):
        await flow(liar, http).complete(attempt, {"code": "c", "state": attempt.state})


@pytest.mark.parametrize(
    "url", ["http://evil.example.org/x", "javascript:x", "", None, 7, "//evil", "file:///etc/passwd"]
)
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"])
async def test_endpoints_that_are_not_to_be_trusted(liar: Any, http: Http, name: str, url: object) -> None:
    liar.answers["/.well-known/openid-configuration"] = 200, liar.metadata | {name: url}
    with pytest.raises(ProviderDown, match=name):
        await flow(liar, http).begin(LoginState.new("liar"))


async def test_the_way_there_and_out(liar: Any, http: Http) -> None:
    attempt = LoginState.new("liar", "/hosts")
    url = await flow(liar, http).begin(attempt)
    sent = parse_qs(urlsplit(url).query)
    assert url.startswith(f"{liar.issuer}/auth?x=y&")
    assert (sent["state"], sent["nonce"], sent["scope"]) == ([attempt.state], [attempt.nonce], ["openid profile email"])
    assert attempt.verifier not in url
    assert attempt.seed not in url
    assert await flow(liar, http).sign_out_url() is None
    more = liar.metadata | {"end_session_endpoint": f"{liar.issuer}/out?a=b"}
    liar.answers["/.well-known/openid-configuration"] = 200, more
    out = await flow(liar, http).sign_out_url()
    assert out is not None
    query = dict(parse_qsl(urlsplit(out).query))
    assert query == {"a": "b", "client_id": "ddns", "post_logout_redirect_uri": "https://ddns.example.org/login"}


async def test_it_is_known_when_the_provider_asked_for_the_password(liar: Any, http: Http) -> None:
    for stated, told in ((None, False), (1_700_000_000, True), (0, False)):
        attempt = LoginState.new("liar")
        liar.gives(liar.signed(liar.claims(nonce=attempt.nonce, auth_time=stated, sid="s")))
        proof = (await flow(liar, http).complete(attempt, {"code": "c", "state": attempt.state})).proof
        assert (proof.authenticated == 1_700_000_000_000_000, proof.subject, proof.sid) == (told, "1", "s")
        assert told or proof.authenticated > 1_700_000_000_000_000
    sent = parse_qs(urlsplit(await flow(liar, http).begin(LoginState.new("liar"), max_age=60)).query)
    assert sent["max_age"] == ["60"]


async def test_a_public_client_and_one_that_posts(liar: Any, http: Http) -> None:
    attempt = LoginState.new("liar")
    liar.gives(liar.signed(liar.claims(nonce=attempt.nonce)))
    back = {"code": "c", "state": attempt.state}
    await flow(liar, http, client_secret=None).complete(attempt, back)
    posting = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    liar.answers["/.well-known/openid-configuration"] = 200, liar.metadata | posting
    await flow(liar, http).complete(attempt, back)
    public, posted = [(header, dict(parse_qsl(body))) for path, header, body in liar.requests if path == "/token"]
    assert (public[0], public[1].get("client_id"), "client_secret" in public[1]) == ("", "ddns", False)
    assert (posted[0], posted[1]["client_secret"]) == ("", SECRET)


# ---- how the provider has signed somebody in

MFA = "https://refeds.org/profile/mfa"


@pytest.mark.parametrize(
    ("demanded", "stated", "enough"),
    [
        ({}, {}, True),
        ({"acr_values": (MFA, "gold")}, {"acr": MFA}, True),
        ({"acr_values": (MFA, "gold")}, {"acr": "gold"}, True),
        ({"acr_values": (MFA,)}, {}, False),
        ({"acr_values": (MFA,)}, {"acr": "silver"}, False),
        ({"acr_values": (MFA,)}, {"acr": [MFA]}, False),
        ({"acr_values": (MFA,)}, {"amr": ["mfa"]}, False),
        ({"amr_values": ("mfa", "hwk")}, {"amr": ["pwd", "hwk"]}, True),
        ({"amr_values": ("mfa",)}, {"amr": ["pwd"]}, False),
        ({"amr_values": ("mfa",)}, {"amr": [["mfa"], {}, None]}, False),
        ({"amr_values": ("mfa",)}, {}, False),
        ({"acr_values": (MFA,), "amr_values": ("mfa",)}, {"acr": MFA}, False),
        ({"acr_values": (MFA,), "amr_values": ("mfa",)}, {"acr": MFA, "amr": ["mfa"]}, True),
    ],
    ids=str,
)
async def test_a_sign_in_is_as_strong_as_demanded(
    liar: Any, http: Http, demanded: dict[str, Any], stated: dict[str, Any], enough: bool
) -> None:
    attempt = LoginState.new("liar")
    liar.gives(liar.signed(liar.claims(nonce=attempt.nonce, **stated)))
    done = flow(liar, http, **demanded).complete(attempt, {"code": "c", "state": attempt.state})
    if enough:
        assert (await done).identity.subject == "1"
        return
    with pytest.raises(TooWeak):
        await done


@pytest.mark.parametrize("amr", ["mfa", {"mfa": 1}], ids=str)
async def test_methods_are_a_list(liar: Any, http: Http, amr: object) -> None:
    with pytest.raises(NotSignedIn):
        await complete(liar, http, amr=amr)


async def test_userinfo_cannot_make_a_sign_in_stronger(liar: Any, http: Http) -> None:
    attempt = LoginState.new("liar")
    liar.gives(liar.signed(liar.claims(nonce=attempt.nonce)))
    liar.answers["/me"] = 200, {"sub": "1", "acr": MFA, "amr": ["mfa"]}
    for demanded in ({"acr_values": (MFA,)}, {"amr_values": ("mfa",)}):
        with pytest.raises(TooWeak):
            await flow(liar, http, **demanded).complete(attempt, {"code": "c", "state": attempt.state})


async def test_the_request_names_the_demanded_contexts(liar: Any, http: Http) -> None:
    sent = parse_qs(urlsplit(await flow(liar, http, acr_values=(MFA, "gold")).begin(LoginState.new("liar"))).query)
    assert sent["acr_values"] == [f"{MFA} gold"]
    assert "acr_values" not in await flow(liar, http).begin(LoginState.new("liar"))
