# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine: a root file system over the image, a namespace on the network, and systemd booted in both."""

import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .host import SEARCH, Failure, cgroup, populated, remove_cgroup, run, wait
from .network import NAMESPACES, Network

BOOT_SECONDS = 60
NOWHERE = "nameserver 127.0.0.53\n"
"""Where nobody listens: every question fails at once."""
REBOOT = 133
"""systemd-nspawn's exit status when the machine wants to be started anew."""
POWER = f'echo $$ >"$0/cgroup.procs" && while "$@"; [ $? = {REBOOT} ]; do :; done'


@dataclass(frozen=True)
class Machine:
    """A machine of a scenario, whether it runs or not."""

    folder: Path
    """Of its own: `upper` and `work` of the overlay, `root`, and what its console said."""
    network: Network
    host: str
    place: int
    """Its place on the network."""

    @property
    def name(self) -> str:
        """Unique on the host."""
        return self.network.namespace(self.host)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def addresses(self) -> tuple[str, str]:
        """IPv4 and IPv6."""
        return self.network.addresses(self.place)

    def make(self, image: Path, files: Mapping[str, str]) -> None:
        """Mount its root, write the files (path to content) into it, and join the network. The SSH host key is new."""
        upper, work = self.folder / "upper", self.folder / "work"
        for folder in (upper, work, self.root):
            folder.mkdir(parents=True)
        options = f"lowerdir={image},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "-o", options, self.name, self.root)
        own = {
            "etc/hostname": f"{self.host}\n",
            "etc/machine-id": f"{uuid.uuid4().hex}\n",
            "etc/resolv.conf": NOWHERE,
        }
        for path, content in {**own, **files}.items():
            file = self.root / path
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.write_text(content)
            if content.startswith("#!"):
                file.chmod(0o755)
        key = self.root / "etc/ssh/ssh_host_ed25519_key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.host, "-f", key)
        self.network.join(self.host, self.place)

    def host_key(self) -> str:
        """Its public SSH key, as known_hosts has it."""
        return " ".join((self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])

    def running(self) -> bool:
        """Whether a process of it lives."""
        return populated(cgroup(self.name))

    def start(self) -> None:
        """Power it on; it is not waited for."""
        if self.running():
            raise Failure(f"{self.host} runs already")
        group = cgroup(self.name)
        group.mkdir(parents=True, exist_ok=True)
        with self.console.open("a") as console:
            subprocess.Popen(
                ["sh", "-c", POWER, str(group), *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                cwd="/",
                env=os.environ | {"PATH": SEARCH, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        wait(f"starting {self.host}", self.running, 5)

    def _command(self) -> list[str]:
        return [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            f"--machine={self.name}",
            f"--hostname={self.host}",
            f"--directory={self.root}",
            f"--network-namespace-path={NAMESPACES / self.name}",
            "--console=pipe",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            # What sandboxed units, an address of one's own and many files need, and a real machine has.
            "--capability=CAP_NET_ADMIN",
            "--system-call-filter=bpf add_key keyctl request_key",
            "--rlimit=RLIMIT_NOFILE=1024:1048576",
        ]

    def wait(self, ssh: list[str]) -> None:
        """Return when it has booted. `ssh` is the command that reaches it. Failure names units that failed."""

        def said(command: str) -> str:
            done = subprocess.run(
                [*ssh, self.host, command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            return done.stdout.strip()

        def answers() -> bool:
            if not self.running():
                raise Failure(f"{self.host} ended while it booted:\n{self._last_words()}")
            return said("echo here") == "here"

        wait(f"booting {self.host}", answers, BOOT_SECONDS)
        state = said(f"timeout {BOOT_SECONDS} systemctl is-system-running --wait")
        if state != "running":
            raise Failure(f"{self.host} is {state or 'unreachable'}: {said('systemctl --failed --no-legend --plain')}")

    def _last_words(self) -> str:
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-20:])

    def kill(self) -> None:
        """End all its processes at once, like a power cut. What they wrote stays.

        The cgroup goes with them: Linux 6 kills what systemd 257 forks from a cgroup that was killed into a new one.
        """
        remove_cgroup(cgroup(self.name))
