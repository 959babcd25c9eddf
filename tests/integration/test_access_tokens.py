# SPDX-License-Identifier: GPL-3.0-or-later
"""Access tokens of a provider on `/nic` and `/api`: who they let in, and everything that does not."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey
from support.ports import in_time, wait_until
from support.servers.openid_provider import AUDIENCE, Provider, new_key, provider
from support.servers.service import Service, dev

from ddnsd.auth.oidc.cached_fetch import PAUSE_SECONDS


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with provider(tmp_path_factory.mktemp("campus")) as running:
        yield running


@pytest.fixture(scope="module")
def service(campus: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    providers = json.dumps([campus.settings(admin_group="ddns-admins")])
    with dev(tmp_path_factory.mktemp("service"), oidc_providers=providers) as running:
        yield running


def me(service: Service, token: str) -> requests.Response:
    return service.get("/api/users/me", token)


def group_domain(service: Service, name: str, group: str) -> None:
    """A domain for the members of a group."""
    answer = service.request("POST", "/api/domains", service.admin_token, json={"name": name, "group": group})
    assert answer.status_code == 201, answer.text


def signed(campus: Provider, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
    """A token like the provider's, with some claims or header fields otherwise; None leaves one out."""
    now = int(time.time())
    full = {"iss": campus.issuer, "aud": AUDIENCE, "sub": "forged", "iat": now, "exp": now + 600} | claims
    fields = {"alg": "RS256", "typ": "at+jwt", "kid": campus.keys[0].kid} | (header or {})
    kept = {name: value for name, value in full.items() if value is not None}
    return jwt.encode(
        {n: v for n, v in fields.items() if v is not None}, kept, key or campus.keys[0], algorithms=[fields["alg"]]
    )


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize("form", ["jwt", "opaque"])
def test_a_user_comes_with_the_token(service: Service, campus: Provider, form: str) -> None:
    claims = {"preferred_username": f"Ann {form}", "eduperson_entitlement": ["urn:x:vo#y", "staff"]}
    campus.will_be(f"ann-{form}", in_access_tokens=claims)
    token = campus.token(f"ann-{form}", format=form)
    for _ in range(2):
        answer = me(service, token)
        assert answer.status_code == 200, answer.text
        assert answer.json() | {"name": f"Ann-{form}", "admin": False} == answer.json()
    secret = service.register(f"ann-{form}", token, ip="192.0.2.1")
    fqdn = f"ann-{form}.{service.domain}"
    assert [h["fqdn"] for h in service.get("/nic/hosts", token).json()["hosts"]] == [fqdn]
    for caller in ({"token": token}, {"auth": (fqdn, secret)}):
        answer = service.get("/nic/update", params={"hostname": fqdn, "myip": "192.0.2.2"}, **caller)
        assert answer.text in ("good 192.0.2.2", "nochg 192.0.2.2")
    assert service.dig(fqdn) == ["192.0.2.2"]


def test_groups_open_domains(service: Service, campus: Provider) -> None:
    group_domain(service, "vo.example.org", "urn:x:vo")
    for sub, groups, status in (("in", ["urn:x:vo", "b"], 200), ("out", ["urn:x:other"], 400), ("none", None, 400)):
        campus.will_be(sub, in_access_tokens={"preferred_username": sub, "eduperson_entitlement": groups})
        token = campus.token(sub)
        answer = service.get("/nic/register", token, params={"fqdn": f"{sub}.vo.example.org"})
        assert answer.status_code == status, answer.text
    campus.will_be("in", in_access_tokens={"eduperson_entitlement": "urn:x:left"})
    assert service.get("/nic/register", campus.token("in"), params={"fqdn": "x.vo.example.org"}).status_code == 400


def test_a_local_token_has_its_users_groups(service: Service, campus: Provider) -> None:
    group_domain(service, "lab.example.org", "lab")
    campus.will_be("tess", in_access_tokens={"preferred_username": "tess", "eduperson_entitlement": ["lab"]})
    assert me(service, campus.token("tess")).status_code == 200
    local = service.cli("token", "add", "tess", "--name", "t").stdout.strip()
    service.register("tess.lab.example.org", local, ip="192.0.2.1")


