# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server is asked, and whether it gets the token of the environment: the table of `connect`."""

import pytest

from ddnsctl.sync.connect import Named
from ddnsctl.sync.errors import SyncError

A, B = "https://a.example.org", "https://b.example.org"


@pytest.mark.parametrize(
    ("option", "environment", "file", "asked", "gets_token"),
    [
        (A, None, None, A, True),
        (A, B, None, A, True),
        (A, None, B, A, True),
        (A, B, B, A, True),
        (None, A, None, A, True),
        (None, A, A, A, True),
        (None, A, B, None, False),
        (None, None, A, A, False),
        (None, None, None, None, False),
    ],
)
def test_the_table(
    option: str | None, environment: str | None, file: str | None, asked: str | None, gets_token: bool
) -> None:
    servers = Named(option, environment, file)
    if asked is None:
        with pytest.raises(SyncError):
            servers.url()
    else:
        assert servers.url() == servers.url_for("") == asked
    if gets_token:
        assert servers.url_for("DDNS_TOKEN") == asked
    else:
        with pytest.raises(SyncError):
            servers.url_for("DDNS_TOKEN")


@pytest.mark.parametrize(
    "other",
    ["https://A.Example.org/", "HTTPS://a.example.org", "https://a.example.org:443", "https://a.example.org.//", A],
)
def test_one_server_written_in_another_way(other: str) -> None:
    assert Named(None, A, other).url_for("DDNS_TOKEN") == A
    assert Named(A, None, other).overruled() == ""


@pytest.mark.parametrize(
    "other",
    [
        "http://a.example.org",
        "https://a.example.org:8443",
        "https://a.example.org/x",
        "https://a.example.org.evil.org",
        "https://b.example.org",
        "https://a.example.org:80",
    ],
)
def test_another_server(other: str) -> None:
    with pytest.raises(SyncError, match="nothing was sent"):
        Named(None, A, other).url()


def test_addresses_are_compared_as_addresses() -> None:
    assert Named(None, "http://[2001:DB8::0:1]:80", "http://[2001:db8::1]").url() == "http://[2001:DB8::0:1]:80"


def test_messages_say_what_to_do() -> None:
    with pytest.raises(SyncError) as differ:
        Named(None, A, B, "web.yml").url()
    assert str(differ.value) == (
        f"DDNS_SERVER is {A}, but web.yml names {B}; nothing was sent. "
        "Correct DDNS_SERVER, or choose the server with --server"
    )
    with pytest.raises(SyncError) as refused:
        Named(None, None, B, "plan.json", "api_url").url_for("DDNS_TOKEN")
    assert str(refused.value) == (
        f"only plan.json names the server {B}, but the token in DDNS_TOKEN is sent only to a server that you name; "
        f"nothing was sent. If the token is for this server, set DDNS_SERVER={B}, or use api_url"
    )
    assert Named(A, None, B).overruled() == f"the declaration names the server {B}; --server overrides it: {A}"


@pytest.mark.parametrize("url", ["nonsense", "https://user:pw@a.example.org"])
def test_what_is_no_url_is_an_error(url: str) -> None:
    with pytest.raises(SyncError):
        Named(None, url, A).url()
