# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's nginx or Caddy on loopback, as its template has it, before a stand-in for the service."""

import http.client
import json
import os
import re
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from support.ansible.playbooks import REPOSITORY, Ansible
from support.ports import free_port, listens, wait_until

ROLE = REPOSITORY / "roles" / "ddns_server"
NAME = "ddns.example.org"
PORTS = (443, 80, 8245)

# As in Debian's nginx.conf, which includes the role's file.
_NGINX = """\
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
    access_log off;
    gzip on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/front.conf;
}}
"""


@dataclass
class Stub:
    """Answers `METHOD TARGET` as a page; one whose query is `hold` only once `release` is set.

    A query that ends with `=drop` gets no answer. The page has the credentials that it was sent in its header `X-Seen`.
    """

    release: threading.Event = field(default_factory=threading.Event)
    held: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = len(self.rfile.read(int(self.headers.get("content-length", 0))))
            if self.path.endswith("?hold"):
                stub.held.release()
                stub.release.wait(60)
            if self.path.endswith("=drop"):
                self.close_connection = True
                return
            body = f"{self.command} {self.path} {size} ".ljust(4000, "x").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("X-Seen", self.headers.get("authorization", ""))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - the names are its base's

        def address_string(self) -> str:
            return ""

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing: a front ends a connection when a body is too large."""


@dataclass
class Answer:
    """A status, headers with names in lower case, and a body."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def target(self) -> str:
        """What the service was asked for; "" if it was not asked."""
        words = self.body.split(" ")
        return words[1] if self.status == 200 and len(words) == 4 else ""


@dataclass
class Front:
    """A running front. `ports` has the real port of each port of the template."""

    folder: Path
    ports: Mapping[int, int]
    stub: Stub

    def ask(self, port: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """Send a request, with the path exactly as it is; `_` in names of headers is `-`."""
        if port == 443:
            tls = ssl._create_unverified_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.ports[443], timeout=60, context=tls
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, found, reply.read().decode("latin-1"))
        finally:
            connection.close()


def render(folder: Path, variables: Mapping[str, object], **templates: str) -> dict[str, str]:
    """The role's templates, by name, rendered for one machine; `variables` are added to those of the role."""
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [f"{ROLE}/{part}/main.yml" for part in ("defaults", "vars")],
        "tasks": [
            {"ansible.builtin.template": {"src": f"{ROLE}/templates/{source}", "dest": f"{folder}/{name}.rendered"}}
            for name, source in templates.items()
        ],
    }
    (folder / "render.yml").write_text(json.dumps([play]))
    given: dict[str, Any] = {
        "ansible_python_interpreter": sys.executable,
        "ddns_server_name": NAME,
        "ansible_facts": {"distribution_release": "bookworm"},
        "ddns_server_issued": {"stat": {"exists": False}},
        "ddns_server_packed": {"stdout": "0"},
        "ddns_server_python_version": {"stdout": "3.11"},
        **variables,
    }
    command = ("ansible-playbook", "render.yml", "-i", "localhost,", "-e", json.dumps(given))
    Ansible(folder).run(*command)
    return {name: (folder / f"{name}.rendered").read_text() for name in templates}


def _certificate(folder: Path) -> list[str]:
    names = [str(folder / "front.pem"), str(folder / "front.key")]
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={NAME}"
        f" -out {names[0]} -keyout {names[1]}".split(),
        check=True,
        capture_output=True,
    )
    return names


def _moved(text: str, ports: Mapping[int, int], folder: Path) -> str:
    """The configuration on free ports of loopback, with its files in `folder`."""
    for port, free in ports.items():
        text = re.sub(rf"\blisten (127\.0\.0\.1:)?{port}\b", f"listen 127.0.0.1:{free}", text)
        text = re.sub(rf"\blisten \[::\]:{port}\b", f"listen [::1]:{free}", text)
        text = re.sub(rf"^http://:{port}\b", f"http://:{free}", text, flags=re.M)
        text = re.sub(rf"\b(https://\S*):{port}\b(?=[, ])", rf"\1:{free}", text)
        text = re.sub(rf"https_port {port}\b", f"https_port {free}", text)
    text = text.replace("admin localhost:2019", "admin off")
    return text.replace("/var/lib/ddnsd-acme", str(folder / "acme"))


@contextmanager
def running(folder: Path, kind: str, **variables: object) -> Iterator[Front]:
    """Run the front `kind` (nginx or caddy), with its files in `folder`; `variables` are those of the role."""
    stub, socket = Stub(), folder / "ddnsd.sock"
    ports = {port: free_port() for port in PORTS}
    (folder / "logs").mkdir()
    given: dict[str, object] = {"ddns_server_front": kind, "ddns_server_socket": str(socket), **variables}
    given |= {"ddns_server_front_logs": f"{folder}/logs", "ddns_server_monitoring_passwords": f"{folder}/passwords"}
    users: dict[str, str] = dict(variables.get("ddns_server_monitoring_users", {}))  # type: ignore[call-overload]
    (folder / "passwords").write_text("".join(f"{name}:{hashed}\n" for name, hashed in users.items()))
    given["ddns_server_certificates"] = {"self_signed": (files := _certificate(folder)), "acme": files}
    template = {"nginx": "nginx.conf.j2", "caddy": "ddnsd.caddy.j2"}[kind]
    (folder / "front.conf").write_text(_moved(render(folder, given, front=template)["front"], ports, folder))
    if kind == "nginx":
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, user=user))
        command = ["/usr/sbin/nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    else:
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "front.conf")]
    home = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with _Server(str(socket), _handler(stub)) as server, (folder / "front.log").open("wb") as log:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=home)
        try:
            wait_until(
                lambda: process.poll() is not None or all(listens(port) for port in ports.values()), what="the front"
            )
            assert process.poll() is None, (folder / "front.log").read_text()
            yield Front(folder, ports, stub)
        finally:
            stub.release.set()
            process.terminate()
            process.wait(20)
            server.shutdown()