@pytest.mark.parametrize("form", ["jwt", "opaque"])
def test_a_token_made_with_it_does_not_outlive_it(service: Service, campus: Provider, form: str) -> None:
    campus.will_be("brief", in_access_tokens={"preferred_username": "brief", "eduperson_entitlement": ["ddns-admins"]})
    brief = campus.token("brief", format=form, seconds=30)
    ends = time.time() + 31
    body: dict[str, Any] = {"name": f"grab {form}", "scopes": ["read", "write", "admin"]}
    never = service.request("POST", "/api/tokens", brief, json=body)
    assert never.status_code == 201, never.text
    assert datetime.fromisoformat(never.json()["expires"]).timestamp() <= ends
    late = datetime.fromtimestamp(ends + 60, UTC).isoformat()
    longer = service.request("POST", "/api/tokens", brief, json=body | {"name": "longer", "expires": late})
    assert (longer.status_code, list(longer.json()["errors"])) == (422, ["expires"])
    # secrets of hosts are not meant: a machine is registered with an access token, and goes on for years
    secret = service.register(f"brief-{form}", brief, ip="192.0.2.1")
    assert service.get("/nic/update", auth=(f"brief-{form}.{service.domain}", secret)).status_code == 200


def test_rights_come_and_go_with_the_claim(service: Service, campus: Provider) -> None:
    for groups, status in ((["ddns-admins"], 200), ([], 403), (["ddns-admins"], 200), (None, 200), ([], 403)):
        claims = {"preferred_username": "chief"} | ({} if groups is None else {"eduperson_entitlement": groups})
        campus.will_be("chief", in_access_tokens=claims)
        assert service.get("/api/users", campus.token("chief")).status_code == status
    service.cli("user", "add", "chief", "--admin")
    assert service.get("/api/users", campus.token("chief")).status_code == 200  # what a person gave stays


def test_an_older_token_gives_no_rights_back(service: Service, campus: Provider) -> None:
    now = int(time.time())
    old, newer = (
        signed(campus, sub="demoted", preferred_username="demoted", iat=now - ago, eduperson_entitlement=groups)
        for ago, groups in ((500, ["ddns-admins"]), (5, []))
    )
    statuses = [service.get("/api/users", token).status_code for token in (old, newer, old)]
    assert statuses == [200, 403, 403]


def test_nobody_takes_over_a_name(service: Service, campus: Provider) -> None:
    service.user("ben")
    for sub, wanted, name in (
        ("b1", "ben", "ben-2"),
        ("b2", "ben", "ben-3"),
        ("b3", "admin", "admin-2"),
        ("b4", "root", "root-2"),
        ("b5", "ddnsd", "ddnsd-2"),
        ("b6", "Zoë Ünal", "Zoe-Unal"),
        ("b7", "", "user"),
        ("b8", "../..", "user-2"),
    ):
        campus.will_be(sub, in_access_tokens={"preferred_username": wanted})
        assert me(service, campus.token(sub)).json()["name"] == name


def test_who_is_inactive_stays_out(service: Service, campus: Provider) -> None:
    campus.will_be("ida", in_access_tokens={"preferred_username": "ida"})
    token = campus.token("ida")
    assert me(service, token).status_code == 200
    for active, status in ((False, 401), (True, 200)):
        path = "/api/users/ida"
        assert service.request("PATCH", path, service.admin_token, json={"active": active}).status_code == 200
        assert me(service, token).status_code == status


# ---- tokens that let nobody in


def test_what_the_provider_signs_is_let_in(service: Service, campus: Provider) -> None:
    """The forgeries below differ from this one in one thing each."""
    for kid in (campus.keys[0].kid, None):
        assert me(service, signed(campus, {"kid": kid})).status_code == 200
    assert me(service, signed(campus, aud=["x", AUDIENCE])).status_code == 200
    now = int(time.time())
    assert me(service, signed(campus, exp=now - 50, nbf=now + 50)).status_code == 200  # clocks differ a little


def refused(service: Service, token: str) -> None:
    assert me(service, token).status_code == 401
    assert service.get("/nic/update", token, params={"hostname": "x.example.org"}).text == "badauth"


@pytest.mark.parametrize(
    ("claim", "seconds"), [("exp", -120), ("nbf", 7200), ("iat", 7200)], ids=["expired", "of-tomorrow", "made-tomorrow"]
)
def test_times_that_do_not_fit(service: Service, campus: Provider, claim: str, seconds: int) -> None:
    claims: dict[str, Any] = {claim: int(time.time()) + seconds}
    refused(service, signed(campus, **claims))


@pytest.mark.parametrize(
    "change",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"aud": "https://other.example.org"},
        {"aud": None},
        {"aud": []},
        {"aud": [{"x": AUDIENCE}]},
        {"aud": "ddns"},
        {"iss": "https://accounts.example.org"},
        {"iss": None},
        {"iss": ["x"]},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"cnf": {"jkt": "x"}},
    ],
    ids=str,
)
def test_claims_that_do_not_fit(service: Service, campus: Provider, change: dict[str, Any]) -> None:
    refused(service, signed(campus, **change))


