# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts programs from a process that has loaded what they need: loading takes longer than most of what tests ask.

Each program runs in a process of its own with the arguments, environment, folder and streams that it is given, as
Python runs the installed script, and ends as Python ends. What tests the start itself starts the real one: that of a
unit of systemd, of `make run`, on a terminal, and with bad settings.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

FEW = 1 << 18
"""More octets than a request has: arguments and environment."""
COMMANDS = ("apply", "completion", "destroy", "fmt", "import_", "plan", "rotate", "show", "user_data", "validate")
LOADED = (
    "alembic.command", "asyncpg", "ddnsctl.cli", *(f"ddnsctl.commands.{name}" for name in COMMANDS), "ddnsd.cli",
    "ddnsd.dev", "ddnsd.faces.portal.app", "ddnsd.faces.portal.i18n:languages", "ddnsd.faces.rest.app",
    "ddnsd.store.postgres", "ddnsd.store.sqlite", "jinja2.ext", "mako.template", "pydantic.v1",
    "sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.dialects.sqlite.pysqlite", "uvicorn.lifespan.off",
    "uvicorn.protocols.http.httptools_impl", "uvloop",
)  # fmt: skip


PLUGINS = (
    "action.normal", "become.su", "become.sudo", "cache.memory", "callback.default", "callback.junit",
    "callback.minimal", "callback.oneline", "callback.tree", "connection.local", "connection.paramiko_ssh",
    "connection.psrp", "connection.ssh", "connection.winrm", "inventory.auto", "inventory.host_list",
    "inventory.ini", "inventory.script", "inventory.toml", "inventory.yaml", "shell.cmd", "shell.powershell",
    "shell.sh", "strategy.linear", "vars.host_group_vars",
)  # fmt: skip
"""What Ansible looks into when it runs a playbook, whether it uses it or not."""
ANSIBLE = (
    *(f"ansible.cli.{name}" for name in ("doc", "galaxy", "inventory", "playbook", "vault")),
    *(f"ansible.plugins.{name}" for name in PLUGINS),
    "ansible._internal._ansiballz._builder", "ansible.executor.process.worker", "ansible.playbook.handler_task_include",
    "cryptography.hazmat.primitives.ciphers.modes", "multiprocessing.popen_fork", "multiprocessing.synchronize",
)  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """What is loaded, and by which Python; a program's name stands for one beside it.

    `MODULE:FUNCTION` is called as well: one that keeps what it has read.
    """

    modules: tuple[str, ...]
    python: str = sys.executable
    env: tuple[tuple[str, str], ...] = ()
    """The environment, of what looks at it when it is loaded."""


OURS = Loaded(LOADED)


def ansible(env: Mapping[str, str]) -> Loaded:
    """Ansible, which takes its own settings from the environment when it is loaded: programs are to have the same."""
    return Loaded(ANSIBLE, env=tuple(sorted(env.items())))


@dataclass
class Process:
    """A program that was started: of `subprocess.Popen`, what tests ask of it."""

    args: Sequence[str]
    channel: socket.socket
    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self.channel.settimeout(timeout)
            try:
                self.returncode = int(self.channel.recv(16))
            except (BlockingIOError, TimeoutError):
                return None
            self.channel.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    command: Sequence[str], env: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes] | None = None,
    stdin: IO[bytes] | None = None, cwd: Path | None = None, listener: socket.socket | None = None,
    loaded: Loaded = OURS,
) -> Process:  # fmt: skip
    """Start a program by its name or path; standard error goes where standard output does, unless it has its own.

    It is handed the listener as systemd does that.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = {"command": command, "env": dict(env), "cwd": str(cwd or Path.cwd())}
    with theirs, Path(os.devnull).open("rb") as nothing, _lock:
        streams = [(stdin or nothing).fileno(), stdout.fileno(), (stderr or stdout).fileno()]
        streams += [listener.fileno()] if listener else []
        socket.send_fds(_server(loaded), [json.dumps(request).encode()], [theirs.fileno(), *streams])
    return Process(command, ours, int(ours.recv(16)))


def run(
    command: Sequence[str], env: Mapping[str, str], given: str = "", cwd: Path | None = None, timeout: float = 60,
    loaded: Loaded = OURS,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run a program to its end, with this on standard input; what it printed, as text. Raises TimeoutExpired."""
    with ExitStack() as stack:
        stdin, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        stdin.write(given.encode())
        stdin.seek(0)
        process = start(command, env, out, err, stdin, cwd, loaded=loaded)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(command, status, out.read().decode(), err.read().decode())


_lock = threading.Lock()


@functools.cache
def _server(loaded: Loaded) -> socket.socket:
    """Where requests are sent to; it ends with us."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DDNSD_")}
    with theirs:
        server = subprocess.Popen(
            [loaded.python, "-P", __file__, str(theirs.fileno()), *loaded.modules], pass_fds=[theirs.fileno()],
            env=dict(loaded.env) or inherited, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    atexit.register(lambda: (ours.close(), server.wait()))
    return ours


# ---- the process that has loaded it


def _serve(requests: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for every request, and tell how each ended; returns the request and its streams in a forked process."""
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not requests:
                    _tell(*key.data)
                    selector.unregister(key.fileobj)
                    os.close(key.fd)
                    continue
                request, descriptors, _, _ = socket.recv_fds(requests, FEW, 5)
                if not request:  # whoever asked has ended, and may have had no time to end these
                    for other in selector.get_map().values():
                        if other.data:
                            os.kill(other.data[0], signal.SIGINT)
                    sys.exit()
                channel = socket.socket(fileno=descriptors[0])
                if (pid := os.fork()) == 0:
                    return json.loads(request), descriptors[1:]
                channel.sendall(b"%d" % pid)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, channel))
                for descriptor in descriptors[1:]:
                    os.close(descriptor)


def _tell(pid: int, channel: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    with channel, contextlib.suppress(BrokenPipeError):  # nobody asks any more
        channel.sendall(b"%d" % os.waitstatus_to_exitcode(status))


def _become(request: dict[str, Any], streams: Sequence[int]) -> list[str]:
    """Be the new process: with its own folder, streams and environment."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(len(streams), os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["env"])
    if len(streams) > 3:
        os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    os.chdir(request["cwd"])
    if ansible := sys.modules.get("ansible.utils.path"):  # the others have the same folder for temporary files
        atexit.unregister(ansible.cleanup_tmp_file)
    command: list[str] = request["command"]
    return command


def _leave(status: int) -> None:
    """End as Python ends, but for taking apart all that was loaded: that takes ten times as long as a command."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    for module, _, function in (name.partition(":") for name in sys.argv[2:]):
        loaded = importlib.import_module(module)
        if function:
            getattr(loaded, function)()
    gc.freeze()
    program, *sys.argv[1:] = _become(*_serve(socket.socket(fileno=int(sys.argv[1]))))
    sys.argv[0] = str(Path(sys.executable).parent / program)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        if isinstance(ended.code, int | None):
            _leave(ended.code or 0)
        raise
    _leave(0)
