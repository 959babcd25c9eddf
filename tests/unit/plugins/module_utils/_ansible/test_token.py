# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights of tokens in canonical form, and tokens that have expired."""

from __future__ import annotations

import pytest
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.token import TOKEN


@pytest.mark.parametrize(
    ("end", "ended"), [(None, False), ("2999-01-01T00:00:00.000000Z", False), ("2020-01-01T00:00:00.000000Z", True)]
)
def test_a_token_that_has_expired_is_known(end: str | None, ended: bool) -> None:
    assert TOKEN.has_ended({"expires": end}) is ended


def test_rights_that_are_written_differently_are_equal() -> None:
    one = {"scopes": ["write", "read"], "networks": ["2001:DB8::1/64"], "expires": "2030-01-01 00:30:00+01:00"}
    other = {"scopes": ["read", "write"], "networks": ["2001:db8::/64"], "expires": "2029-12-31T23:30:00.000000Z"}
    assert TOKEN.canonical(one) == TOKEN.canonical(other)
    assert TOKEN.canonical({"expires": None, "networks": []}) == {"expires": None, "networks": []}
