# SPDX-License-Identifier: GPL-3.0-or-later
"""The server role's rate limit at a running BIND: a resolver with many clients loses no answer."""

import asyncio
import re
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
from support.servers import front
from support.servers.bind import Server

ZONE = "dyn.example.org"
QUERIES = 200


def limits(folder: Path, **variables: object) -> str:
    """The `rate-limit` of the role's template."""
    given = {"ddns_server_primary": True, "ddns_server_node": True, "inventory_hostname": "localhost", **variables}
    text = front.render(folder, given, named="named.conf.options.j2")["named"]
    found = re.search(r"rate-limit \{\n(?: +[^\n]*;\n)+ +\};", text)
    assert found is not None
    return found[0]


async def answers(server: Server, source: str) -> list[str]:
    """How the server answers queries for names that do not exist: `whole`, `truncated` or `none`."""

    async def ask(number: int) -> str:
        query = dns.message.make_query(f"vm{number}.{ZONE}", "A")
        try:
            answer = await dns.asyncquery.udp(query, "127.0.0.1", 3, server.endpoint.port, source=source)
        except dns.exception.Timeout:
            return "none"
        return "truncated" if answer.flags & dns.flags.TC else "whole"

    return list(await asyncio.gather(*(ask(number) for number in range(QUERIES))))


async def test_a_limited_answer_is_asked_for_again_over_tcp(tmp_path: Path) -> None:
    rate_limit = limits(tmp_path, ddns_server_rate_limit_exempt=["127.0.0.3/32"])
    server = Server(tmp_path / "bind", options=f"notify no; {rate_limit}")
    await server.start()
    try:
        await asyncio.to_thread(server.bind().provision, ZONE)
        limited = await answers(server, "127.0.0.2")
        assert set(limited) == {"whole", "truncated"}
        assert await server.ask(f"vm1.{ZONE}") == ["NXDOMAIN"]
        assert set(await answers(server, "127.0.0.3")) == {"whole"}
    finally:
        await server.stop()
