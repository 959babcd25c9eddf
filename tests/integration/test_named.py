# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd.dns.bind.process`: the child `named` starts, comes back, is taken over, and leaves nothing behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest
from support.ports import free_port, in_time, wait_until

from ddnsd.dns.bind import process as module
from ddnsd.dns.bind.control import Bind
from ddnsd.dns.bind.process import Named
from ddnsd.dns.bind.rndc import BindError

ZONE = "dyn.example.org"

PARENT = """
import asyncio, sys
from pathlib import Path
from ddnsd.dns.bind.process import Named

async def main():
    await Named(Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2])).start()
    print("started", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[Named]:
    server = Named(tmp_path / "bind", "127.0.0.1", free_port())
    await server.start()
    yield server
    await server.stop()


def pid_of(named: Named) -> int:
    return int(named.pid_file.read_text())


def serves(named: Named, host: str = "127.0.0.1") -> bool:
    """Whether the zone is answered for."""
    query = dns.message.make_query(ZONE, "SOA")
    try:
        return bool(dns.query.tcp(query, host, port=named.endpoint.port, timeout=1).answer)
    except (dns.exception.Timeout, OSError, EOFError):
        return False


def start_and_kill_the_parent(named: Named) -> None:
    command = [sys.executable, "-c", PARENT, str(named.folder), str(named.endpoint.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        parent.kill()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def open_files(pid: int) -> set[Path]:
    return {p for p in (fd.resolve() for fd in Path(f"/proc/{pid}/fd").iterdir()) if p.is_file()}


def listening(pid: int) -> set[str]:
    """The addresses and ports on which the process accepts TCP connections."""
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[3] for line in lines if f"pid={pid}," in line}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
async def test_it_listens_where_it_is_told(tmp_path: Path, host: str) -> None:
    named = Named(tmp_path, host, free_port())
    await named.start()
    try:
        addresses = await asyncio.to_thread(listening, pid_of(named))
        ours = {a for a in addresses if a.endswith(f":{named.endpoint.port}")}
        assert ours == {str(named.endpoint)} or host in ("0.0.0.0", "::")
        channels = addresses - ours
        assert len(channels) == 2, "the control channel and the statistics channel"
        assert str(named.statistics) in channels
        assert all(address.startswith("127.0.0.1:") for address in channels)
        await asyncio.to_thread(Bind(named.folder, named.rndc_key).provision, ZONE)
        loopback = "::1" if ":" in host else "127.0.0.1"
        assert serves(named, loopback)
    finally:
        await named.stop()


async def test_it_stops_at_once_and_leaves_no_process(named: Named) -> None:
    pid = pid_of(named)
    with in_time():
        await named.stop()
        await named.stop()
    assert not alive(pid)
    assert not named.pid_file.exists()


async def test_it_stops_also_when_it_hangs(named: Named) -> None:
    os.kill(pid_of(named), signal.SIGSTOP)
    with in_time():
        await named.stop()


@pytest.mark.parametrize("request_", [signal.SIGKILL, signal.SIGTERM])
async def test_a_named_that_died_is_started_again_and_knows_its_zones(named: Named, request_: signal.Signals) -> None:
    await asyncio.to_thread(Bind(named.folder, named.rndc_key).provision, ZONE)
    supervision = asyncio.create_task(named.supervise())
    for _ in range(2):
        pid = pid_of(named)
        os.kill(pid, request_)
        await asyncio.to_thread(wait_until, lambda: not alive(pid))  # noqa: B023
        await asyncio.to_thread(wait_until, lambda: serves(named), 10, "named is back")
    await named.stop()
    async with asyncio.timeout(20):
        await supervision
    assert not serves(named)


async def test_supervision_goes_on_after_a_failed_start(named: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(Bind(named.folder, named.rndc_key).provision, ZONE)
    supervision = asyncio.create_task(named.supervise())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        config = (named.folder / "keys.conf").read_text()
        (named.folder / "keys.conf").write_text("nonsense")
        os.kill(pid_of(named), signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert not serves(named)
        thief.bind(("127.0.0.1", named.endpoint.port))
        (named.folder / "keys.conf").write_text(config)
        await asyncio.sleep(0.5)
        assert not supervision.done()
    await asyncio.to_thread(wait_until, lambda: serves(named), 10, "named is back")
    await named.stop()
    async with asyncio.timeout(20):
        await supervision


@pytest.mark.parametrize("frozen", [False, True])
async def test_it_takes_over_what_a_killed_run_left_behind(tmp_path: Path, frozen: bool) -> None:
    named = Named(tmp_path, "127.0.0.1", free_port())
    await asyncio.to_thread(start_and_kill_the_parent, named)
    orphan, control = pid_of(named), named.rndc_key.read_text()
    assert alive(orphan)
    if frozen:
        os.kill(orphan, signal.SIGSTOP)
    await named.start()
    try:
        assert not alive(orphan)
        assert pid_of(named) != orphan
        assert named.rndc_key.read_text() == control
    finally:
        await named.stop()


async def test_it_never_ends_the_named_of_a_living_run(named: Named) -> None:
    with pytest.raises(BindError, match="another process runs a BIND in"):
        await Named(named.folder, "127.0.0.1", free_port()).start()
    assert alive(pid_of(named))


async def test_it_never_ends_a_process_that_merely_has_the_id(named: Named) -> None:
    await named.stop()
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    named.pid_file.write_text(str(stranger.pid))
    await named.start()
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


async def test_a_taken_address_is_named(named: Named, tmp_path: Path) -> None:
    other = Named(tmp_path / "other", "127.0.0.1", named.endpoint.port)
    with pytest.raises(BindError, match=f"cannot listen on 127.0.0.1:{named.endpoint.port}: Address already in use"):
        await other.start()
    with pytest.raises(BindError, match="Cannot assign requested address"):
        await Named(tmp_path / "other", "192.0.2.1", free_port()).start()
    with pytest.raises(BindError, match=r"does not listen on 127.0.0.2:.* address of a network interface"):
        await Named(tmp_path / "other", "127.0.0.2", free_port()).start()


async def test_a_broken_configuration_is_named(named: Named) -> None:
    await named.stop()
    (named.folder / "keys.conf").write_text("nonsense;\n")
    with pytest.raises(BindError, match=r"keys.conf:1: unknown option 'nonsense'"):
        await named.start()


async def test_a_named_that_ends_is_quoted(named: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    await named.stop()
    (named.folder / "_default.nzd").write_bytes(b"no database")
    with pytest.raises(BindError, match=r"did not start: .*exiting"):
        await named.start()


async def test_an_option_that_this_version_lacks_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OPTIONAL", {"no-such-option": "1", "another": "2", "tcp-listen-queue": "20"})
    named = Named(tmp_path, "127.0.0.1", free_port())
    await named.start()
    await named.stop()
    text = (tmp_path / "named.conf").read_text()
    assert "no-such-option" not in text
    assert "tcp-listen-queue 20;" in text


async def test_a_copy_runs_where_apparmor_confines_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled, profile = tmp_path / "enabled", tmp_path / "usr.sbin.named"
    enabled.write_text("Y\n")
    profile.touch()
    monkeypatch.setattr(module, "_APPARMOR", (enabled, profile))
    named = Named(tmp_path / "bind", "127.0.0.1", free_port())
    for _ in range(2):
        await named.start()
        assert (await asyncio.to_thread(Path(f"/proc/{pid_of(named)}/exe").readlink)) == named.folder / "named"
        await named.stop()


async def test_without_bind_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddnsd.dns.bind.rndc.shutil.which", lambda *_, **__: None)
    with pytest.raises(BindError, match="named-checkconf is not installed: run `apt-get install bind9`"):
        await Named(tmp_path, "127.0.0.1", free_port()).start()


async def test_the_secret_files_are_for_their_owner_and_nothing_lies_outside(named: Named) -> None:
    written = await asyncio.to_thread(open_files, pid_of(named))
    assert written
    assert all(p.is_relative_to(named.folder) for p in written)
    secret = [named.folder / name for name in ("rndc.key", "rndc.conf", "named.conf", "session.key")]
    assert {p.stat().st_mode & 0o777 for p in secret} == {0o600}
    assert named.folder.stat().st_mode & 0o777 == 0o700


async def test_a_terminal_interrupt_does_not_reach_it(named: Named) -> None:
    assert os.getsid(pid_of(named)) != os.getsid(0)
