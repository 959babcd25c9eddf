# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl` as a program, in a folder and with a stack of its own."""

import json
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import programs
from support.servers.service import Service

BIN = Path(sys.executable).parent


@dataclass
class Tool:
    """`ddnsctl` in a folder of its own, with a stack of its own at one service."""

    service: Service
    folder: Path
    stack: str
    said: str = field(default="", repr=False)
    """Everything that all runs printed."""

    @property
    def env(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DDNS")}
        path = f"{BIN}:{os.environ['PATH']}"
        return inherited | {"DDNS_SERVER": self.service.url, "DDNS_TOKEN": self.service.admin_token, "PATH": path}

    @property
    def dns(self) -> str:
        return f"127.0.0.1:{self.service.dns_port}"

    def run(self, *arguments: str, code: int = 0, given: str = "", **env: str) -> str:
        """Run, judge the exit code, and answer what was printed on both streams."""
        result = programs.invoke(["ddnsctl", *arguments], self.env | env, given, self.folder)
        text = result.stdout + result.stderr
        self.said += text
        assert result.returncode == code, text
        assert "Traceback" not in text
        return text

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments))

    def declare(self, name: str = "web.yml", **hosts: dict[str, Any]) -> None:
        """Write a declaration; its hosts' names get the stack before them."""
        full = {f"{label}-{self.stack}": options for label, options in hosts.items()}
        content = {"version": 1, "stack": self.stack, "defaults": {"domain": "dyn.example.org"}, "hosts": full}
        (self.folder / name).write_text(json.dumps(content))

    def name(self, label: str) -> str:
        return f"{label}-{self.stack}.dyn.example.org"

    def secret(self, path: str) -> str:
        """A secret that was kept; its file is its owner's alone."""
        file = self.folder / path
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        return file.read_text().strip()

    def works(self, label: str, secret: str) -> bool:
        """Whether the host's secret is this one."""
        path = f"/api/hosts/{self.name(label)}/verify-secret"
        answer = self.service.request("POST", path, self.service.admin_token, json={"secret": secret})
        valid: bool = answer.json()["valid"]
        return valid

    def journals(self) -> list[Path]:
        return sorted(self.folder.glob(".ddnsctl/*"))
