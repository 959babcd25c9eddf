# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of passkeys: which are right, and which no honest authenticator or browser gives."""

import json
import time
from itertools import chain

import cbor2
import pytest
from support.authenticator import PRESENT, VERIFIED, Authenticator, decoded, encoded

from ddnsd.auth import passkeys
from ddnsd.auth.passkeys import FLAGS, ID, Asked, BadPasskey, Purpose, Site

ORIGIN = "http://localhost:8053"
SITE = Site("localhost", ORIGIN)
CHALLENGE = bytes(range(32))
EXTENDED = 0x80
CREATE = passkeys.creation_options(SITE, CHALLENGE, "alice", b"handle", [b"known"], title="ddns.example.org")
GET = passkeys.request_options(SITE, CHALLENGE, verify_user=True)


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://ddns.example.org", ("ddns.example.org", "https://ddns.example.org")),
        ("https://DDNS.example.org:443/ddns/", ("ddns.example.org", "https://ddns.example.org")),
        ("https://ddns.example.org:8443", ("ddns.example.org", "https://ddns.example.org:8443")),
        ("http://localhost:8053", ("localhost", "http://localhost:8053")),
        ("http://ddns.localhost", ("ddns.localhost", "http://ddns.localhost")),
        ("http://ddns.example.org", None),
        ("https://192.0.2.1", None),
        ("http://127.0.0.1:8053", None),
        ("https://127.1", None),
        ("https://[2001:db8::1]:8443", None),
        ("https://bücher.example", None),
        ("", None),
    ],
)
def test_sites(url: str, site: tuple[str, str] | None) -> None:
    assert Site.of_url(url) == (site and Site(*site))


def test_what_browsers_are_asked() -> None:
    create, get = json.loads(CREATE), json.loads(GET)
    assert create["rp"] == {"id": "localhost", "name": "ddns.example.org"}
    assert [create["user"][name] for name in ("name", "id")] == ["alice", encoded(b"handle")]
    assert [one["id"] for one in create["excludeCredentials"]] == [encoded(b"known")]
    assert create["attestation"] == "none"
    assert decoded(create["challenge"]) == decoded(get["challenge"]) == CHALLENGE
    assert (get["rpId"], get["userVerification"], get["allowCredentials"]) == ("localhost", "required", [])
    second = json.loads(passkeys.request_options(SITE, CHALLENGE, [b"own"], verify_user=False))
    assert (second["userVerification"], second["allowCredentials"][0]["id"]) == ("preferred", encoded(b"own"))


def test_a_challenge_belongs_to_one_browser_purpose_moment_and_user() -> None:
    asked = Asked(Purpose.SECOND_FACTOR, "seed", 1_000_000, 7)
    others = [
        asked._replace(purpose=Purpose.SIGN_IN),
        asked._replace(seed="another"),
        asked._replace(began=1_000_001),
        asked._replace(user_id=8),
    ]
    challenges = {one.challenge(b"key") for one in [asked, *others]} | {asked.challenge(b"another key")}
    assert len(challenges) == 6
    moments = {ago: asked._replace(began=int(time.time()) - ago).is_current for ago in (0, 590, 610, -10)}
    assert moments == {0: True, 590: True, 610: False, -10: False}


def verified(device: Authenticator, text: str, count: int, *, verify_user: bool = True) -> int:
    public_key = passkeys.verified_creation(SITE, CHALLENGE, device.create(CREATE)).public_key
    assertion = passkeys.read_assertion(text)
    assert assertion.credential_id == device.credential_id
    return passkeys.verified_count(SITE, CHALLENGE, assertion, public_key, count, verify_user=verify_user)


def test_right_answers() -> None:
    device = Authenticator(ORIGIN)
    made = passkeys.verified_creation(SITE, CHALLENGE, device.create(CREATE))
    assert (made.credential_id, made.sign_count) == (device.credential_id, 1)
    assert passkeys.read_assertion(device.get(GET)).user_handle == b"handle"
    assert verified(device, device.get(GET), 1) == 3
    uncounted = Authenticator(ORIGIN, count=0)
    assert verified(uncounted, uncounted.get(GET), 0) == 0
    unverified = Authenticator(ORIGIN, flags=PRESENT)
    assert verified(unverified, unverified.get(GET), 0, verify_user=False) == 1


@pytest.mark.parametrize(
    "device",
    [
        Authenticator("http://localhost:8054"),
        Authenticator("https://localhost:8053"),
        Authenticator("http://LOCALHOST:8053"),
        Authenticator(ORIGIN + "/"),
        Authenticator("http://evil.localhost:8053"),
        Authenticator("http://localhost.example.org:8053"),
        Authenticator(ORIGIN, rp_id="example.org"),
        Authenticator(ORIGIN, flags=VERIFIED),
        Authenticator(ORIGIN, credential_id=bytes(1024)),
    ],
)
def test_passkeys_of_other_sites_are_not_added(device: Authenticator) -> None:
    with pytest.raises(BadPasskey):
        passkeys.verified_creation(SITE, CHALLENGE, device.create(CREATE))


