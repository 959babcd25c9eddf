# SPDX-License-Identifier: GPL-3.0-or-later
"""Our style sheet, script and icon: their URLs hold a hash of their content, so a browser keeps them for good."""

import hashlib
import mimetypes
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"
KEPT = "public, max-age=31536000, immutable"


class Static:
    """The files, read once."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._files: dict[str, tuple[bytes, str]] = {}
        for file in sorted(FOLDER.iterdir()):
            content = file.read_bytes()
            name = f"{file.stem}.{hashlib.sha256(content).hexdigest()[:12]}{file.suffix}"
            self._urls[file.name] = f"/static/{name}"
            self._files[name] = content, mimetypes.guess_type(file.name)[0] or "application/octet-stream"

    def url(self, name: str) -> str:
        """Where the file of that name is served."""
        return self._urls[name]

    def routes(self) -> list[Route]:
        """The route of all of them."""
        return [Route("/static/{name}", self._serve)]

    async def _serve(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return Response(found[0], headers={"Cache-Control": KEPT}, media_type=found[1])
