# SPDX-License-Identifier: GPL-3.0-or-later
"""A service in a thread of this process, beside the one of `ddnsd dev`: coverage counts what it runs."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ddnsd import app
from ddnsd.dns.endpoint import Endpoint
from ddnsd.server import Server, listen
from ddnsd.settings import Settings
from support.ports import free_port, wait_until
from support.servers.service import Service


@contextmanager
def in_process(first: Service, **given: object) -> Iterator[Service]:
    """A further service on the database of the first one, with the first one's BIND; `given` are its settings."""
    port, dns_port = free_port(), free_port()
    update_listen = f"127.0.0.1:{dns_port}"
    url = first.settings.get("DDNSD_DATABASE_URL", f"sqlite:///{first.dir}/ddnsd.db")
    settings = Settings(
        dir=first.dir,
        database_url=url,
        http=f"127.0.0.1:{port}",
        dns=f"127.0.0.1:{first.dns_port}",
        resolver=f"127.0.0.1:{first.dns_port}",
        allow_loopback_peers=True,
        rules=False,
        second_factor_key=first.dir / "second_factor.key",
        update_listen=(update_listen,),
        **given,  # type: ignore[arg-type]
    )
    started, failures, servers = threading.Event(), list[BaseException](), list[Server]()

    async def run() -> None:
        service = app.Service(settings)
        assert service.dns_server is not None
        await service.dns_server.start([Endpoint.from_text(update_listen)])
        await service.start()
        server = Server(service.app, service.sources, started.set, lambda: None)
        servers.append(server)
        await server.serve([listen(Endpoint.from_text(settings.http))])
        await service.dns_server.stop()
        await service.stop()

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_until(lambda: started.is_set() or bool(failures), 30, "the service has started")
        assert not failures
        yield Service(first.dir, port, first.dns_port, (), {"DDNSD_UPDATE_LISTEN": update_listen}, first.domain)
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(30)
        assert not failures
