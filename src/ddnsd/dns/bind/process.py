# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a BIND as a child of `ddnsd dev`, with all its files in one folder.

It runs as the current user. If the service is killed it keeps running; the next start finds and stops it.
"""

import asyncio
import contextlib
import fcntl
import ipaddress
import os
import re
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import IO

import structlog

from ddnsd.dns.bind.control import Bind, replace_file
from ddnsd.dns.bind.rndc import BindError, program
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

START_SECONDS = 60.0
STOP_SECONDS = 5.0
BACKOFF_SECONDS = (0.1, 5.0)

_CONFIG = """\
options {{
    directory "{folder}";
    pid-file "{folder}/named.pid";
    session-keyfile "{folder}/session.key";
    listen-on port {port} {{ {v4}; }};
    listen-on-v6 port {port} {{ {v6}; }};
    recursion no;
    dnssec-validation no;
    empty-zones-enable no;
    notify no;
    minimal-responses yes;
    minimal-any yes;
    version none;
    hostname none;
    allow-new-zones yes;
    max-journal-size 8m;
    tcp-clients 1000;
    {optional}
}};
controls {{ inet 127.0.0.1 port {control_port} allow {{ localhost; }} keys {{ "rndc"; }}; }};
statistics-channels {{ inet 127.0.0.1 port {statistics_port} allow {{ 127.0.0.1; }}; }};
logging {{
    channel file {{
        file "{folder}/named.log" versions 2 size 8m;
        severity info; print-time iso8601; print-category yes; print-severity yes;
    }};
    category default {{ file; }};
    category update {{ null; }};
}};
include "{folder}/rndc.key";
include "{folder}/keys.conf";
include "{folder}/policies.conf";
"""

_POLICIES = """\
# dnssec-policy statements. BIND has the policies "default", "insecure" and "none"; add others here, and restart.
dnssec-policy "nsec3" {
    keys { csk lifetime unlimited algorithm ecdsap256sha256; };
    nsec3param iterations 0 optout no salt-length 0;
};
"""

_RNDC_CONFIG = """\
include "{folder}/rndc.key";
options {{ default-server 127.0.0.1; default-port {control_port}; default-key "rndc"; }};
"""

# Not every version has these options: without the first, those before 9.20 lock a file in /run; the second allows more
# waiting UPDATEs.
_OPTIONAL = {"lock-file": "none", "update-quota": "500"}

_CONTROL_PORT, _STATISTICS_PORT = r"default-port (\d+)", r"statistics-channels \{ inet 127\.0\.0\.1 port (\d+)"

_APPARMOR = (Path("/sys/module/apparmor/parameters/enabled"), Path("/etc/apparmor.d/usr.sbin.named"))

log = structlog.get_logger()


class Named:
    """`named` on `host` (an address without brackets) and `port`, with all its files in `folder`.

    Call `start`, run `supervise` in a task, call `stop`; `Bind(named.folder, named.rndc_key)` adds zones.
    """

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.folder = folder.resolve()
        self.endpoint = Endpoint(host, port)
        self.rndc_key = self.folder / "rndc.conf"
        self.statistics = Endpoint("127.0.0.1", 0)
        """The address of its statistics channel, after `start`."""
        self.pid_file = self.folder / "named.pid"
        self._config = self.folder / "named.conf"
        self._log = self.folder / "named.log"
        self._owner: IO[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Configure and start `named`; returns when it answers with its zones loaded.

        Raises BindError if it is not installed, the address cannot be used, another process uses the folder,
        or `named` refuses its configuration or ends, with its output.
        """
        self._stopping = False
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own_folder()
        try:
            await self._launch()
        except BaseException:
            await self.stop()
            raise

    async def supervise(self) -> None:
        """Restart `named` whenever it ends, until `stop`."""
        shortest, longest = BACKOFF_SECONDS
        pause = shortest
        while self._process is not None:
            began = time.monotonic()
            status = await self._process.wait()
            if self._stopping:
                return
            if time.monotonic() - began > longest:
                pause = shortest
            log.warning("named ended, restart scheduled", status=status, seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)
            try:
                await self._launch()
            except BindError as error:
                log.error("named not started", error=str(error))

    async def stop(self) -> None:
        """Stop `named`, within seconds even if it hangs, and release the folder."""
        self._stopping = True
        async with self._changing:
            if self._process is not None:
                await _end(self._process.pid, self._config)
                await self._process.wait()
                self._process = None
            if self._owner is not None:
                self._owner.close()
                self._owner = None

    def _own_folder(self) -> None:
        """Lock the folder while this process lives: a `named` found under the lock is a leftover."""
        self._owner = (self.folder / "owner").open("w")
        try:
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._owner.close()
            self._owner = None
            raise BindError(f"another process runs a BIND in {self.folder}: stop it, or use another folder") from None

    async def _launch(self) -> None:
        async with self._changing:
            if self._stopping:
                return
            for pid in _leftovers(self._config):
                log.warning("named of an earlier run stopped", pid=pid)
                await _end(pid, self._config)
            _check_free(self.endpoint)
            await self._configure()
            with self._log.open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    _binary(self.folder),
                    "-f",
                    "-L",
                    str(self._log),
                    "-c",
                    str(self._config),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.folder,
                    start_new_session=True,  # this process handles a Ctrl-C at the terminal
                )
            try:
                await self._wait_until_it_answers(self._process)
            except BindError:
                await _end(self._process.pid, self._config)
                raise

    async def _configure(self) -> None:
        """Write the configuration; keep the ports and the control key if possible."""
        key_file, keys = self.folder / "rndc.key", self.folder / "keys.conf"
        if not key_file.exists():
            replace_file(key_file, TsigKey.generate("rndc").to_text())
        if not keys.exists():
            replace_file(keys, "")
        if not (policies := self.folder / "policies.conf").exists():
            replace_file(policies, _POLICIES)
        control_port = _port_in(self.rndc_key, _CONTROL_PORT) or _free_port()
        port = _port_in(self._config, _STATISTICS_PORT) or _free_port(control_port)
        self.statistics = Endpoint("127.0.0.1", port)
        replace_file(self.rndc_key, _RNDC_CONFIG.format(folder=self.folder, control_port=control_port))
        optional = dict(_OPTIONAL)
        while True:
            lines = " ".join(f"{option} {value};" for option, value in optional.items())
            replace_file(self._config, self._text(control_port, lines))
            problems = await self._problems()
            unknown = [option for option in optional if f"option '{option}'" in problems]
            if not unknown:
                break
            for option in unknown:
                del optional[option]
        if problems:
            raise BindError(f"named-checkconf: {problems}")

    def _text(self, control_port: int, optional: str) -> str:
        address = ipaddress.ip_address(self.endpoint.host)
        mine = "any" if address.is_unspecified else str(address)
        v4, v6 = (mine, "none") if address.version == 4 else ("none", mine)
        return _CONFIG.format(
            folder=self.folder,
            port=self.endpoint.port,
            v4=v4,
            v6=v6,
            optional=optional,
            control_port=control_port,
            statistics_port=self.statistics.port,
        )

    async def _problems(self) -> str:
        """The errors of `named-checkconf`; empty for none."""
        check = await asyncio.create_subprocess_exec(
            program("named-checkconf"),
            str(self._config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await check.communicate()
        return said.decode(errors="replace").strip() if check.returncode else ""

    async def _wait_until_it_answers(self, process: asyncio.subprocess.Process) -> None:
        bind, end = Bind(self.folder, self.rndc_key), time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(bind.is_running):
            if process.returncode is not None or time.monotonic() > end:
                raise BindError(f"named did not start: {self._last_words()}")
            if self._stopping:
                return
            await asyncio.sleep(0.05)
        if not await self._listens():  # named continues without an address that it cannot use
            raise BindError(f"named does not listen on {self.endpoint}: use an address of a network interface")

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.endpoint.host, self.endpoint.port)
        except OSError:
            return False
        writer.close()
        return True

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-3:]
        return " | ".join(lines) + f" (see {self._log})"


