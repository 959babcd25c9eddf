# SPDX-License-Identifier: GPL-3.0-or-later
"""What shells offer for registered names and stacks."""

import pytest
from support import programs
from support.ports import free_port
from support.servers.service import Service

TOKEN, SERVER = "DDNS_TOKEN", "DDNS_SERVER"


def offered(words: str, **env: str) -> list[str]:
    """What is offered for the last word."""
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_DDNSCTL_COMPLETE": "bash_complete"}
    done = programs.run(["ddnsctl"], asked | env)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture(scope="session")  # as the service: a worker may run this module in two parts
def token(ddnsd: Service) -> str:
    """The token of a user with three hosts, in two stacks."""
    made = ddnsd.user("completer")
    for name, stack in (("tab-1", "tab-web"), ("tab-2", "tab-db"), ("other-tab", None)):
        body = {"fqdn": f"{name}.{ddnsd.domain}", "stack": stack}
        assert ddnsd.request("POST", "/api/hosts", made, json=body).status_code == 201
    return made


def test_names_and_stacks_of_the_service_are_offered(ddnsd: Service, token: str) -> None:
    env = {SERVER: ddnsd.url, TOKEN: token}
    tabs = [f"plain,tab-{number}.{ddnsd.domain}" for number in (1, 2)]
    for command in ("rotate", "show", "user-data", "plan --only"):
        assert offered(f"ddnsctl {command} tab", **env) == tabs
    for command in ("plan", "show", "import"):
        assert offered(f"ddnsctl {command} --stack tab", **env) == ["plain,tab-db", "plain,tab-web"]
    assert offered(f"ddnsctl rotate --server {ddnsd.url} TAB-1", DDNS_TOKEN=token) == tabs[:1]
    assert offered("ddnsctl show ./pl", **env) == ["file,./pl"]


def test_nothing_is_offered_and_said_without_a_service(ddnsd: Service, token: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    for env in (
        {SERVER: nowhere, TOKEN: token},
        {SERVER: ddnsd.url},
        {SERVER: ddnsd.url, TOKEN: "wrong"},
        {TOKEN: token},
    ):
        assert offered("ddnsctl rotate tab", **env) == []
    command = {SERVER: ddnsd.url, "DDNS_TOKEN_COMMAND": f"echo {token}"}
    assert offered("ddnsctl rotate tab", **command) == []
