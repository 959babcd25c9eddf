# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a run that died: only those that still work, that are declared, and that are not there, are stored."""

from collections.abc import Sequence

from support.clients.transport import Scripted

from ddnsctl.sync.changes import Change
from ddnsctl.sync.lost_secrets import Collected, collect
from ddnsctl.sync.model import HostSpec, SecretSpec
from ddnsctl.sync.rest import RestServer

PATH = "/api/stacks/web/lease/secrets"
NAMES = ["kept", "there", "void", "none", "nowhere"]


def test_what_is_stored() -> None:
    specs = {name: HostSpec(name, secret=SecretSpec("file", name)) for name in NAMES[:3]}
    specs |= {"none": HostSpec("none", secret=SecretSpec("none")), "nowhere": HostSpec("nowhere")}
    script = Scripted().expect("POST /api/stacks/web/lease", {"id": "one"}, status=201)
    first = dict.fromkeys([*NAMES, "not declared"], "secret")
    script.expect(f"POST {PATH}", {"secrets": first, "next": 1, "other_tokens": 2})
    script.expect(f"POST {PATH}?cursor=1", {"secrets": {"kept": "later"}, "next": None, "other_tokens": 2})
    script.expect("POST /api/verify-secrets", {"valid": {"kept": True, "void": False}})
    server = RestServer(script)
    assert server.stacks is not None
    server.stacks.acquire("web", "a test", None)
    written = {}

    def sink_for(changes: Sequence[Change]) -> object:
        assert [change.name for change in changes] == ["kept"]
        return lambda change, secret: written.update({change.name: secret})

    found = collect(server, server.stacks, specs, sink_for, lambda place, _: place.path == "there")  # type: ignore[arg-type]
    script.done()
    assert written == {"kept": "later"}
    assert found == Collected(["kept"], 2)
    assert [text.partition(":")[0] for text in found.texts()] == [
        "Stored the secrets that an earlier run has made, but not stored",
        "An earlier run with another token may have made secrets that it did not store. Only that token can get them "
        "again.",
    ]


def test_nothing_is_asked_if_nothing_is_lost() -> None:
    script = Scripted().expect("POST /api/stacks/web/lease", {"id": "one"}, status=201)
    script.expect(f"POST {PATH}", {"secrets": {}, "next": None, "other_tokens": 0})
    server = RestServer(script)
    assert server.stacks is not None
    server.stacks.acquire("web", "a test", None)
    found = collect(server, server.stacks, {}, lambda _: lambda *_: None, lambda *_: False)
    assert found.texts() == []
    assert found == Collected(())


def test_many_hosts_are_not_all_named() -> None:
    (text,) = Collected([str(number) for number in range(7)]).texts()
    assert text.endswith(": 0, 1, 2, 3, 4 and 2 more.")
