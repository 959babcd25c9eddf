# SPDX-License-Identifier: GPL-3.0-or-later
"""Python as tests let Ansible's modules run with it: it keeps what it has compiled of a module's archive.

A module comes with all that it imports in an archive of source, which Python compiles whenever the module runs; that
takes longer than what the module does. Of files Python keeps what it has compiled, by the source's hash if asked to.
"""

import marshal
import os
import sys
import zipimport
from _imp import _fix_co_filename, source_hash

KEPT = os.path.join(os.path.dirname(__file__), "__pycache__", sys.implementation.cache_tag)  # noqa: PTH118, PTH120
_compile = zipimport._compile_source
_loaded = {}


def _kept(path, source):
    """The code of this source, as if it had just been compiled. Python asks for it when it finds and when it loads."""
    digest = source_hash(0, source)
    if digest not in _loaded:
        _loaded[digest] = _load(f"{KEPT}-{digest.hex()}", path, source)
        _fix_co_filename(_loaded[digest], path)
    return _loaded[digest]


def _load(name, path, source):
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - loading pathlib takes longer than the rest
            return marshal.loads(file.read())
    except OSError:
        code = _compile(path, source)
        with open(f"{name}.{os.getpid()}", "wb") as file:  # noqa: PTH123
            file.write(marshal.dumps(code))
        os.replace(file.name, name)  # noqa: PTH105
        return code


zipimport._compile_source = _kept
