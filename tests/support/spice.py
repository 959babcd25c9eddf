# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that no careful client sends, for every door that takes text."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

bounded = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SPICE = st.sampled_from(
    [
        "",
        " ",
        "\0",
        "\r\n",
        "'",
        '"',
        "\\",
        "%",
        "*",
        ".",
        "..",
        "-",
        "_",
        "::",
        "%00",
        "../",
        "YES",
        "no",
        "true",
        "0",
        "-1",
        "192.0.2.1",
        "2001:db8::1",
        "2001:db8::/64",
        "::/0",
        "0.0.0.0/0",
        "fe80::1%eth0",
        "1" * 400,
        "a." * 200,
        "x" * 64,
        "dyn.example.org",
        "*.dyn.example.org",
        "a.dyn.example.org",
        "xn--a",
        "\ud800",
        "\ufeff",
        "\u202e",
        "${myip}",
        "{0}",
        "' OR 1=1 --",
        "ddns_",
        "k-",
        "k-0",
        "١٢٧.0.0.1",
        "１.２.３.４",
        "ſ.dyn.example.org",
        "K.dyn.example.org",
    ]
)
LISTS = st.lists(SPICE, max_size=5).map(",".join)
TEXTS = st.one_of(st.text(max_size=60), SPICE, LISTS, st.lists(SPICE, max_size=3).map("".join))
