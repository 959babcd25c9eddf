# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command that starts `ansible-playbook` many times; for it, that is a process that has loaded Ansible.

    python -m parts.forked COLLECTION COMMAND…

The command runs in the folder COLLECTION, and finds an `ansible-playbook` before the real one that asks us for it.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from parts import forks

PROGRAM = "ansible-playbook"
FRONT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
    channel.connect({address!r})
    asked = {{"arguments": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}}
    socket.send_fds(channel, [json.dumps(asked).encode()], [0, 1, 2])
    sys.exit(int(channel.recv(16)))
"""


def answer(channel: socket.socket) -> None:
    """Do what a front asks for, in its folder, with its environment and its streams."""
    with channel, ExitStack() as stack:
        request, descriptors, _, _ = socket.recv_fds(channel, forks.FEW, 3)
        stdin, out, err = (stack.enter_context(open(descriptor, "r+b", 0)) for descriptor in descriptors)  # noqa: PTH123
        asked = json.loads(request)
        loaded = forks.ansible(asked["env"])
        process = forks.start(
            [PROGRAM, *asked["arguments"]], asked["env"], out, err, stdin, Path(asked["cwd"]), loaded=loaded
        )
        channel.sendall(b"%d" % process.wait())


def main(folder: Path, command: Sequence[str]) -> int:
    """Run the command; its exit status."""
    os.chdir(folder)
    with tempfile.TemporaryDirectory() as programs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{programs}/asked")
        listener.listen()
        front = Path(programs) / PROGRAM
        front.write_text(FRONT.format(python=sys.executable, address=listener.getsockname()))
        front.chmod(0o755)

        def answer_all() -> None:
            while True:
                threading.Thread(target=answer, args=[listener.accept()[0]], daemon=True).start()

        threading.Thread(target=answer_all, daemon=True).start()
        path = f"{programs}:{os.environ['PATH']}"
        return subprocess.run(command, env={**os.environ, "PATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