def test_an_id_token_is_no_access_token(service: Service, campus: Provider) -> None:
    for header, claims in (
        ({"typ": "JWT"}, {"nonce": "n"}),
        ({"typ": None}, {"at_hash": "h"}),
        ({"typ": "JWT"}, {"typ": "ID"}),
    ):
        assert me(service, signed(campus, header, **claims)).status_code == 401
    assert me(service, signed(campus, {"typ": "JWT"})).status_code == 200


def test_signatures_of_others(service: Service, campus: Provider) -> None:
    real = campus.keys[0]
    assert isinstance(real, RSAKey)
    public = real.as_pem(private=False)
    good = signed(campus)
    header, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    symmetric = f"{part({'alg': 'HS256', 'kid': real.kid})}.{payload}"
    mac = base64.urlsafe_b64encode(hmac.digest(public, symmetric.encode(), "sha256")).decode().rstrip("=")
    forged = {
        "none": f"{part({'alg': 'none', 'kid': real.kid})}.{payload}.",
        "none with a signature": f"{part({'alg': 'none', 'kid': real.kid})}.{payload}.{signature}",
        "None": f"{part({'alg': 'None', 'kid': real.kid})}.{payload}.",
        "no algorithm": f"{part({'kid': real.kid})}.{payload}.{signature}",
        "the public key as a secret": f"{symmetric}.{mac}",
        "signed anew": signed(campus, key=new_key()),
        "signed anew under another id": signed(campus, {"kid": "mine"}, new_key()),
        "another algorithm's key": signed(campus, {"alg": "ES256"}, new_key("EC")),
        "its own key": signed(campus, {"jwk": new_key().as_dict(private=False)}, new_key()),
        "a key elsewhere": signed(campus, {"jku": "https://evil.example.org/keys"}, new_key()),
        "changed": f"{header}.{part(claims | {'sub': 'admin'})}.{signature}",
        "no signature": f"{header}.{payload}.",
        "half a signature": f"{header}.{payload}.{signature[: len(signature) // 2]}",
        "claims are no object": f"{header}.{base64.urlsafe_b64encode(b'[]').decode()}.{signature}",
        "deep": f"{header}.{base64.urlsafe_b64encode(b'[' * 9000).decode()}.{signature}",
        "nothing": "..",
    }
    for what, token in forged.items():
        answer = me(service, token)
        assert answer.status_code == 401, what
        assert answer.headers["www-authenticate"].startswith("Bearer"), what
    assert me(service, signed(campus, note="x" * 20_000)).status_code == 431
    assert me(service, good).status_code == 200
    assert "forged" not in service.log.read_text()


@pytest.mark.parametrize("form", ["jwt", "opaque"])
def test_tokens_for_others(service: Service, campus: Provider, form: str) -> None:
    campus.will_be("eve")
    for _ in range(2):
        assert me(service, campus.token("eve", format=form, audience="https://other.example.org")).status_code == 401
    assert me(service, campus.token("eve", format=form)).status_code == 200


def test_opaque_tokens_that_nobody_knows(service: Service) -> None:
    for token in ("x", "x" * 43, "ddns_" + "x" * 32, "ddnse_" + "x" * 32, "a.b", "a.b.c", "a.b.c.d.e", "x" * 5000):
        for _ in range(2):
            assert me(service, token).status_code == 401


def test_a_revoked_token_lives_a_minute_at_most(service: Service, campus: Provider) -> None:
    campus.will_be("rob")
    unused, used = campus.token("rob", format="opaque"), campus.token("rob", format="opaque")
    assert me(service, used).status_code == 200
    for token in (unused, used):
        campus.revoke(token)
    assert me(service, unused).status_code == 401
    assert me(service, used).status_code == 200  # remembered; unit tests let the minute pass


# ---- a provider that changes, hangs, or is gone


def test_keys_change(service: Service, campus: Provider) -> None:
    campus.will_be("kim")
    old = campus.token("kim")
    assert me(service, old).status_code == 200
    campus.rotate(keep=True)
    campus.will_be("kim")
    new = campus.token("kim")
    wait_until(lambda: me(service, new).status_code == 200, PAUSE_SECONDS + 5, "new key")
    assert me(service, old).status_code == 200
    time.sleep(PAUSE_SECONDS)
    campus.rotate()
    campus.will_be("kim")
    assert me(service, campus.token("kim")).status_code == 200  # the first request asks for the keys
    assert me(service, old).status_code == 401


