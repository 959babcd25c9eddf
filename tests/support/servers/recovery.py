# SPDX-License-Identifier: GPL-3.0-or-later
"""The server role's programs that back up, copy and test, run as its units do, beside a service with its BIND."""

import io
import json
import os
import subprocess
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import programs
from support.servers.service import Service

FILES = Path(__file__).parents[3] / "roles" / "ddns_server" / "files"
PASSWORD = "correct-horse"

# The arguments of programs are noted.
WRAPPER = """#!/bin/sh
echo "{name} $*" >>{log}
exec /usr/bin/{name} "$@"
"""


@dataclass
class Recovery:
    """Folders and credentials as on a machine, and what the programs are given."""

    service: Service
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("archives", "state", "credentials", "bin"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "restic").mkdir()
        self.credential("restic_repository", str(self.repository))
        self.credential("restic_password", PASSWORD)
        for name in ("dig", "restic"):
            text = WRAPPER.format(name=name, log=self.arguments)
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)
        (self.folder / "bin" / "ddnsd-files").symlink_to(FILES / "ddnsd-files")

    @property
    def archives(self) -> Path:
        return self.folder / "archives"

    @property
    def repository(self) -> Path:
        return self.folder / "restic" / "repository"

    @property
    def arguments(self) -> Path:
        """The arguments of all calls of dig and restic."""
        return self.folder / "arguments"

    def credential(self, name: str, value: str) -> None:
        """Give the units this credential."""
        (self.folder / "credentials" / name).write_text(value + "\n")

    def run(self, program: str, *words: object) -> subprocess.CompletedProcess[str]:
        """Run one of the role's programs."""
        given = {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "CREDENTIALS_DIRECTORY": str(self.folder / "credentials"),
            "RESTIC_CACHE_DIR": str(self.folder / "cache"),
            **self.environment,
        }
        command = [str(FILES / program), *map(str, words)]
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False)

    def back_up(self, made: float | None = None) -> Path:
        """A new archive, as `ddnsd-backup.service` writes it; the name says that it was made then."""
        export, settings = self.folder / "store.json", self.folder / "ddnsd.toml"
        self.service.cli("export", str(export))
        settings.touch()
        where = ["--to", self.archives, "--export", export, "--settings", settings, "--bind", self.service.dir / "bind"]
        done = self.run("ddnsd-files", "backup", "--keep", 9, "--port", self.service.dns_port, *where)
        assert done.returncode == 0, done.stderr
        archive = Path(done.stdout.strip())
        if made is None:
            return archive
        return archive.rename(self.archives / time.strftime("ddnsd-%Y%m%dT%H%M%SZ.tar.gz", time.gmtime(made)))

    def job(self, command: str, *options: object) -> subprocess.CompletedProcess[str]:
        """`ddnsd-recovery COMMAND`."""
        more = ["--ddnsd", programs.FOLDER / "ddnsd"] if command == "test" else []
        where = ["--archives", self.archives, "--state", self.folder / "state"]
        return self.run("ddnsd-recovery", command, *where, *more, *options)

    def known(self, name: str) -> dict[str, Any]:
        """What a job has recorded."""
        found: dict[str, Any] = json.loads((self.folder / "state" / f"{name}.json").read_text())
        return found

    def restic(self, *words: str) -> str:
        """What restic says about the repository."""
        given = os.environ | {"RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(self.repository)}
        done = subprocess.run(["restic", "--no-cache", *words], env=given, capture_output=True, text=True, check=True)
        return done.stdout

    def snapshots(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.restic("snapshots", "--json"))
        return found


def rewrite(archive: Path, contents: dict[str, bytes | None]) -> None:
    """Replace files of an archive; None removes one."""
    with tarfile.open(archive) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isreg()}  # type: ignore[union-attr]
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in (files | contents).items():
            if content is not None:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
