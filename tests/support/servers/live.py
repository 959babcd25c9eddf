# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of ansible-test beside a service that lives as long as it does.

    python -m support.servers.live COLLECTION COMMAND…

The command runs in the folder COLLECTION, whose `tests/integration/integration_config.yml` names the service.
"""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from support.servers.service import dev


def main(collection: Path, command: Sequence[str]) -> int:
    """Run the command beside `ddnsd dev`; its exit status."""
    config = collection / "tests" / "integration" / "integration_config.yml"
    with tempfile.TemporaryDirectory() as folder, dev(Path(folder) / "ddnsd") as service:
        config.touch(0o600)
        config.write_text(yaml.safe_dump({"api_url": service.url, "api_token": service.admin_token}))
        try:
            return subprocess.run(command, cwd=collection, check=False).returncode
        finally:
            config.unlink()


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
