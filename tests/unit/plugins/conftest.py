# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the collection importable as Ansible names it. Under `ansible-test units` it is already."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

if importlib.util.find_spec("ansible_collections") is None:
    _FOLDER = tempfile.TemporaryDirectory(prefix="ddns-collections-")
    _NAMESPACE = Path(_FOLDER.name) / "ansible_collections" / "fedcloud"
    _NAMESPACE.mkdir(parents=True)
    (_NAMESPACE / "ddns").symlink_to(Path(__file__).parents[3])
    sys.path.insert(0, _FOLDER.name)
