# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_sync` in the controller's process. `src` is always read here, also when the module runs on another host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..module_utils._ansible import sync
from ..module_utils._ansible.task import Operation
from ..module_utils._sync import declare
from ..module_utils._sync.errors import DeclarationError, Location, Problem
from ..plugin_utils._action import DdnsAction
from ..plugin_utils._yaml.composition import resolve
from ..plugin_utils._yaml.folder import EMPTY, declarations
from ..plugin_utils._yaml.reader import Document, read
from ..plugin_utils._yaml.variables import Outside

COMPOSED = ("src", "env", "vars")
"""Options that the module does not get, because the declaration is composed here."""


class Inline(Document):
    """A declaration in a task, without positions."""

    __slots__ = ()

    def locate(self, _path: tuple[Any, ...]) -> None:
        """None."""


class ActionModule(DdnsAction):
    """Runs the module's operation."""

    spec = sync.SPEC
    writes_files = True

    def operation(self) -> Operation:
        """The operation of the module, with positions in the files for messages."""
        origin = self._origin()
        return sync.run if origin is None else partial(sync.run, origin=origin)

    def options(self) -> dict[str, Any]:
        """The options without the content of the declaration, which is slow to copy; `operation` passes it on."""
        options = super().options()
        return {**options, "declaration": {}} if isinstance(options.get("declaration"), Mapping) else options

    def module_args(self) -> Mapping[str, Any]:
        """The module's options: `declaration` with the composed content of all files."""
        args, origin = self._task.args, self._origin()
        if origin is None:
            return super().module_args()
        options = {"domain": args.get("domain"), "stack": args.get("stack")}
        rest = {name: value for name, value in args.items() if name not in COMPOSED}
        return {**rest, "declaration": declare.as_data(sync.read(options, origin))}

    def _origin(self) -> sync.Origin | None:
        """The composed declaration; None if the options have none that the controller can read."""
        src, given = self._task.args.get("src"), self._task.args.get("declaration")
        roots: list[Document]
        if src and not given:
            path = Path(self._find_needle("files", src)).absolute()
            if path.is_dir():
                files = _Files(self._loader, Path(src), path)
                roots = self._folder(src, str(path), files)
            else:
                files = _Files(self._loader, Path(src).parent, path.parent)
                roots = [read(files.decrypted(str(path)), src)]
        elif isinstance(given, Mapping):
            files = _Files(self._loader, Path(), Path(self._loader.get_basedir()))
            roots = [Inline("", {"version": 1, **given}, ())]
        else:
            return None
        documents, problems = resolve(roots, self._outside(), files)
        if found := [*(problem for document in documents for problem in document.problems), *problems]:
            raise DeclarationError(found)
        parts = [sync.Part(document.data, document.locate, files.folder(document.file)) for document in documents]
        return sync.Origin(parts, str(files.real))

    def _folder(self, src: str, path: str, files: _Files) -> list[Document]:
        """The declarations in a folder, each file once. Raises DeclarationError if there is none."""
        found = {os.path.realpath(file): os.path.relpath(file, path) for file in reversed(declarations(path))}
        if not found:
            raise DeclarationError([Problem(EMPTY, Location(src))])
        named = sorted((str(Path(src) / name), real) for real, name in found.items())
        return [read(files.decrypted(real), name) for name, real in named]

    def _outside(self) -> Outside:
        env, given = self._task.args.get("env"), self._task.args.get("vars")
        values = given if isinstance(given, Mapping) else {}
        return Outside(env, values, {**os.environ, **self._environment()}, "env", "vars")


class _Files:
    """The files beside a declaration: named from the folder `shown` in messages, and really in the folder `real`."""

    def __init__(self, loader: Any, shown: Path, real: Path) -> None:
        self._loader, self._shown, self.real = loader, shown, real

    def folder(self, file: str) -> str:
        """The folder of a file, relative to that of the declaration."""
        return os.path.relpath(Path(file).parent, self._shown)

    def path(self, file: str) -> str:
        """The file without links."""
        return os.path.realpath(self.real / self.folder(file) / Path(file).name)

    def content(self, file: str) -> bytes:
        """The content, decrypted. Raises OSError."""
        path = self.path(file)
        with Path(path).open("rb"):  # the loader has errors of its own
            pass
        return self.decrypted(path)

    def decrypted(self, path: str) -> bytes:
        """The content of a file that may be encrypted with `ansible-vault`."""
        real = self._loader.get_real_file(path)
        try:
            return Path(real).read_bytes()
        finally:
            self._loader.cleanup_tmp_file(real)
