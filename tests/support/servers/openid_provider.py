# SPDX-License-Identifier: GPL-3.0-or-later
"""A certified provider of OpenID Connect (`oidc-provider` from npm) on a free port, and a browser for it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from joserfc.jwk import ECKey, Key, RSAKey

from support.npm import installed
from support.ports import free_port, wait_until
from support.servers.faults import hung

HERE = Path(__file__).parents[1] / "oidc"
AUDIENCE = "https://ddns.example.org"
CLIENT, SECRET = "ddns", "not-so-secret"


@dataclass
class Provider:
    """One provider: its keys and clients, its process."""

    port: int
    log: Path
    keys: list[Key] = field(default_factory=lambda: [new_key()])
    redirect_uris: list[str] = field(default_factory=list)
    post_logout_redirect_uris: list[str] = field(default_factory=list)
    backchannel_logout_uri: str | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, name: str = "campus", **more: Any) -> dict[str, Any]:
        """What the service's settings say of it."""
        given = {"name": name, "issuer": self.issuer, "client_id": CLIENT, "client_secret": SECRET}
        scopes = ["openid", "profile", "email", "eduperson_entitlement"]
        return given | {"scopes": scopes, "audience": [AUDIENCE], "label": "The Campus"} | more

    def start(self) -> None:
        """Start, and wait until it answers."""
        client: dict[str, Any] = {"client_id": CLIENT, "client_secret": SECRET, "redirect_uris": self.redirect_uris}
        client["post_logout_redirect_uris"] = self.post_logout_redirect_uris
        if self.backchannel_logout_uri:
            client |= {"backchannel_logout_uri": self.backchannel_logout_uri, "require_auth_time": True}
            client["backchannel_logout_session_required"] = True
        other = {"client_id": "other", "client_secret": SECRET, "redirect_uris": ["https://other.example.org/"]}
        config = {"port": self.port, "clients": [client, other], "keys": [k.as_dict(private=True) for k in self.keys]}
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["node", HERE / "provider.mjs", installed("oidc")],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | {"NODE_NO_WARNINGS": "1"},
            )
        assert self.process.stdin is not None
        with self.process.stdin as stdin:
            stdin.write(json.dumps(config).encode())

        def ready() -> bool:
            assert self.process is not None
            text = self.log.read_bytes()[begin:].decode(errors="replace")
            assert self.process.poll() is None, text
            return "ready" in text.splitlines()

        wait_until(ready, 30, "identity provider")

    def stop(self) -> None:
        """End it; connections to it are refused from then on."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections and answers nothing."""
        assert self.process is not None
        with hung(self.process.pid):
            yield

    def rotate(self, *, keep: bool = False) -> None:
        """Start anew with a new key, and the old ones behind it or not at all."""
        self.stop()
        self.keys = [new_key(), *(self.keys if keep else [])]
        self.start()

    def will_be(self, sub: str, **claims: Any) -> None:
        """Who signs in from now on; the claims `in_access_tokens` stand there."""
        self._tell("next", sub=sub, claims=claims)

    def will_refuse(self, error: str = "access_denied") -> None:
        """Whoever signs in is refused."""
        self._tell("next", error=error)

    def token(self, sub: str, **more: Any) -> str:
        """An access token for us; `client`, `audience`, `format` and `seconds` may be others."""
        wanted = {"sub": sub, "client": CLIENT, "audience": AUDIENCE, "format": "jwt", "seconds": 600}
        value: str = self._tell("token", **wanted | more)["value"]
        return value

    def revoke(self, token: str) -> None:
        """Withdraw an opaque access token."""
        self._tell("revoke", value=token)

    def _tell(self, what: str, **content: Any) -> Any:
        answer = requests.post(f"{self.issuer}/test/{what}", json=content, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def provider(directory: Path, *base_urls: str, name: str = "campus") -> Iterator[Provider]:
    """A provider for services at these URLs, which know it by this name."""
    back = [f"{url}/login/{name}/callback" for url in base_urls]
    made = Provider(
        free_port(),
        directory / f"{name}.log",
        redirect_uris=back or ["https://ddns.example.org/"],
        post_logout_redirect_uris=[f"{url}/login" for url in base_urls],
    )
    made.start()
    try:
        yield made
    finally:
        made.stop()


def new_key(kind: str = "RSA") -> Key:
    """A private key for signatures, with an id."""
    key: Key = RSAKey.generate_key(2048) if kind == "RSA" else ECKey.generate_key("P-256")
    key.ensure_kid()
    content = key.as_dict(private=True) | {"use": "sig", "alg": "RS256" if kind == "RSA" else "ES256"}
    return type(key).import_key(content)
