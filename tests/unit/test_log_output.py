# SPDX-License-Identifier: GPL-3.0-or-later
"""A log that cannot be written stops nobody."""

import errno
import io

from ddnsd.app import LogOutput


class FullDisk(io.StringIO):
    """A file on a full disk."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_that_cannot_be_written_is_dropped() -> None:
    output = LogOutput(FullDisk())
    assert output.write("lost\n") == 5
    output.flush()


def test_other_lines_are_written() -> None:
    file = io.StringIO()
    output = LogOutput(file)
    output.write("kept\n")
    output.flush()
    assert file.getvalue() == "kept\n"
