# SPDX-License-Identifier: GPL-3.0-or-later
"""The updater `ddns-update`, and a machine to run it on: its addresses, its clock, its files."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parents[3] / "roles" / "ddns_client" / "files" / "ddns-update"
IPV4, IPV6 = "192.0.2.7", "2001:db8::7"
HOST = "vm.dyn.example.org"
SECRET = "s3cret+/=value-of-the-host"


def load() -> Any:
    """The program as a module of its own."""
    loader = SourceFileLoader("ddns_update", str(PROGRAM))
    spec = spec_from_loader("ddns_update", loader)
    assert spec is not None
    module = module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def names(self) -> list[dict[str, Any]]:
        """The names of a run with `--json`."""
        names: list[dict[str, Any]] = json.loads(self.out)["names"]
        return names


@dataclass
class Machine:
    """Runs the updater in this process, with made-up addresses, on a clock that only a test moves, and no resolver."""

    folder: Path
    addresses: list[str] = field(default_factory=lambda: [IPV4, IPV6])
    now: float = 1_700_000_000.0
    booted: float = 1_699_999_000.0
    ahead: float = 0.0
    """How far the clock on the wall is ahead of the time that passes."""
    gateway: str = "192.0.2.1"

    def __post_init__(self) -> None:
        self.updater = load()
        self.updater.SECRETS = str(self.folder / "secrets")
        self.updater.SPARE = str(self.folder / "spare")
        self.updater.RESOLV_CONF = str(self.folder / "resolv.conf")
        self.updater.machine_addresses = self._own
        self.updater.default_route = lambda _: self.updater.Route("eth0", self.gateway)
        self.updater.socket = _Socket(self.updater.socket)
        self.routers = dict(self.updater.ROUTERS)
        self.updater.ROUTERS.update(dict.fromkeys(self.routers, self._no_router))
        (self.folder / "secrets").mkdir(parents=True)
        self.flags: dict[str, int] = {}
        self.preferred: dict[str, int] = {}

    def _no_router(self, _: object) -> str:
        raise self.updater.Failure("no router")

    @property
    def config(self) -> Path:
        return self.folder / "ddns-update.conf"

    @property
    def state_file(self) -> Path:
        return self.folder / "state" / "state.json"

    @property
    def state(self) -> dict[str, Any]:
        """What it keeps of each name."""
        names: dict[str, Any] = json.loads(self.state_file.read_text())["names"]
        return names

    @property
    def moment(self) -> Any:
        """What the kernel and the clock say."""
        return self.updater.Moment(f"boot-{self.booted}", self.now - self.booted, self.now + self.ahead)

    def boot(self) -> None:
        """Begin anew, half a minute later."""
        self.now += 30
        self.booted = self.now

    def waits(self, name: str = HOST, family: str = "ipv4", kind: str = "pauses") -> float:
        """How long a family of a name pauses from now on."""
        left: float = self.updater.remaining(self.state[name][kind][family], self.moment)
        return left

    def _own(self) -> list[Any]:
        return [self._address(address) for address in self.addresses]

    def _address(self, address: str) -> Any:
        """As the kernel says: an address that is permanent is preferred for ever."""
        flags = self.flags.get(address, self.updater.PERMANENT)
        preferred = self.preferred.get(address, 2**32 - 1 if flags & self.updater.PERMANENT else 3600)
        return self.updater.Own(address, "ipv6" if ":" in address else "ipv4", 2, flags, preferred)

    def secret(self, name: str = HOST, text: str = SECRET) -> None:
        """Write a secret as the role does."""
        file = self.folder / "secrets" / name
        file.write_text(text + "\n")
        file.chmod(0o600)

    def configure(self, server: str = "", section: str = HOST, **options: object) -> None:
        """A configuration with one name, its secret, and these options."""
        self.secret()
        given = {"server": server, "secret": HOST, **options}
        lines = [f"{option} = {value}" for option, value in given.items() if value != ""]
        self.config.write_text("\n".join([f"[{section}]", *lines, ""]))

    def run(self, *arguments: str) -> Ran:
        """`ddns-update ARGUMENTS`, with this machine's configuration and state."""
        verb = [a for a in arguments[:1] if a in self.updater.COMMANDS]
        rest = list(arguments[len(verb) :])
        if not verb or verb[0] in ("run", "certificate", "report", "watch"):
            rest = ["--config", str(self.config), "--state", str(self.folder / "state"), *rest]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                status = self.updater.main([*verb, *rest], lambda: self.moment)
            except SystemExit as end:
                status = end.code
        return Ran(status, out.getvalue(), err.getvalue())


class _Socket:
    """The module `socket`, on a machine whose interface `eth0` has the index 2."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def if_nametoindex(self, name: str) -> int:
        if name != "eth0":
            raise OSError("no such interface")
        return 2


def apart(code: str, *setup: str) -> Any:
    """Run Python code in a network namespace of its own, after these `ip` commands; what it prints, as JSON."""
    script = "set -e\nip link set lo up\n" + "".join(f"ip {line}\n" for line in setup) + 'exec "$PYTHON" -c "$CODE"\n'
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    env = os.environ | {"PYTHON": sys.executable, "CODE": code, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*unshare, "sh", "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
