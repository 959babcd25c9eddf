# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_sync` in the controller's process. `src` is always read here, also when the module runs on another host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..module_utils._ansible import sync
from ..module_utils._ansible.task import Operation
from ..module_utils._sync.errors import DeclarationError
from ..plugin_utils._action import DdnsAction
from ..plugin_utils._yaml.reader import read


class ActionModule(DdnsAction):
    """Runs the module's operation."""

    spec = sync.SPEC
    writes_files = True

    def operation(self) -> Operation:
        """The operation of the module, with positions in the file for messages."""
        src, given = self._task.args.get("src"), self._task.args.get("declaration")
        if src and not given:
            return partial(sync.run, origin=self._read(src))
        if isinstance(given, Mapping):
            return partial(sync.run, origin=sync.Origin({"version": 1, **given}, folder=self._loader.get_basedir()))
        return sync.run

    def options(self) -> dict[str, Any]:
        """The options without the content of the declaration, which is slow to copy; `operation` passes it on."""
        options = super().options()
        return {**options, "declaration": {}} if isinstance(options.get("declaration"), Mapping) else options

    def module_args(self) -> Mapping[str, Any]:
        """The module's options: `declaration` with the content of the file instead of `src`."""
        args = self._task.args
        if not args.get("src") or args.get("declaration"):
            return super().module_args()
        rest = {name: value for name, value in args.items() if name != "src"}
        # the reader's own kinds of mapping and list become plain ones
        return {**rest, "declaration": json.loads(json.dumps(self._read(args["src"]).data))}

    def _read(self, src: str) -> sync.Origin:
        path = self._find_needle("files", src)
        real = self._loader.get_real_file(path)
        try:
            document = read(Path(real).read_bytes(), src)
        finally:
            self._loader.cleanup_tmp_file(real)
        if document.problems:
            raise DeclarationError(document.problems)
        return sync.Origin(document.data, document.locate, str(Path(path).absolute().parent))
