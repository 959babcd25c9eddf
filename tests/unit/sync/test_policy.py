# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits on deletions."""

import pytest

from ddnsctl.sync.errors import Unsafe
from ddnsctl.sync.model import Capabilities, Declaration, Host, HostSpec, Registered
from ddnsctl.sync.plan import Options, make
from ddnsctl.sync.policy import Limits


def refused(limits: Limits, deleted: int, registered: int, *, replaced: int = 0, added: int = 0) -> bool:
    gone, anew = [f"h{i}" for i in range(deleted)], [f"r{i}" for i in range(replaced)]
    try:
        limits.check(gone, anew, registered=registered, added=added)
    except Unsafe:
        return True
    return False


DEFAULT = Limits()


@pytest.mark.parametrize(
    ("limits", "deleted", "registered", "more", "refusal"),
    [
        (DEFAULT, 0, 0, {}, False),
        (DEFAULT, 1, 1, {}, True),  # the last one
        (DEFAULT, 1, 1, {"added": 1}, False),
        (DEFAULT, 1, 2, {}, False),
        (DEFAULT, 2, 2, {}, True),
        (DEFAULT, 2, 3, {}, True),
        (DEFAULT, 3, 10, {}, False),
        (DEFAULT, 4, 10, {}, True),
        (DEFAULT, 2, 10, {"replaced": 1}, False),
        (DEFAULT, 2, 10, {"replaced": 2}, True),
        (DEFAULT, 0, 1, {"replaced": 1}, False),
        (DEFAULT, 0, 2, {"replaced": 2}, True),
        (DEFAULT, 100, 1000, {}, False),
        (DEFAULT, 101, 1000, {}, True),
        (Limits(0, None), 1, 10, {}, True),
        (Limits(None, 0), 1, 10, {}, True),
        (Limits(100, None), 1, 1, {}, False),
        (Limits(None, 5), 5, 5, {}, False),
        (Limits(None, 5), 6, 6, {}, True),
        (Limits(None, None), 9, 9, {}, False),
    ],
)
def test_bounds(limits: Limits, deleted: int, registered: int, more: dict[str, int], refusal: bool) -> None:
    assert refused(limits, deleted, registered, **more) is refusal


@pytest.mark.parametrize(
    ("text", "limits"),
    [("20%", (20, None)), (" 20 % ", (20, None)), ("100%", (100, None)), ("10", (None, 10)), ("all", (None, None))],
)
def test_parse(text: str, limits: tuple[int | None, int | None]) -> None:
    parsed = Limits.parse(text)
    assert (parsed.percent, parsed.count) == limits


@pytest.mark.parametrize("text", ["", "-1", "101%", "ten", "1.5", "10%%", "٣", "1" * 10])
def test_parse_nonsense(text: str) -> None:
    with pytest.raises(ValueError, match="write a number of hosts, a percentage such as 20%, or all"):
        Limits.parse(text)


def test_the_text_names_hosts_and_remedy() -> None:
    with pytest.raises(Unsafe) as raised:
        DEFAULT.check(["b", "a"], [], registered=2, added=0)
    assert raised.value.names == ("a", "b")
    assert str(raised.value) == (
        "2 of 2 registered hosts would be deleted or replaced, so none would be left; the limit allows 0: a, b. "
        "If this is intended, use `--max-deletes 2` (`max_deletes` in Ansible)"
    )
    with pytest.raises(Unsafe, match=r"h9\. If this"):
        DEFAULT.check([f"h{i}" for i in range(20)], [], registered=30, added=0)
    with pytest.raises(Unsafe, match=r"h4 and 5 more\. If this"):
        DEFAULT.check([f"h{i}" for i in range(25)], [], registered=30, added=0)


def plan(*, stack: str | None, prune: bool = True, destroy: bool = False, comment: str | None = None) -> None:
    names = [f"h{i}.example.org" for i in range(4)]
    registered = {name: Host(name, "example.org", "192.0.2.1", stack="web") for name in names}
    specs = {name: HostSpec(name, comment=comment) for name in names[: 4 if comment else 2]}
    egi = Capabilities("EGI", edits=frozenset({"ipv4"}))
    make(Declaration(stack, None, specs), Registered(registered), egi, Options(prune=prune, destroy=destroy))


def test_plans_are_held_to_the_limits() -> None:
    with pytest.raises(Unsafe) as raised:
        plan(stack="web")
    assert raised.value.names == ("h2.example.org", "h3.example.org")
    plan(stack="web", prune=False)
    plan(stack="web", destroy=True)


@pytest.mark.parametrize("stack", ["web", None])
def test_replacements_are_held_to_the_limits(stack: str | None) -> None:
    with pytest.raises(Unsafe, match="4 of 4 registered hosts"):
        plan(stack=stack, comment="new")


def judged(hosts: list[Host], *specs: HostSpec, edits: frozenset[str] = frozenset()) -> None:
    declared = Declaration("web", None, {spec.fqdn: spec for spec in specs})
    registered = Registered({host.fqdn: host for host in hosts})
    make(declared, registered, Capabilities("EGI", edits=edits | {"ipv4", "stack"}), Options(prune=True))


def test_the_last_host_may_go_when_another_comes() -> None:
    last = Host("a.example.org", "example.org", stack="web")
    with pytest.raises(Unsafe, match="so none would be left"):
        judged([last])
    judged([last], HostSpec("b.example.org"))
    judged([last, Host("b.example.org", "example.org")], HostSpec("b.example.org", adopt=True))
    with pytest.raises(Unsafe, match="so none would be left"):
        judged([last, Host("b.example.org", "example.org", stack="db")])


def test_moves_are_held_to_the_limits_where_they_make_new_hosts() -> None:
    hosts = [Host(f"old-{label}.example.org", "example.org", stack="web") for label in "ab"]
    specs = [HostSpec(f"{label}.example.org", moved_from=f"old-{label}.example.org") for label in "ab"]
    judged(hosts, *specs, edits=frozenset({"fqdn"}))
    with pytest.raises(Unsafe, match="2 of 2 registered hosts would be deleted or replaced; the limit allows 1: a"):
        judged(hosts, *specs)