def _port_in(file: Path, pattern: str) -> int | None:
    """The port that an earlier configuration has, if it is still free."""
    try:
        found = re.search(pattern, file.read_text())
        if found is None:
            return None
        _check_free(Endpoint("127.0.0.1", int(found[1])))
    except (OSError, BindError):
        return None
    return int(found[1])


def _free_port(*others: int) -> int:
    """A free port on loopback, except these."""
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        if port not in others:
            return port


def _binary(folder: Path) -> str:
    """The `named` to run: a copy in `folder` if AppArmor confines the original by its path."""
    binary, (enabled, profile) = program("named"), _APPARMOR
    if not (profile.exists() and enabled.exists() and enabled.read_text().startswith("Y")):
        return binary
    copy = folder / "named"
    if not copy.exists() or copy.stat().st_mtime != Path(binary).stat().st_mtime:
        copy.unlink(missing_ok=True)
        shutil.copy2(binary, copy)
    return str(copy)


def _check_free(endpoint: Endpoint) -> None:
    """Check that the address can be used. Raises BindError."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:  # old connections of a predecessor do not count
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((endpoint.host, endpoint.port))
            except OSError as error:
                raise BindError(f"named cannot listen on {endpoint}: {error.strerror}") from None


def _leftovers(config: Path) -> list[int]:
    """Processes of `named` with this configuration file."""
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if _runs(int(p.name), config)]


def _runs(pid: int, config: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return Path(os.fsdecode(words[0])).name == "named" and os.fsencode(config) in words


async def _end(pid: int, config: Path) -> None:
    """Stop that `named`, by force after a while; SIGCONT, because a stopped process ignores other signals."""
    for request, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, request)
            os.kill(pid, signal.SIGCONT)
        for _ in range(int(seconds / 0.02)):
            if not _runs(pid, config):
                return
            await asyncio.sleep(0.02)
