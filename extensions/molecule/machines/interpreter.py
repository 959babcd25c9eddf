# SPDX-License-Identifier: GPL-3.0-or-later
"""In a machine, what Ansible runs its modules with: Python, kept in a process that has loaded what most of them need.

A module comes as a program with an archive of all the source that it needs, on standard input or in a file. It runs
in a process of its own, forked from the one that is kept, with the arguments, environment, folder, umask and streams
that it was given. What it brings along is executed anew in each, and compiled once.
"""

import _socket
import os
import sys
from array import array

SOCKET = "/run/ansible-python"
KEPT = "/run/ansible-compiled"
FEW = 1 << 18
"""More octets than arguments and environment have."""
LOADED = (
    "argparse", "ast", "atexit", "base64", "collections.abc", "concurrent.futures", "configparser", "contextlib",
    "copy", "dataclasses", "datetime", "difflib", "email.message", "errno", "fcntl", "filecmp", "fnmatch", "gc",
    "getpass", "glob", "grp", "hashlib", "hmac", "http.client", "http.cookiejar", "importlib.util", "inspect",
    "itertools", "json", "locale", "logging", "marshal", "multiprocessing", "netrc", "optparse", "pathlib", "pkgutil",
    "platform", "pty", "pwd", "queue", "random", "re", "runpy", "secrets", "select", "selectors", "shlex", "shutil",
    "signal", "ssl", "stat", "string", "struct", "subprocess", "syslog", "tarfile", "tempfile", "textwrap",
    "threading", "time", "traceback", "types", "typing", "unicodedata", "urllib.request", "uuid", "warnings",
    "zipfile", "zipimport", "zlib",
)  # fmt: skip


def ask() -> int:
    """Have the kept process run the program, and return its exit status."""
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    if channel.connect_ex(SOCKET) != 0:
        keep()
        channel.connect(SOCKET)
    umask = os.umask(0o077)
    words = [os.fsencode(word) for word in (os.getcwd(), str(umask), *sys.argv, "")]
    words += [name + b"=" + value for name, value in os.environb.items()]
    channel.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, FEW)
    channel.sendmsg([b"\0".join(words)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array("i", (0, 1, 2)))])
    return int(channel.recv(16) or 1)


def keep() -> None:
    """Start the process that is kept."""
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    unfinished = f"{SOCKET}.{os.getpid()}"
    listener.bind(unfinished)
    os.chmod(unfinished, 0o600)
    listener.listen(64)
    os.rename(unfinished, SOCKET)
    if os.fork() == 0:
        serve(listener.detach())
    listener.close()


def serve(descriptor: int) -> None:
    """Fork for every request that comes to the socket, and never return."""
    import gc
    import importlib
    import signal
    import socket

    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    for module in LOADED:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(fileno=descriptor)
    while True:
        channel = listener.accept()[0]
        load()
        gc.freeze()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            become(*socket.recv_fds(channel, FEW, 3)[:2])
            end(channel)
        channel.close()


def become(request: bytes, streams: list[int]) -> None:
    """Have the arguments, environment, folder, umask and streams of a request."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    folder, umask, *words = request.split(b"\0")
    last = words.index(b"")
    sys.argv = [os.fsdecode(word) for word in words[:last]]
    os.environb.clear()
    os.environb.update(word.split(b"=", 1) for word in words[last + 1 :])
    os.chdir(folder)
    os.umask(int(umask))


def end(channel) -> None:
    """Run the program, end as Python ends, and say how."""
    import atexit

    status = 1
    try:
        run()
        status = 0
    except SystemExit as ended:
        if isinstance(ended.code, int | None):
            status = ended.code or 0
        else:
            print(ended.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        channel.send(b"%d" % status)
    finally:
        os._exit(status)


codes = {}
"""What has been compiled, by the hash of its source."""


def load() -> None:
    """Read what has been compiled since."""
    import marshal

    for name in os.listdir(KEPT) if os.path.exists(KEPT) else ():
        if name not in codes and "." not in name:
            with open(f"{KEPT}/{name}", "rb") as kept:
                codes[name] = marshal.load(kept)


def run() -> None:
    """Run the program that the arguments name."""
    import marshal
    import zipimport
    from _imp import source_hash

    compile_source = zipimport._compile_source

    def compiled(name, source):
        """The code of the source, as it was kept."""
        key = source_hash(0, source).hex()
        if key not in codes:
            codes[key] = compile_source(name, source)
            os.makedirs(KEPT, 0o700, exist_ok=True)
            with open(f"{KEPT}/{key}.{os.getpid()}", "wb") as unfinished:
                marshal.dump(codes[key], unfinished)
            os.rename(unfinished.name, f"{KEPT}/{key}")
        return codes[key]

    zipimport._compile_source = compiled
    sys.argv = sys.argv[1:] or ["<stdin>"]
    if sys.argv == ["<stdin>"]:
        program = sys.stdin.buffer.read()
    else:
        with open(sys.argv[0], "rb") as file:
            program = file.read()
    exec(compile(program, sys.argv[0], "exec"), {"__name__": "__main__", "__file__": sys.argv[0]})


sys.exit(ask())
