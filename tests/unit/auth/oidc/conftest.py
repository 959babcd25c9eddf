# SPDX-License-Identifier: GPL-3.0-or-later
"""A provider that lies: for answers that no certified one gives."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import Key, RSAKey

CLIENT = "ddns"


class Liar:
    """Answers by path; `requests` are what it was asked, `tokens` what the token endpoint gives."""

    def __init__(self) -> None:
        self.key: Key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.requests: list[tuple[str, str, str]] = []
        self.answers: dict[str, tuple[int, Any]] = {}
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["content-length"])).decode())

            def _answer(self, body: str) -> None:
                liar.requests.append((self.path, self.headers.get("authorization", ""), body))
                status, content = liar.answers.get(self.path, (404, {}))
                octets = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(octets)))
                if status == 302:
                    self.send_header("location", liar.issuer + "/keys")
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth?x=y",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/me",
            "introspection_endpoint": f"{self.issuer}/introspect",
        }
        self.answers["/.well-known/openid-configuration"] = 200, self.metadata
        self.answers["/keys"] = 200, {"keys": [self.key.as_dict(private=False)]}
        self.answers["/me"] = 200, {"sub": "1", "preferred_username": "ann"}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of an ID token, with some otherwise or, where they are None, not at all."""
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": "1", "aud": CLIENT, "exp": now + 60, "iat": now} | changed
        return {name: value for name, value in claims.items() if value is not None}

    def gives(self, id_token: str, **more: Any) -> None:
        """What the token endpoint answers from now on."""
        self.answers["/token"] = 200, {"access_token": "at", "token_type": "Bearer", "id_token": id_token} | more

    def signed(self, claims: dict[str, Any], key: Key | None = None, **header: Any) -> str:
        return jwt.encode({"alg": "RS256", "kid": "one"} | header, claims, key or self.key)

    def asked(self, path: str) -> int:
        """How often."""
        return sum(request[0] == path for request in self.requests)


@pytest.fixture(scope="module")
def _liar() -> Iterator[Liar]:
    liar = Liar()
    thread = threading.Thread(target=liar.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield liar
    liar.server.shutdown()
    thread.join()
    liar.server.server_close()


@pytest.fixture
def liar(_liar: Liar) -> Iterator[Liar]:
    """It tells the truth until a test has it say something else."""
    kept = dict(_liar.answers)
    yield _liar
    _liar.answers = kept
    _liar.requests.clear()
