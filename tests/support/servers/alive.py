# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a service answers others while it is attacked, and how much memory it takes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from support.clients import raw_http
from support.servers.service import Service


@contextmanager
def alive(service: Service) -> Iterator[None]:
    """Another client asks for health without a pause, and is answered each time."""
    end, answers = threading.Event(), []

    def ask_on() -> None:
        while not end.is_set():
            answers.append(raw_http.exchange(raw_http.request("/healthz"), service.http_port, source="127.0.0.9").text)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_on)
        try:
            yield
        finally:
            end.set()
            asking.result()
    assert set(answers) == {"ok"}


def resident(service: Service) -> int:
    """The most memory that the service's process has ever had, in octets."""
    assert service.process is not None
    with open(f"/proc/{service.process.pid}/status") as status:  # noqa: PTH123
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
