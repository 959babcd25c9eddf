# SPDX-License-Identifier: GPL-3.0-or-later
"""Every word of dyndns2, as one who set one address understands it."""

import pytest

from ddnsctl.sync.errors import Refused, ServerError, Unauthorized
from ddnsctl.sync.return_codes import outcome_of

NAME = "a.example.org"


@pytest.mark.parametrize(
    ("body", "address", "status"),
    [
        ("good 192.0.2.1", "192.0.2.1", "applied"),
        ("good 192.0.2.1\r\n", "192.0.2.1", "applied"),
        ("good", "192.0.2.1", "applied"),
        ("nochg 192.0.2.1", "192.0.2.1", "unchanged"),
        ("good 192.0.2.1,2001:db8::1", "2001:db8::1", "applied"),
        ("good 2001:0DB8:0:0::1", "2001:db8::1", "applied"),
    ],
)
def test_done(body: str, address: str, status: str) -> None:
    assert outcome_of(200, body, NAME, address) == status


@pytest.mark.parametrize(
    ("word", "code", "text"),
    [
        ("nohost", 404, "no such host"),
        ("!yours", 404, "another user"),
        ("notfqdn", 400, "full host name"),
        ("numhost", 400, "too many"),
        ("dnserr", 400, "address"),
        ("abuse", 403, "blocked"),
        ("badagent", 403, "program"),
        ("badsys", 400, "parameters"),
        ("!donator", 403, "account"),
        ("911", 503, "name server"),
    ],
)
def test_refused(word: str, code: int, text: str) -> None:
    for status in (200, 400):
        with pytest.raises(Refused, match=rf"a\.example\.org: {word}: .*{text}") as raised:
            outcome_of(status, word, NAME, "192.0.2.1")
        assert raised.value.status == code


def test_badauth_is_about_the_token() -> None:
    with pytest.raises(Unauthorized, match="token"):
        outcome_of(200, "badauth", NAME, "192.0.2.1")


def test_another_address_than_the_one_asked_for() -> None:
    with pytest.raises(ServerError, match=r"set 192\.0\.2\.9 instead of 192\.0\.2\.1"):
        outcome_of(200, "good 192.0.2.9", NAME, "192.0.2.1")


@pytest.mark.parametrize("body", ["", "<html>", "goodness", "good-ish 192.0.2.1"])
def test_no_word_at_all(body: str) -> None:
    with pytest.raises(ServerError, match="unknown return code"):
        outcome_of(200, body, NAME, "192.0.2.1")
    with pytest.raises(Refused, match="answered 500"):
        outcome_of(500, body, NAME, "192.0.2.1")
