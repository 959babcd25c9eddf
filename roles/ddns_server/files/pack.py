# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the service's source: `pack.py ROOT ARCHIVE`. The same source gives the same archive, on every controller."""

import gzip
import hashlib
import io
import os
import sys
import tarfile
from pathlib import Path

PARTS = ("COPYING", "README.md", "pyproject.toml", "requirements/server.txt", "src/ddnsd", "src/ddnsctl")


def files(root: Path) -> list[Path]:
    """What belongs to the service, sorted; links are followed."""
    found = [root / part for part in PARTS if (root / part).is_file()]
    for part in PARTS:
        for folder, _folders, names in os.walk(root / part, followlinks=True):
            found += [Path(folder, name) for name in names if not folder.endswith("__pycache__")]
    return sorted(found)


def pack(root: Path) -> bytes:
    """A tar of one folder, `ddnsd`; what symbolic links lead to is in it, times and owners are not."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in files(root):
            content = file.read_bytes()
            entry = tarfile.TarInfo(f"ddnsd/{file.relative_to(root).as_posix()}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


def main(root: str, archive: str) -> None:
    """Write the archive where it differs, and print its SHA-256."""
    content, target = pack(Path(root)), Path(archive)
    if not target.exists() or target.read_bytes() != content:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.replace(target)  # another play may be reading it
    print(hashlib.sha256(content).hexdigest())  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