def test_a_provider_that_hangs_holds_up_nobody(service: Service, campus: Provider) -> None:
    campus.will_be("hal")
    known, unknown, opaque = (
        campus.token("hal"),
        signed(campus, {"kid": "new"}, new_key()),
        campus.token("hal", format="opaque"),
    )
    assert me(service, known).status_code == 200
    time.sleep(PAUSE_SECONDS)
    with campus.hanging(), ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(me, service, token) for token in (unknown, opaque) for _ in range(8)]
        with in_time():
            for _ in range(20):
                assert me(service, service.admin_token).status_code == 200
                assert me(service, known).status_code == 200
        answers = [future.result() for future in waiting]
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["type"] for answer in answers} == {"urn:ddns:provider"}
        with in_time():
            answer = service.get("/nic/update", opaque, params={"hostname": "x.example.org"})
            assert (answer.status_code, answer.text) == (503, "911")
            assert service.get("/nic/hosts", opaque).json()["message"] == "911"
    wait_until(lambda: me(service, opaque).status_code == 200, PAUSE_SECONDS + 5, "provider asked again")


def test_a_provider_that_is_gone(campus: Provider, tmp_path: Path) -> None:
    """What is not known is not held against the caller, from the first request on."""
    campus.will_be("gus")
    token, opaque = campus.token("gus"), campus.token("gus", format="opaque")
    campus.stop()
    try:
        with dev(tmp_path, oidc_providers=json.dumps([campus.settings()])) as service:
            for _ in range(2):
                for given in (token, opaque):
                    answer = service.get("/nic/update", given, params={"hostname": "x.example.org"})
                    assert (answer.status_code, answer.text) == (503, "911")
            assert me(service, service.admin_token).status_code == 200
            campus.start()
            campus.will_be("gus")
            wait_until(lambda: me(service, token).status_code == 200, PAUSE_SECONDS + 5, "provider found")
    finally:
        if campus.process is None:
            campus.start()


def test_who_is_not_known_may_be_refused(campus: Provider, tmp_path: Path) -> None:
    campus.will_be("new")
    providers = json.dumps([campus.settings(first_contact="refuse", client_secret=None)])
    secrets = json.dumps({"campus": "not-so-secret"})
    with dev(tmp_path, oidc_providers=providers, oidc_secrets=secrets) as service:
        for form in ("jwt", "opaque"):
            for _ in range(2):
                assert me(service, campus.token("new", format=form)).status_code == 401
        assert [u["name"] for u in service.get("/api/users", service.admin_token).json()["items"]] == ["admin"]
        assert "not-so-secret" not in service.cli("settings").stdout


def test_without_an_audience_no_token_counts(campus: Provider, tmp_path: Path) -> None:
    campus.will_be("new")
    with dev(tmp_path, oidc_providers=json.dumps([campus.settings(audience=[])])) as service:
        for form in ("jwt", "opaque"):
            assert me(service, campus.token("new", format=form)).status_code == 401


def test_junk_from_the_same_address_stops_no_right_token(campus: Provider, tmp_path: Path) -> None:
    """A right token gets its answer, or 911 until the provider was asked: never badauth."""
    campus.will_be("nan")
    settings = {"rules": "on", "signin_failures": "2", "oidc_providers": json.dumps([campus.settings()])}
    with dev(tmp_path, **settings) as service:
        known, new, signed_token = (campus.token("nan", format=form) for form in ("opaque", "opaque", "jwt"))
        assert me(service, known).status_code == 200
        for number in range(6):
            assert me(service, f"junk{number}").status_code in (401, 503)
        for _ in range(3):
            assert me(service, known).status_code == 200
            assert me(service, signed_token).status_code == 200
            assert service.get("/nic/hosts", known).status_code == 200

        def accepted() -> bool:
            status = me(service, new).status_code
            assert status in (200, 503)
            return status == 200

        wait_until(accepted, 30, "a new token after junk")


def test_a_provider_does_not_see_tokens_of_another(campus: Provider, tmp_path: Path) -> None:
    """With two providers only the marked one is asked about opaque tokens."""
    campus.will_be("oli")
    with provider(tmp_path, name="other") as other:
        for marked, status in (("campus", 200), ("other", 401)):
            providers = [campus.settings(opaque=marked == "campus"), other.settings("other", opaque=marked == "other")]
            with dev(tmp_path / marked, oidc_providers=json.dumps(providers)) as service:
                assert me(service, campus.token("oli", format="opaque")).status_code == status
                assert me(service, campus.token("oli")).status_code == 200
        unmarked = json.dumps([campus.settings(), other.settings("other")])
        with dev(tmp_path / "unmarked", oidc_providers=unmarked) as service:
            assert me(service, campus.token("oli", format="opaque")).status_code == 401
            shown = service.cli("doctor", check=False).stdout
            assert "opaque access tokens are refused, because none has opaque = true" in shown
