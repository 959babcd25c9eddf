# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the lease of a stack while its declaration is applied, so that two runs do not undo each other.

A thread renews the lease. If this process dies, the lease ends by itself a minute later.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import Callable, Iterator, Mapping, NamedTuple

from .api import Server, Stacks
from .errors import Leased, LeaseLost, SyncError

INTERVAL = 20.0
"""Seconds between renewals; the service keeps a lease for 60 seconds."""
GRACE = 2.0
"""The most seconds that the end of a run waits for the server to take the lease back."""
PAUSE = 2.0
"""Seconds between attempts to get a lease that somebody else holds."""

_JOBS = {"CI_JOB_ID": "job", "GITHUB_RUN_ID": "run", "BUILD_TAG": "build", "BUILD_ID": "build"}
_COMMITS = ("CI_COMMIT_SHA", "GITHUB_SHA", "GIT_COMMIT")
_LENGTH = 255


class Turn(NamedTuple):
    """How to get a lease: the seconds to wait for it, and whether to take it from its holder."""

    wait: float = 0.0
    force: bool = False
    former: str = ""
    """The id of a lease whose process died, to continue it."""
    hint: str = ""
    """What to do if somebody else holds it, for the message."""


def job(environment: Mapping[str, str]) -> str:
    """What this run is, for others who wait: the job of the pipeline, or the process."""
    found = next((f"{word} {environment[name]}" for name, word in _JOBS.items() if environment.get(name)), None)
    return _printable(found or f"process {os.getpid()} on {socket.gethostname()}")


def commit(environment: Mapping[str, str]) -> str | None:
    """The commit that the pipeline works on, if it is known."""
    return next((_printable(environment[name]) for name in _COMMITS if environment.get(name)), None)


@contextmanager
def held(server: Server, stack: str | None, turn: Turn, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lease of the stack in the block. `tell` gets texts for the user.

    Without a stack, or if the server has no leases, nothing is done. Raises Leased, ServerError.
    """
    stacks = server.stacks
    if stack is None or stacks is None:
        yield
        return
    if turn.force and (holder := stacks.unlock(stack)):
        tell(f"Took the lease of {stack} from {holder}.")
    _acquire(stacks, stack, turn, tell)
    ended = threading.Event()
    threading.Thread(target=_renew, args=(stacks, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        release = threading.Thread(target=_try_to_release, args=(stacks,), daemon=True)
        release.start()
        release.join(GRACE)


def _try_to_release(stacks: Stacks) -> None:
    with suppress(SyncError):  # it ends by itself
        stacks.release()


def _acquire(stacks: Stacks, stack: str, turn: Turn, tell: Callable[[str], None]) -> None:
    until = time.monotonic() + turn.wait
    told = False
    while (refusal := _refusal(stacks, stack, turn.former)) is not None:
        left = until - time.monotonic()
        if left <= 0:
            raise Leased(f"{refusal}, so nothing has been changed{turn.hint and f'. {turn.hint}'}")
        if not told:
            tell(f"{refusal}. Waiting for at most {turn.wait:.0f} seconds …")
        told = True
        time.sleep(min(PAUSE, left))


def _refusal(stacks: Stacks, stack: str, former: str) -> Leased | None:
    """Take the lease. Returns the refusal if somebody else holds it."""
    try:
        stacks.acquire(stack, job(os.environ), commit(os.environ), former)
    except Leased as error:
        return error
    return None


def _renew(stacks: Stacks, ended: threading.Event) -> None:
    """Renew the lease until the run has ended, or the lease has."""
    with suppress(LeaseLost):  # the next call fails, and says so
        while not ended.wait(INTERVAL):
            _try_to_renew(stacks)


def _try_to_renew(stacks: Stacks) -> None:
    """Renew the lease, unless the server does not answer now. Raises LeaseLost."""
    try:
        stacks.renew()
    except LeaseLost:
        raise
    except SyncError:
        pass


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:_LENGTH]
