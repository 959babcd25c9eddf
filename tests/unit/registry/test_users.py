# SPDX-License-Identifier: GPL-3.0-or-later
"""Users as administrators change them, on both databases."""

from collections.abc import Sequence
from typing import Any

import pytest

from ddnsd.db import identities, queries
from ddnsd.db.base import Store
from ddnsd.db.identities import OidcIdentity
from ddnsd.db.rows import User
from ddnsd.registry import accounts
from ddnsd.registry.account_removal import Removal
from ddnsd.registry.errors import NotEmpty, Stale, Taken
from ddnsd.registry.users import Users

BY: dict[str, Any] = {"actor": "root", "client_ip": "192.0.2.1"}


@pytest.fixture
async def users(store: Store) -> Users:
    await store.transact(lambda c: accounts.new_user(c, "root", admin=True))
    return Users(store)


def _unchanged(_user: User, _groups: Sequence[str]) -> None:
    """The form is as new as the row."""


async def test_rights_and_groups_change_together(users: Users) -> None:
    ann = await users.add("ann", admin=False, **BY)
    await users.change("ann", {"admin": True}, frozenset({"lab"}), expect=_unchanged, **BY)
    assert (await users.details(ann.id)).assigned_groups == ["lab"]

    def changed_meanwhile(user: User, groups: Sequence[str]) -> None:
        assert (bool(user.admin), list(groups)) == (True, ["lab"])
        raise Stale

    with pytest.raises(Stale):
        await users.change("ann", {"admin": False}, frozenset(), expect=changed_meanwhile, **BY)
    found = await users.named("ann")
    assert found is not None
    assert found.admin
    assert (await users.details(ann.id)).assigned_groups == ["lab"]


async def test_details_tell_claimed_groups_from_assigned_ones(users: Users, store: Store) -> None:
    ann = await users.add("ann", admin=False, **BY)
    somebody = OidcIdentity("https://id.example", "1", "ann", "ann", frozenset({"lab", "staff"}), None)
    identity = await store.transact(lambda c: identities.add_identity(c, ann.id, somebody))
    await store.transact(lambda c: identities.set_groups(c, ann.id, identity, ["lab", "staff"]))
    await users.change("ann", {}, frozenset({"lab"}), expect=_unchanged, **BY)
    details = await users.details(ann.id)
    assert (details.assigned_groups, details.claimed_groups) == (["lab"], ["staff"])
    assert [found.issuer for found in details.identities] == ["https://id.example"]
    assert (details.tokens, details.has_password) == ([], False)


async def test_add_and_remove(users: Users, store: Store) -> None:
    await users.add("ann", admin=False, **BY)
    with pytest.raises(Taken):
        await users.add("ann", admin=False, **BY)
    with pytest.raises(NotEmpty):
        await users.remove(Removal("root", **BY))
    await users.remove(Removal("ann", **BY))
    assert await store.read(lambda c: queries.user(c, "ann")) is None
