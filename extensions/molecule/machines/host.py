# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host gives: its programs, mounts, locks and the cgroup that machines live in."""

import errno
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
"""What is run on the host, and the Debian package that has it."""
SEARCH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
KERNEL = (5, 14)
"""The first with cgroup.kill."""


class Failure(Exception):
    """Something did not work; the message is for a person."""


def missing() -> str:
    """What keeps this host from running machines, in one line; empty if nothing does."""
    if sys.platform != "linux":
        return "this is not Linux"
    version = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])
    if version < KERNEL:
        return "Linux 5.14 or newer is needed"
    if os.geteuid() != 0:
        return "root is needed"
    packages = {package for program, package in PROGRAMS.items() if not shutil.which(program, path=SEARCH)}
    if packages:
        return f"apt-get install {' '.join(sorted(packages))} is needed"
    return "" if cgroups() else "a mounted cgroup2 file system is needed"


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a program of the host; what it printed. Failure tells what it said."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": SEARCH, "LC_ALL": "C.UTF-8"} | (env or {}),
    )
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise Failure(f"{' '.join(str(word) for word in command)}: exit status {done.returncode}\n{said}")
    return done.stdout


def wait(what: str, done: Callable[[], bool], seconds: float) -> None:
    """Return when `done()`; Failure when it was not within the time."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise Failure(f"{what} took longer than {seconds:g} s")
        time.sleep(0.05)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is made and stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def mounts(kind: str = "") -> list[tuple[Path, str]]:
    """Where something is mounted, and its options, in the order of mounting; of one type of file system or of all."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _dash, rest = line.partition(" - ")
        file_system, _source, options = rest.split(" ", 2)
        if kind in ("", file_system):
            found.append((Path(fields.split()[4].encode().decode("unicode_escape")), options))
    return found


def unmount(folder: Path) -> None:
    """Unmount whatever is mounted in the folder or below it."""
    for point, _options in reversed(mounts()):
        if point.is_relative_to(folder.resolve()):
            run("umount", point)


def cgroups() -> Path | None:
    """Where cgroups (v2) are mounted; a machine's is directly below."""
    return next((point for point, _options in mounts("cgroup2")), None)


def cgroup(name: str) -> Path:
    """The cgroup of a machine."""
    folder = cgroups()
    if folder is None:
        raise Failure("a mounted cgroup2 file system is needed")
    return folder / name


def populated(group: Path) -> bool:
    """Whether a process lives in the cgroup or below it."""
    try:
        return "populated 1" in (group / "cgroup.events").read_text()
    except FileNotFoundError:
        return False


def kill_cgroup(group: Path) -> None:
    """Kill every process of the cgroup at once, and wait for their end."""
    payload = group / "payload"
    if populated(payload):
        # Without its payload, systemd-nspawn cleans up after itself and ends.
        (payload / "cgroup.kill").write_text("1")
        try:
            wait("systemd-nspawn's end", lambda: not populated(group), 5)
        except Failure:
            (group / "cgroup.kill").write_text("1")
    elif populated(group):
        (group / "cgroup.kill").write_text("1")
    wait(f"the end of the processes of {group.name}", lambda: not populated(group), 20)


def remove_cgroup(group: Path) -> None:
    """Kill what lives in the cgroup, and remove it. Who was about to enter it no longer can."""
    wait(f"removing the cgroup {group.name}", lambda: _removed(group), 20)


def _removed(group: Path) -> bool:
    kill_cgroup(group)
    try:
        # Where there are cgroups of version 1 too, systemd-nspawn makes the same one among systemd's.
        for point, _options in mounts("cgroup2") + mounts("cgroup"):
            for folder, _folders, _files in os.walk(point / group.name, topdown=False):
                Path(folder).rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True
