# SPDX-License-Identifier: GPL-3.0-or-later
"""Which limit applies to whom, and what counting costs."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from ddnsd.db.quotas import Override, Owner
from ddnsd.registry import window_counter
from ddnsd.registry.errors import OverQuota
from ddnsd.registry.policy import Policy
from ddnsd.registry.quotas import DEFAULTS, Overrides, Quota, QuotaRules
from ddnsd.registry.rates import BULK, OWNER_SECONDS, Rates
from ddnsd.registry.validation import BLANK
from ddnsd.registry.window_counter import WindowCounter

ANN = Owner(1, False, frozenset({"g", "h"}))
DOMAIN = 7


def override(limit: int, quota: Quota = Quota.HOSTS, **subject: Any) -> Override:
    return Override(0, subject.get("user"), subject.get("group"), subject.get("domain"), quota, limit)


EVERYBODY = override(0)
OWN, OTHERS = override(11, user=1), override(12, user=2)
IN_DOMAIN, IN_OTHER = override(21, domain=DOMAIN), override(22, domain=8)
GROUP, LARGER, FOREIGN = override(31, group="g"), override(32, group="h"), override(33, group="x")
UNLIMITED = override(0, group="g")


@pytest.mark.parametrize(
    ("rows", "given", "limit"),
    [
        ([], None, DEFAULTS[Quota.HOSTS]),
        ([], 5, 5),
        ([], 0, None),
        ([EVERYBODY], None, None),  # an upgraded installation
        ([EVERYBODY], 5, 5),  # whose operator has set it
        ([EVERYBODY, OWN], None, 11),
        ([OWN, IN_DOMAIN, GROUP], 5, 11),
        ([OTHERS, IN_OTHER, FOREIGN], 5, 5),
        ([IN_DOMAIN, GROUP, LARGER], 5, 21),
        ([GROUP, LARGER], 5, 32),
        ([LARGER, UNLIMITED], 5, None),
        ([override(0, user=1), IN_DOMAIN], 5, None),
        ([override(9, Quota.KEYS, user=1)], 5, 5),
    ],
)
def test_the_limit(rows: list[Override], given: int | None, limit: int | None) -> None:
    rules = QuotaRules({} if given is None else {Quota.HOSTS: given})
    assert rules.limit(Overrides(rows), ANN, Quota.HOSTS, DOMAIN) == limit
    assert rules.limit(Overrides(rows), ANN._replace(admin=True), Quota.HOSTS, DOMAIN) is None
    rules.enabled = False
    assert rules.limit(Overrides(rows), ANN, Quota.HOSTS, DOMAIN) is None


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeStore:
    """Answers reads with the next of `answers`; there must be one."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    async def read(self, _work: object) -> Any:
        return self.answers.pop(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Iterator[FakeStore]:
    made = FakeStore()
    yield made
    assert made.answers == []


@pytest.fixture
def rates(store: FakeStore, clock: Clock) -> Rates:
    given = {Quota.CHANGES: 3, Quota.API_WRITES: 3}
    return Rates(cast("Any", store), Policy(quotas=QuotaRules(given)), clock)


HOST = BLANK._replace(id=5, owner_id=1, domain_id=DOMAIN, fqdn="www.example.org")


async def test_changes_below_the_limit_cost_no_query(rates: Rates, store: FakeStore) -> None:
    for _ in range(3):
        await rates.take_change(HOST, removes=False)
    for number in range(100):
        await rates.take_change(HOST._replace(fqdn=f"h{number}.example.org"), removes=False)
    assert await rates.exhausted(1, [f"h{number}.example.org" for number in range(100)]) == {}
    await rates.take_change(HOST, removes=True)
    store.answers = [ANN]
    with pytest.raises(OverQuota):
        await rates.take_change(HOST, removes=False)


async def test_the_owner_is_remembered_for_a_while(rates: Rates, store: FakeStore, clock: Clock) -> None:
    for _ in range(3):
        await rates.take_change(HOST, removes=False)
    store.answers = [ANN]
    for _ in range(5):
        with pytest.raises(OverQuota) as caught:
            await rates.take_change(HOST, removes=False)
    assert caught.value.retry_after == 3600
    clock.now += OWNER_SECONDS
    store.answers = [ANN._replace(admin=True)]
    await rates.take_change(HOST, removes=False)
    clock.now += 3600
    store.answers = []
    await rates.take_change(HOST, removes=False)  # a new hour


async def test_somebody_elses_smaller_limit_refuses_nobody_else(rates: Rates, store: FakeStore) -> None:
    store.answers = [[override(1, Quota.CHANGES, user=2)], ANN]
    await rates.refresh()
    for _ in range(3):
        await rates.take_change(HOST, removes=False)
    with pytest.raises(OverQuota):
        await rates.take_change(HOST, removes=False)
    store.answers = [Owner(2, False)]
    await rates.take_change(HOST._replace(owner_id=2), removes=False)
    with pytest.raises(OverQuota):
        await rates.take_change(HOST._replace(owner_id=2), removes=False)


async def test_the_owner_is_told_once_an_hour(rates: Rates, clock: Clock) -> None:
    assert [rates.is_news(HOST) for _ in range(3)] == [True, False, False]
    assert rates.is_news(HOST._replace(fqdn="other.example.org"))
    clock.now += 3600
    assert rates.is_news(HOST)


async def test_writes_of_a_bulk_call(rates: Rates, store: FakeStore, clock: Clock) -> None:
    await rates.take_write(1, BULK + 1, refuse=True)
    await rates.take_write(1, 0, refuse=True)
    store.answers = [ANN]
    with pytest.raises(OverQuota) as caught:
        await rates.take_write(1, refuse=True)
    assert caught.value.retry_after == 60
    await rates.take_write(1, refuse=False)
    clock.now += 60
    await rates.take_write(1, refuse=True)


async def test_without_rules_nothing_is_counted(store: FakeStore) -> None:
    rates = Rates(cast("Any", store), Policy(quotas=QuotaRules({Quota.CHANGES: 1}, enabled=False)))
    for _ in range(5):
        await rates.take_change(HOST, removes=False)
    assert not rates._counters[Quota.CHANGES]._windows


def test_a_counter(clock: Clock) -> None:
    counter: WindowCounter[str] = WindowCounter(60.0, clock)
    assert [counter.add(1, "a"), counter.add(1, "a", 2), counter.add(1, "b"), counter.add(2, "a")] == [1, 3, 1, 1]
    assert (counter.number(1, "a"), counter.highest(1), counter.highest(3), counter.number(3, "a")) == (3, 3, 0, 0)
    clock.now += 59.5
    assert (counter.seconds_left(1, "a"), counter.seconds_left(3, "a")) == (1, 1)
    clock.now += 0.5
    assert (counter.number(1, "a"), counter.highest(1)) == (0, 0)
    assert counter.add(2, "b") == 1
    assert list(counter._windows) == [2]  # what has passed is forgotten


def test_a_counter_forgets_the_key_that_was_unused_for_longest(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_counter, "MOST_KEYS", 3)
    counter: WindowCounter[str] = WindowCounter(60.0, clock)
    counter.add(2, "b")
    for key in ("a", "b", "c", "a", "d"):
        counter.add(1, key)
    assert [counter.number(1, key) for key in "abcd"] == [2, 0, 1, 1]
    assert counter.number(2, "b") == 1
