# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads of unknown size: they are made completely before the answer begins, so an error has its own answer."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import ExitStack, aclosing
from typing import IO

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

IN_MEMORY = 1 << 20
"""Octets from which on a file holds the download."""

READ_AT_ONCE = 64 * 1024


class Download(StreamingResponse):
    """An answer from a temporary file, which is closed after it."""

    def __init__(self, file: IO[bytes], length: int, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(_read(file), 200, {**headers, "Content-Length": str(length)}, media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def download(
    parts: AsyncGenerator[str, None], file_name: str, media_type: str, headers: Mapping[str, str] | None = None
) -> Download:
    """The answer with these parts, for a browser to save under the name (ASCII). Raises what `parts` raises."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))
        async with aclosing(parts):
            async for part in parts:
                await asyncio.to_thread(file.write, part.encode())
        stack.pop_all()  # the answer closes it
    length = file.tell()
    file.seek(0)
    disposition = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return Download(file, length, media_type, {**(headers or {}), **disposition})


async def _read(file: IO[bytes]) -> AsyncIterator[bytes]:
    while part := await asyncio.to_thread(file.read, READ_AT_ONCE):
        yield part
