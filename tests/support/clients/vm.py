# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine whose updater is a process with clocks of its own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from support.clients.dyndns import Host
from support.clients.updater import IPV4, PROGRAM

WALL_ALONE = "--exclude-monotonic"
"""Without it the kernel's clocks move as well."""

LAUNCH = textwrap.dedent(
    """
    import sys
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader
    loader = SourceFileLoader("u", sys.argv[1])
    u = module_from_spec(spec_from_loader("u", loader))
    loader.exec_module(u)
    u.RESOLV_CONF, u.DNS_PORT, u.BOOT_ID = sys.argv[2] + "/resolv.conf", int(sys.argv[3]), sys.argv[2] + "/boot_id"
    u.machine_addresses = lambda: [u.Own(sys.argv[4], "ipv4", 2, u.PERMANENT, 0)]
    u.default_route = lambda _: None
    sys.exit(u.main(sys.argv[5:]))
    """
)


class Vm:
    """A machine whose updater keeps a host, and whose resolver is the service's BIND."""

    def __init__(self, folder: Path, host: Host, address: str = IPV4) -> None:
        self.folder, self.host, self.address, self.boots = folder, host, address, 0
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.boot()
        self.configure(host.secret)

    def boot(self) -> None:
        """The kernel has started again."""
        self.boots += 1
        (self.folder / "boot_id").write_text(f"boot-{self.boots}\n")

    def configure(self, secret: str, *options: str) -> None:
        """Its configuration and its secret; `options` are lines."""
        (self.folder / "secret").write_text(secret + "\n")
        lines = [f"[{self.host.fqdn}]", f"server = {self.host.service.url}", "ipv6 = no", "sources = interface"]
        lines += [f"secret_file = {self.folder}/secret", *options, ""]
        (self.folder / "conf").write_text("\n".join(lines))

    def run(self, offset: str, *switches: str) -> tuple[int, str]:
        """A run at this offset from now; its status and the rest of its line."""
        program: list[str | Path] = [sys.executable, "-B", "-c", LAUNCH, PROGRAM, self.folder]
        known = [str(self.host.service.dns_port), self.address]
        files: list[str | Path] = ["--config", self.folder / "conf", "--state", self.folder / "state"]
        done = subprocess.run(
            ["faketime", *switches, "-f", offset, *program, *known, "run", *files],
            env={**os.environ, "RUNTIME_DIRECTORY": str(self.folder / "spare")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.strip().removeprefix(f"{self.host.fqdn}: ")
