# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd.dns.tsig`: what is read, what is written, and that no secret leaks."""

import base64

import dns.message
import dns.name
import dns.tsig
import pytest

from ddnsd.dns.tsig import ALGORITHMS, GENERATED, TsigKey

SECRET = base64.b64encode(b"canary//secret++of 32 octets!...").decode()
CLAUSE = f'key "up.example.org" {{ algorithm hmac-sha512; secret "{SECRET}"; }};'


@pytest.mark.parametrize("algorithm", GENERATED)
def test_a_new_key_is_as_long_as_its_hash_and_survives_its_text(algorithm: str) -> None:
    key = TsigKey.generate("Up.Example.ORG.", algorithm)
    assert (key.name, key.algorithm) == ("up.example.org", algorithm)
    assert len(base64.b64decode(key.secret)) == GENERATED[algorithm] == int(algorithm[-3:]) // 8
    assert TsigKey.from_text(key.to_text()) == key
    assert TsigKey.generate("up.example.org", algorithm) != key


@pytest.mark.parametrize("algorithm", ["hmac-md5", "hmac-sha1", "none"])
def test_no_new_key_uses_a_broken_algorithm(algorithm: str) -> None:
    with pytest.raises(ValueError, match="hmac-sha256, hmac-sha384, hmac-sha512"):
        TsigKey.generate("up", algorithm)


@pytest.mark.parametrize(
    ("text", "name", "algorithm"),
    [
        (CLAUSE, "up.example.org", "hmac-sha512"),
        (f"key up {{\n\tsecret {SECRET};\n\talgorithm HMAC-SHA1;\n}};\n", "up", "hmac-sha1"),
        (f'// key "a" {{ }};\n# key b {{\n/* key "c"\n{{ }} */ {CLAUSE} # the end', "up.example.org", "hmac-sha512"),
        (f'{CLAUSE}\noptions {{ default-key "up.example.org"; }};', "up.example.org", "hmac-sha512"),
        (f"hmac-md5.sig-alg.reg.int.:Up.:{SECRET}\n", "up", "hmac-md5"),
        (f"hmac-sha384:up_1:{SECRET}", "up_1", "hmac-sha384"),
        (f"up:{SECRET}", "up", "hmac-sha256"),
    ],
)
def test_every_usual_form_is_read(text: str, name: str, algorithm: str) -> None:
    assert TsigKey.from_text(text) == TsigKey(name, algorithm=algorithm, secret=SECRET)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "algorithm:name:secret"),
        (f"a:b:c:{SECRET}", "algorithm:name:secret"),
        (CLAUSE + CLAUSE, "found 2"),
        ("options { };", "found 0"),
        ('key "up" { algorithm hmac-sha256; };', "up: it has no secret"),
        ('key "up" { };', "up: it has no algorithm and no secret"),
        (f"hmac-sha3:up:{SECRET}", "unknown TSIG algorithm 'hmac-sha3'"),
        (f"hmac-sha256:u p:{SECRET}", "'u p' is not a valid name"),
        (f"hmac-sha256:a..b:{SECRET}", "'a..b' is not a valid name"),
        (f"hmac-sha256:.:{SECRET}", "is not a valid name"),
        ("hmac-sha256:up:", "up: the secret is empty"),
        (f"hmac-sha256:up:{SECRET}=", "up: the secret is not base64"),
        (f"hmac-sha256:up:{SECRET}é", "up: the secret is not base64"),
    ],
)
def test_an_error_names_what_is_wrong_but_not_the_secret(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"TSIG|key clause") as caught:
        TsigKey.from_text(text)
    assert problem in str(caught.value)
    assert SECRET[:8] not in str(caught.value)


def test_repr_hides_the_secret() -> None:
    assert repr(TsigKey("up", secret=SECRET)) == "TsigKey(name='up', algorithm='hmac-sha256')"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_dnspython_signs_with_it(algorithm: str) -> None:
    key = TsigKey("up", algorithm=algorithm, secret=SECRET).dnspython
    query = dns.message.make_query("example.org", "SOA")
    query.use_tsig(key)
    signed = dns.message.from_wire(query.to_wire(), keyring={key.name: key})
    assert signed.had_tsig
    assert signed.tsig is not None
    assert signed.tsig[0].algorithm == ALGORITHMS[algorithm]
