# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens and keys: what a caller sees, creates and deletes, on both databases."""

from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller, Kind
from ddnsd.db import queries, quotas
from ddnsd.db.base import Store
from ddnsd.db.rows import Token
from ddnsd.db.schema import domains, events
from ddnsd.registry import accounts, credentials
from ddnsd.registry.credentials import Keys, Tokens, delete_expired_tokens
from ddnsd.registry.errors import Invalid, NoCredential, NotPermitted, OverQuota
from ddnsd.registry.policy import Policy
from ddnsd.registry.quotas import Quota, QuotaRules
from ddnsd.registry.token_scope import DAY, TokenScope

WRITE = TokenScope(("read", "write"))
LIMITED = TokenScope(("read",), hosts=("www.*",))


@pytest.fixture
async def ann(store: Store) -> Caller:
    """A user with the hosts www and mail; bob has other."""
    await store.transact(_fill)
    return Caller(Kind.USER, "ann", 1, "ann", scopes=frozenset({"read", "write"}))


def _fill(connection: Connection) -> None:
    users = {name: accounts.new_user(connection, name) for name in ("ann", "bob")}
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(domains).values(id=1, owner_id=users["ann"].id, name="example.org", created=0, **key))
    for name, owner in (("www", "ann"), ("mail", "ann"), ("other", "bob")):
        values = {"fqdn": f"{name}.example.org", "name": name, "secret_hash": name.encode()}
        queries.add_host(connection, domain_id=1, owner_id=users[owner].id, **values)


def _delete_host(connection: Connection, fqdn: str) -> None:
    (host,) = queries.hosts_named(connection, [fqdn])
    queries.delete_host(connection, host.id)


def limited(ann: Caller, token: Token) -> Caller:
    """Ann with this token."""
    scope = TokenScope.of(token)
    return ann._replace(scopes=frozenset(scope.scopes), host_patterns=scope.hosts, token_id=token.id)


async def create(store: Store, caller: Caller, name: str, wanted: TokenScope) -> Token:
    return await Tokens(store, Policy()).create(caller, name, wanted, f"ddns_{name}", client_ip=None)


async def test_a_token_is_created_with_its_scope_and_the_hash_of_its_secret(store: Store, ann: Caller) -> None:
    token = await create(store, ann, "ci", LIMITED)
    assert TokenScope.of(token) == LIMITED
    hashed = await store.read(lambda c: c.exec_driver_sql("SELECT hash FROM tokens").scalar())
    assert hashed == secrets.verifier("ddns_ci")


async def test_a_token_gives_no_more_than_the_one_that_creates_it(store: Store, ann: Caller) -> None:
    caller = limited(ann, await create(store, ann, "limited", LIMITED))
    assert TokenScope.of(await create(store, caller, "same", TokenScope(("read",)))) == LIMITED
    for wanted in (WRITE, TokenScope(("read",), hosts=("*",))):
        with pytest.raises(Invalid):
            await create(store, caller, "more", wanted)


async def test_a_token_does_not_outlive_what_creates_it(store: Store, ann: Caller) -> None:
    soon = queries.now() + 3_000_000
    brief = ann._replace(expires=soon)  # an access token of a provider, or an old session
    assert (await create(store, brief, "same", WRITE)).expires == soon
    with pytest.raises(Invalid, match="expires earlier"):
        await create(store, brief, "longer", TokenScope(("read",), expires=soon + 1))
    assert (await create(store, ann, "fresh", WRITE)).expires is None


async def test_the_operator_limits_lifetimes(store: Store, ann: Caller) -> None:
    tokens, now = Tokens(store, Policy(), max_days=2), queries.now()
    latest = now + 2 * DAY
    made = await tokens.create(ann, "open", WRITE, "ddns_open", client_ip=None)
    assert made.expires is not None
    assert latest <= made.expires <= latest + DAY
    with pytest.raises(Invalid, match="at most 2 days"):
        await tokens.create(ann, "long", TokenScope(("read",), expires=now + 3 * DAY), "ddns_long", client_ip=None)
    late = await tokens.create(ann._replace(expires=now + 9 * DAY), "late", WRITE, "ddns_late", client_ip=None)
    assert late.expires is not None
    assert latest <= late.expires <= latest + DAY
    assert tokens.latest_end(ann._replace(expires=now + DAY)) == now + DAY
    assert (tokens.latest_end(ann) or 0) >= latest
    assert Tokens(store, Policy()).latest_end(ann) is None


async def test_a_token_is_deleted_with_the_one_that_created_it(store: Store, ann: Caller) -> None:
    first = await create(store, ann, "first", WRITE)
    second = await create(store, limited(ann, first), "second", WRITE)
    await create(store, limited(ann, second), "third", WRITE)
    await create(store, limited(ann, first), "cousin", WRITE)
    await create(store, ann, "other", WRITE)
    await Tokens(store, Policy()).revoke(ann.user_id, first.id, actor="ann", client_ip=None)
    assert [token.name for token in (await Tokens(store, Policy()).page(ann, 0, 10)).items] == ["other"]
    with pytest.raises(NoCredential):
        await create(store, limited(ann, second), "late", WRITE)
    gone = select(events.c.detail).where(events.c.action == "token.delete")
    assert sorted(await store.read(lambda c: c.scalars(gone).all())) == ["cousin", "first", "second", "third"]


