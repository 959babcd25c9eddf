# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of the database and of the zones on this machine: free space, and whether they can be written."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ddnsd.checks.findings import Check, Finding

GIB = 1024**3
LOW_PART, LOW_OCTETS = 0.05, GIB
"""A disk is nearly full if it has less than this part of its size, and less than so many octets."""
LOW_FILES = 0.02


class Disk(NamedTuple):
    """The disk with a folder: octets that the service may still use, and its size; the finding."""

    free: int
    size: int
    finding: Finding


def examine(folders: Mapping[str, Path]) -> dict[str, Disk]:
    """The disks of these folders, by their names; those that do not exist are missing."""
    found = {}
    for name, folder in folders.items():
        try:
            found[name] = _look(name, folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = f"it cannot be read: {error.strerror}. See `dmesg`"
            found[name] = Disk(0, 0, Finding(Check.DISK, _subject(name, folder), problem))
    return found


def _look(name: str, folder: Path) -> Disk:
    disk = os.statvfs(folder)
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    return Disk(free, size, Finding(Check.DISK, _subject(name, folder), _problem(disk, free, size)))


def _problem(disk: os.statvfs_result, free: int, size: int) -> str | None:
    if disk.f_flag & os.ST_RDONLY:
        return (
            "it is read-only, so changes are refused. The kernel does this after errors of the disk: see `dmesg`, "
            "check the disk, and mount it again (`mount -o remount,rw`)"
        )
    if free < min(size * LOW_PART, LOW_OCTETS):
        return (
            f"only {_megabytes(free)} of {_megabytes(size)} are free. Free some space "
            "(`journalctl --vacuum-size=200M`, old backups), or enlarge it"
        )
    if disk.f_files and disk.f_favail < disk.f_files * LOW_FILES:
        return f"only {disk.f_favail} of {disk.f_files} files can still be created. Delete files"
    return None


def _subject(name: str, folder: Path) -> str:
    return f"disk of {name} ({folder})"


def _megabytes(octets: int) -> str:
    return f"{octets / 1024**2:,.1f} MiB"