def test_a_passkey_is_not_added_for_another_challenge() -> None:
    with pytest.raises(BadPasskey):
        passkeys.verified_creation(SITE, bytes(32), Authenticator(ORIGIN).create(CREATE))


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "http://localhost:8054"},
        {"origin": "http://localhost"},
        {"origin": "null"},
        {"rp_id": "127.0.0.1"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"key": Authenticator(ORIGIN).key},
        {"counter": 3},
        {"counter": 4},
        {"counter": -1},
    ],
)
def test_wrong_answers(change: dict[str, object]) -> None:
    device = Authenticator(ORIGIN, counter=10)
    public_key = passkeys.verified_creation(SITE, CHALLENGE, device.create(CREATE)).public_key
    for name, value in change.items():
        setattr(device, name, value)
    assertion = passkeys.read_assertion(device.get(GET))
    with pytest.raises(BadPasskey):
        passkeys.verified_count(SITE, CHALLENGE, assertion, public_key, 5, verify_user=True)


@pytest.mark.parametrize("change", [{"type": "webauthn.create"}, {"challenge": encoded(bytes(32))}, {"origin": None}])
def test_answers_to_other_questions(change: dict[str, object]) -> None:
    device = Authenticator(ORIGIN)
    with pytest.raises(BadPasskey):
        verified(device, device.get(GET, **change), 0)


def test_damaged_answers() -> None:
    device = Authenticator(ORIGIN)
    made, used = device.create(CREATE), device.get(GET)
    wrong = ["", "null", "[]", "{}", "x", "[" * 5000, '{"id": 1}', '{"id":"a","rawId":"a","type":"public-key"}']
    for text in wrong:
        with pytest.raises(BadPasskey):
            passkeys.verified_creation(SITE, CHALLENGE, text)
        with pytest.raises(BadPasskey):
            passkeys.read_assertion(text)
    for text in cut(made):
        with pytest.raises(BadPasskey):
            passkeys.verified_creation(SITE, CHALLENGE, text)
    for text in cut(used):
        with pytest.raises(BadPasskey):
            verified(device, text, 0)


def bomb(levels: int) -> bytes:
    """A map whose key is an array that refers to itself so often that it takes years to compute its hash."""
    references = b"".join(b"\xd8\x1d" + cbor2.dumps(level) for level in range(levels, 0, -1))
    return b"\xa1" + b"\xd8\x1c\x82" * (levels + 1) + b"\0\0" + references + b"\0"


def with_bomb(part: str) -> str:
    """The answer to CREATE with a bomb in one of its parts."""
    device = Authenticator(ORIGIN)
    answer = json.loads(device.create(CREATE))
    content = cbor2.loads(decoded(answer["response"]["attestationObject"]))
    data, more = content["authData"], b""
    begin = ID + len(device.credential_id)
    if part == "statement":
        more = cbor2.dumps("x") + bomb(60)
    elif part == "key":
        data = data[:begin] + bomb(60)
    elif part == "extensions":
        data = extended(data) + bomb(60)
    else:  # a decoder that encodes the key again finds it shorter, and the extensions within it
        data = extended(data[:begin]) + b"\xa1\x01\x9b" + bytes(7) + b"\x02\0\x49" + bomb(60)
    fields = {**content, "authData": data}
    octets = b"".join(map(cbor2.dumps, chain.from_iterable(fields.items())))
    attested = bytes([0xA0 + len(fields) + bool(more)]) + octets + more
    return json.dumps(answer | {"response": answer["response"] | {"attestationObject": encoded(attested)}})


def extended(data: bytes) -> bytes:
    """What an authenticator has signed, with the flag of extensions."""
    return data[:FLAGS] + bytes([data[FLAGS] | EXTENDED]) + data[FLAGS + 1 :]


@pytest.mark.parametrize("part", ["statement", "key", "extensions", "key that is longer than needed"])
def test_small_answers_that_take_years(part: str) -> None:
    with pytest.raises(BadPasskey):
        passkeys.verified_creation(SITE, CHALLENGE, with_bomb(part))


def test_a_sign_in_that_takes_years() -> None:
    answer = json.loads(Authenticator(ORIGIN).get(GET))
    data = extended(decoded(answer["response"]["authenticatorData"])) + bomb(60)
    with pytest.raises(BadPasskey):
        passkeys.read_assertion(
            json.dumps(answer | {"response": answer["response"] | {"authenticatorData": encoded(data)}})
        )


def cut(text: str) -> list[str]:
    """The answer with each of its fields missing, empty, cut, and of another type."""
    answer = json.loads(text)
    made = []
    for name, value in answer["response"].items():
        if name != "userHandle":
            wrong: list[object] = [None, "", value[: len(value) // 2], 7, [], "AAAA" * 100]
            made += [json.dumps(answer | {"response": answer["response"] | {name: one}}) for one in wrong]
    return made


def test_handles_say_nothing_and_differ() -> None:
    handles = {passkeys.user_handle(*one) for one in ((1, 0), (1, 1), (11, 0), (2, 0))}
    assert len(handles) == 4
    assert {len(one) for one in handles} == {32}