async def test_expired_tokens_are_deleted_with_those_that_they_created(store: Store, ann: Caller) -> None:
    first = await create(store, ann, "first", TokenScope(("read",), expires=queries.now() - 1))
    await create(store, limited(ann, first), "second", TokenScope(("read",)))
    assert await store.transact(lambda c: delete_expired_tokens(c, queries.now(), 10)) == 2
    assert (await Tokens(store, Policy()).page(ann, 0, 10)).items == []


def expired(ago: int) -> TokenScope:
    return TokenScope(("read",), expires=queries.now() - ago)


async def test_expired_tokens_do_not_count(store: Store, ann: Caller) -> None:
    tokens = Tokens(store, Policy(quotas=QuotaRules({Quota.TOKENS: 2})))
    for number in range(3):
        await tokens.create(ann, f"old{number}", expired(1), f"ddns_old{number}", client_ip=None)
    for number in range(2):
        await tokens.create(ann, f"new{number}", WRITE, f"ddns_new{number}", client_ip=None)
    with pytest.raises(OverQuota):
        await tokens.create(ann, "more", WRITE, "ddns_more", client_ip=None)
    assert (await store.read(quotas.largest))["tokens_per_user"] == 2


async def test_only_the_newest_expired_tokens_are_kept(
    store: Store, ann: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "MOST_EXPIRED", 2)
    await create(store, ann, "lasting", WRITE)
    for minute in range(5):
        await create(store, ann, f"minute{minute}", expired(5 - minute))
    await create(store, ann, "last", WRITE)
    names = [token.name for token in (await Tokens(store, Policy()).page(ann, 0, 10)).items]
    assert sorted(names) == ["last", "lasting", "minute3", "minute4"]


async def test_only_an_administrator_creates_an_administrators_token(store: Store, ann: Caller) -> None:
    demoted = ann._replace(scopes=frozenset({"read", "write", "admin"}))  # the session is older than that
    with pytest.raises(Invalid):
        await create(store, demoted, "admin", TokenScope(("admin",)))


async def test_a_limited_token_sees_and_deletes_no_token_that_may_do_more(store: Store, ann: Caller) -> None:
    tokens = Tokens(store, Policy())
    more, own = await create(store, ann, "more", WRITE), await create(store, ann, "own", LIMITED)
    less = await create(store, ann, "less", LIMITED)
    caller = limited(ann, own)
    assert [token.name for token in (await tokens.page(caller, 0, 10)).items] == ["own", "less"]
    with pytest.raises(NoCredential):
        await tokens.get(caller, more.id)
    with pytest.raises(NotPermitted):
        await tokens.delete(caller, more.id, client_ip=None)
    for token in (less, own):
        await tokens.delete(caller, token.id, client_ip=None)
    assert [token.name for token in (await tokens.page(ann, 0, 10)).items] == ["more"]


async def test_pages_go_on_after_tokens_that_are_not_shown(store: Store, ann: Caller) -> None:
    tokens = Tokens(store, Policy())
    hidden, own = await create(store, ann, "hidden", WRITE), await create(store, ann, "own", LIMITED)
    caller = limited(ann, own)
    assert await tokens.page(caller, 0, 1) == ([], hidden.id)
    assert await tokens.page(caller, hidden.id, 1) == ([own], None)


async def test_tokens_of_others_are_unknown(store: Store, ann: Caller) -> None:
    tokens, bob = Tokens(store, Policy()), Caller(Kind.USER, "bob", 2, "bob", scopes=ann.scopes)
    token = await create(store, ann, "ci", WRITE)
    assert (await tokens.page(bob, 0, 10)).items == []
    calls: list[Any] = [
        tokens.get(bob, token.id),
        tokens.delete(bob, token.id, client_ip=None),
        tokens.revoke(bob.user_id, token.id, actor="bob", client_ip=None),
    ]
    for call in calls:
        with pytest.raises(NoCredential):
            await call
    assert await tokens.revoke(ann.user_id, token.id, actor="bob", client_ip=None) == token


async def test_a_key_is_for_hosts_of_its_owner(store: Store, ann: Caller) -> None:
    keys = Keys(store, Policy())
    with pytest.raises(Invalid):
        await keys.create(ann, "router", ["other.example.org"], "k-other", "secret", client_ip=None)
    made = await keys.create(ann, "router", ["www.example.org", "mail.example.org"], "k-both", "secret", client_ip=None)
    assert [host.name for host in made.hosts] == ["mail", "www"]
    assert made.key.secret_hash == secrets.verifier("secret")
    assert await keys.page(ann, 0, 10) == ([made], None)
    assert await keys.delete(ann, "k-both", client_ip=None) == made.key
    with pytest.raises(NoCredential):
        await keys.get(ann, "k-both")


async def test_a_limited_token_sees_keys_whose_hosts_are_all_its_own(store: Store, ann: Caller) -> None:
    keys, caller = Keys(store, Policy()), ann._replace(host_patterns=("www.*",))
    for login, names in (("k-www", ["www"]), ("k-both", ["www", "mail"])):
        await keys.create(ann, login, [f"{name}.example.org" for name in names], login, "secret", client_ip=None)
    assert [own.key.login for own in (await keys.page(caller, 0, 10)).items] == ["k-www"]
    with pytest.raises(NoCredential):
        await keys.delete(caller, "k-both", client_ip=None)
    await store.transact(lambda c: _delete_host(c, "www.example.org"))
    assert (await keys.page(caller, 0, 10)).items == []


@pytest.mark.parametrize("login", ["k-none", "k-\x00", "k-é", "k" * 41])
async def test_a_login_that_nobody_has_is_unknown(store: Store, ann: Caller, login: str) -> None:
    with pytest.raises(NoCredential):
        await Keys(store, Policy()).get(ann, login)
