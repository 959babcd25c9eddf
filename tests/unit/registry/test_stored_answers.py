# SPDX-License-Identifier: GPL-3.0-or-later
"""How many answers are stored for a user, on both databases."""

import pytest
from sqlalchemy import Connection

from ddnsd.db import idempotency
from ddnsd.db.base import Store
from ddnsd.registry import accounts
from ddnsd.registry.errors import OverQuota
from ddnsd.registry.policy import Policy
from ddnsd.registry.quotas import MEGABYTE, Quota, QuotaRules, Quotas


async def test_short_answers_are_not_many(store: Store) -> None:
    quotas = Quotas(Policy(quotas=QuotaRules({Quota.ANSWERS: 1})))
    most = MEGABYTE // idempotency.LEAST_SIZE

    def answer(connection: Connection, user_id: int, number: int) -> None:
        key = number.to_bytes(32)
        assert idempotency.reserve(connection, key, b"", user_id) is None
        idempotency.write(connection, key, "{}", final=True)

    def work(connection: Connection) -> None:
        user_id = accounts.new_user(connection, "ann").id
        for number in range(most - 1):
            answer(connection, user_id, number)
        quotas.check_answers(connection, user_id, 2)
        answer(connection, user_id, most)
        with pytest.raises(OverQuota):
            quotas.check_answers(connection, user_id, 2)

    await store.transact(work)
