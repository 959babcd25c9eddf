# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system that all machines of a suite lie on: made once by debootstrap, and kept."""

import hashlib
import os
import shutil
import sys
import time
import tomllib
from pathlib import Path

from .host import Failure, locked, mounts, run

DESCRIPTION = Path(__file__).parents[1] / "image.toml"
OFFLINE = "var/lib/offline"
"""Where an image has the packages that apt finds in it."""
CONTAINED = (
    "setpriv",
    "--pdeathsig=KILL",
    "unshare",
    "--mount",
    "--propagation=private",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
"""Before a command: what it mounts and starts is gone when it ends, or when we do."""
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "getty.target",
    "systemd-firstboot.service",
)
"""Units that would wait for a person, or take apt's lock from a role by surprise."""
NO_DAEMONS = "#!/bin/sh\nexit 101\n"


def describe() -> dict[str, list[str]]:
    """The content of image.toml."""
    described: dict[str, list[str]] = tomllib.loads(DESCRIPTION.read_text())
    return described


def image(folder: Path, suite: str = "") -> Path:
    """The image of the suite (by default the first one) in the folder; made if there is none of its description."""
    described = describe()
    suite = suite or described["suites"][0]
    if suite not in described["suites"]:
        raise Failure(f"No suite {suite!r}: choose one of {', '.join(described['suites'])}, or add it to {DESCRIPTION}")
    content = DESCRIPTION.read_bytes() + Path(__file__).read_bytes()
    root = folder / f"{suite}-{hashlib.sha256(content).hexdigest()[:16]}"
    with locked(folder / "lock"):
        if not root.exists():
            _forget(folder, suite)
            _make(root, suite, described)
    return root


def _make(root: Path, suite: str, described: dict[str, list[str]]) -> None:
    began, unfinished = time.monotonic(), root.with_name(f"{root.name}.unfinished")
    print(f"Making the image {root.name} …", file=sys.stderr, flush=True)
    try:
        _bootstrap(unfinished, suite, described["installed"])
        _download(unfinished, described)
        _offline(unfinished)
        _blank(unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    unfinished.rename(root)
    print(f"Made it in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _forget(folder: Path, suite: str) -> None:
    """Remove images of the suite that no machine lies on, whole ones of an older description and unfinished ones."""
    used = [options for _point, options in mounts("overlay")]
    for other in folder.glob(f"{suite}-*"):
        if not any(f"={other}," in f"{options}," for options in used):
            shutil.rmtree(other)


def _bootstrap(root: Path, suite: str, packages: list[str]) -> None:
    mirror = [os.environ["DEBIAN_MIRROR"]] if "DEBIAN_MIRROR" in os.environ else []
    include = f"--include={','.join(packages)}"
    run(*CONTAINED, "debootstrap", "--variant=minbase", include, suite, root, *mirror)


def _inside(root: Path, *command: str) -> None:
    mount = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    run(*CONTAINED, "sh", "-c", mount, root, *command, env={"DEBIAN_FRONTEND": "noninteractive"})


def _download(root: Path, described: dict[str, list[str]]) -> None:
    """Fetch what roles may install, with all it needs, and install nothing."""
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    (root / "usr/sbin/policy-rc.d").write_text(NO_DAEMONS)
    _inside(root, "apt-get", "update")
    fetch = ("apt-get", "install", "--download-only", "--yes")
    _inside(root, *fetch, *described["packages"])
    _inside(root, *fetch, "--no-install-recommends", *described["packages"], *described["packages_alone"])
    (root / "usr/sbin/policy-rc.d").unlink()


def _offline(root: Path) -> None:
    """Make the fetched packages the only source of apt, so that `apt-get update` works without a network too."""
    folder = root / OFFLINE
    folder.mkdir()
    index = []
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        fields = run("dpkg-deb", "--field", package).strip()
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        name = package.name.replace("%", "_")
        index.append(f"{fields}\nFilename: ./{name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n")
        package.rename(folder / name)
    (folder / "Packages").write_text("\n".join(index))
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/{OFFLINE} ./\n")
    shutil.rmtree(root / "var/lib/apt/lists")
    _inside(root, "apt-get", "update")


def _blank(root: Path) -> None:
    """Remove what a machine must have of its own, and what would wait for a person."""
    for pattern in ("etc/ssh/ssh_host_*", "var/log/*.log", "var/log/apt/*", "var/cache/apt/*.bin", "etc/hostname"):
        for file in root.glob(pattern):
            file.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/default/locale").write_text("LANG=C.UTF-8\n")
    for unit in MASKED:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
