# SPDX-License-Identifier: GPL-3.0-or-later
"""octoDNS of PyPI, with a zone of its own on the BIND that the service uses."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.bind import Bind
from bench.clock import seconds_of

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".cache" / "octodns-venv"

_CONFIG = """\
providers:
  config:
    class: octodns.provider.yaml.YamlProvider
    directory: {directory}
    default_ttl: 60
    enforce_order: false
  bind:
    class: octodns_bind.Rfc2136Provider
    host: 127.0.0.1
    port: {port}
    key_name: {key.name}
    key_secret: {key.secret}
    key_algorithm: hmac-sha256
zones:
  {zone}.:
    sources: [config]
    targets: [bind]
"""


def install() -> None:
    """Have the venv."""
    subprocess.run([ROOT / "scripts" / "peer-venv", "octodns"], check=True)


@dataclass(frozen=True)
class OctoDns:
    """Its configuration in a folder, for one zone."""

    directory: Path
    bind: Bind

    def declare(self, addresses: dict[str, str]) -> None:
        """Write its YAML: an A record for each label, TTL 60."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(directory=self.directory, port=self.bind.port, key=self.bind.key, zone=self.bind.zone)
        (self.directory / "octodns.yaml").write_text(config)
        records = (f"{label}: {{type: A, value: {address}}}\n" for label, address in addresses.items())
        (self.directory / f"{self.bind.zone}.yaml").write_text("".join(records))

    def plan(self) -> float:
        """Seconds of a plan; RuntimeError when it says that there is something to do."""
        seconds, output = self._sync()
        if "No changes were planned" not in output:
            raise RuntimeError(f"octoDNS sees changes: {output[-500:]}")
        return seconds

    def apply(self) -> float:
        """Seconds of an apply."""
        return self._sync("--doit", "--force")[0]

    def _sync(self, *options: str) -> tuple[float, str]:
        command: list[str | Path] = [
            VENV / "bin" / "octodns-sync",
            f"--config-file={self.directory / 'octodns.yaml'}",
            *options,
        ]
        return seconds_of(command, self.directory)
