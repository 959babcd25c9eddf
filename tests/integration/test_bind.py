# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd.dns.bind.control` on a running BIND: zones and keys come, stay and go."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
import pytest
from support.ports import free_port, until

from ddnsd.dns.bind.control import Bind, ZoneOptions
from ddnsd.dns.bind.process import Named
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.bind.zone_config import Features
from ddnsd.dns.bind.zonefile import NameServer
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

ZONE = "dyn.example.org"
PROGRAM = Path(__file__).parents[2] / "roles" / "ddns_server" / "files" / "ddnsd-files"


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[Named]:
    server = Named(tmp_path / "a folder", "127.0.0.1", free_port())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def bind(named: Named) -> Bind:
    return Bind(named.folder, named.rndc_key)


async def add(named: Named, key: TsigKey | None, name: str = "www", zone: str = ZONE) -> str:
    """Add an A record; the answer's rcode."""
    update = dns.update.UpdateMessage(zone)
    if key is not None:
        update.use_tsig(key.dnspython)
    update.replace(name, 60, "A", "192.0.2.1")
    try:
        answer = await dns.asyncquery.tcp(update, "127.0.0.1", port=named.endpoint.port, timeout=5)
    except dns.tsig.PeerBadKey:
        return "BADKEY"
    return dns.rcode.to_text(answer.rcode())


async def ask(named: Named, name: str, rtype: str = "A") -> list[str]:
    query = dns.message.make_query(name, rtype)
    answer = await dns.asyncquery.udp(query, "127.0.0.1", port=named.endpoint.port, timeout=5)
    return [rdata.to_text() for rrset in answer.answer for rdata in rrset]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "named.log"}


async def test_a_provisioned_zone_obeys_its_own_key_only(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(bind.provision, ZONE)
    other = await asyncio.to_thread(bind.provision, "lab.example.org", "hmac-sha512")
    assert (key.algorithm, other.algorithm) == ("hmac-sha256", "hmac-sha512")

    assert await add(named, key) == "NOERROR"
    assert await ask(named, f"www.{ZONE}") == ["192.0.2.1"]
    assert await add(named, None, "unsigned") == "REFUSED"
    assert await add(named, other, "foreign") == "REFUSED"
    assert await add(named, other, zone="lab.example.org") == "NOERROR"
    assert await ask(named, f"unsigned.{ZONE}") == await ask(named, f"foreign.{ZONE}") == []


async def test_the_new_zone_has_short_negative_answers_and_one_name_server(named: Named, bind: Bind) -> None:
    await asyncio.to_thread(bind.provision, ZONE)
    [soa] = await ask(named, ZONE, "SOA")
    assert soa.startswith(f"localhost. hostmaster.{ZONE}. ")
    assert soa.endswith(" 60")
    assert await ask(named, ZONE, "NS") == ["localhost."]


async def test_only_the_key_transfers(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(bind.provision, ZONE)
    query = dns.message.make_query(ZONE, "AXFR")
    answer = await dns.asyncquery.tcp(query, "127.0.0.1", port=named.endpoint.port, timeout=5)
    assert answer.rcode() == dns.rcode.REFUSED
    query.use_tsig(key.dnspython)
    answer = await dns.asyncquery.tcp(query, "127.0.0.1", port=named.endpoint.port, timeout=5)
    assert [dns.rdatatype.to_text(rrset.rdtype) for rrset in answer.answer] == ["SOA", "NS"]


async def test_provisioning_again_changes_nothing(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(bind.provision, ZONE)
    await add(named, key)
    before = snapshot(named.folder)
    assert await asyncio.to_thread(bind.provision, f"{ZONE.upper()}.", "hmac-sha512") == key
    assert snapshot(named.folder) == before
    assert await ask(named, f"www.{ZONE}") == ["192.0.2.1"]


async def test_keys_are_for_their_owner_only(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(bind.provision, ZONE)
    files = [p for p in named.folder.rglob("*") if p.is_file() and key.secret.encode() in p.read_bytes()]
    assert [p.name for p in files] == [f"{ZONE}.key"]
    assert [oct(p.stat().st_mode & 0o777) for p in [*files, named.rndc_key, named.folder / "rndc.key"]] == ["0o600"] * 3


async def test_a_folder_shared_with_named_by_setgid_gives_its_group_the_files(tmp_path: Path, named: Named) -> None:
    named.folder.chmod(0o2750)
    await asyncio.to_thread(Bind(named.folder, named.rndc_key).provision, ZONE)
    modes = [oct((named.folder / p).stat().st_mode & 0o7777) for p in ("zones", f"keys/{ZONE}.key", "keys.conf")]
    assert modes == ["0o2770", "0o640", "0o640"]


async def test_folders_that_are_right_are_left_alone(
    tmp_path: Path, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under RestrictSUIDSGID=, where nobody may set the bit."""
    bind, change_mode = Bind(named.folder, named.rndc_key), Path.chmod

    def restricted(path: Path, mode: int) -> None:
        if mode & 0o2000:
            raise PermissionError(1, "Operation not permitted", str(path))
        change_mode(path, mode)

    named.folder.chmod(0o2770)
    monkeypatch.setattr(Path, "chmod", restricted)
    (named.folder / "keys").mkdir(mode=0o700)
    with pytest.raises(BindError, match=r"keys must belong to the service's user and to named's group, with mode 2770"):
        await asyncio.to_thread(bind.provision, ZONE)
    for name in ("keys", "zones", "dnssec"):
        (named.folder / name).mkdir(exist_ok=True)
        change_mode(named.folder / name, 0o2770)
    assert await add(named, await asyncio.to_thread(bind.provision, ZONE)) == "NOERROR"


async def test_a_zone_follows_its_key_and_the_options(named: Named, bind: Bind) -> None:
    await asyncio.to_thread(bind.provision, ZONE)
    key = TsigKey.generate("another.name", "hmac-sha512")
    wider = Bind(named.folder, named.rndc_key, options=ZoneOptions(transfer_key="transfer"))
    for control, expected in ((bind, ["key", "configuration"]), (wider, ["configuration"]), (bind, ["configuration"])):
        before = snapshot(named.folder)
        checked = [await asyncio.to_thread(control.ensure, ZONE, key, check=True) for _ in range(2)]
        assert snapshot(named.folder) == before
        done = [await asyncio.to_thread(control.ensure, ZONE, key) for _ in range(2)]
        assert (checked, done) == ([expected] * 2, [expected, []])
        assert await add(named, key) == "NOERROR"
    assert await ask(named, f"www.{ZONE}") == ["192.0.2.1"]


async def test_check_makes_no_folder(named: Named, tmp_path: Path) -> None:
    other = Bind(tmp_path / "new", named.rndc_key)
    assert await asyncio.to_thread(other.ensure, ZONE, TsigKey.generate("k"), check=True) == ["key", "zone"]
    assert not (tmp_path / "new").exists()


async def test_a_lost_file_of_a_zone_that_is_served_is_named_s_to_write(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(bind.provision, ZONE)
    await add(named, key)
    (named.folder / "zones" / f"{ZONE}.zone").unlink()
    assert await asyncio.to_thread(bind.ensure, ZONE, key) == []
    assert await ask(named, f"www.{ZONE}") == ["192.0.2.1"]


async def test_concurrent_provisioning_of_one_zone_yields_one_key(named: Named, bind: Bind) -> None:
    other = Bind(named.folder, named.rndc_key)
    keys = await asyncio.gather(*(asyncio.to_thread(b.provision, ZONE) for b in (bind, other, bind, other)))
    assert len({key.secret for key in keys}) == 1
    assert await add(named, keys[0]) == "NOERROR"


async def test_a_withdrawn_zone_is_gone_and_a_new_one_starts_empty(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(bind.provision, ZONE)
    await add(named, key)
    for _ in range(2):
        await asyncio.to_thread(bind.withdraw, ZONE)
        assert await add(named, key) == "BADKEY"
    assert not list(named.folder.rglob(f"{ZONE}*"))
    anew = await asyncio.to_thread(bind.provision, ZONE)
    assert anew != key
    assert await ask(named, f"www.{ZONE}") == []
    assert await add(named, anew) == "NOERROR"


async def test_zones_keys_and_records_outlive_a_restart(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(bind.provision, ZONE)
    await add(named, key)
    await named.stop()
    await named.start()
    assert await ask(named, f"www.{ZONE}") == ["192.0.2.1"]
    assert await asyncio.to_thread(bind.provision, ZONE) == key
    assert await add(named, key, "after") == "NOERROR"


async def test_a_lost_zone_file_is_made_anew(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(bind.provision, ZONE)
    await add(named, key)
    await named.stop()
    (named.folder / "zones" / f"{ZONE}.zone").unlink()
    await named.start()
    assert await asyncio.to_thread(bind.provision, ZONE) == key
    assert await add(named, key, "after") == "NOERROR"


def naming(named: Named, *servers: str) -> Bind:
    options = ZoneOptions(primary=named.endpoint, name_servers=tuple(map(NameServer.from_text, servers)))
    return Bind(named.folder, named.rndc_key, options=options)


async def test_zones_follow_the_configured_name_servers(named: Named) -> None:
    old, inside = f"ns1.{ZONE}=192.0.2.53=2001:db8::53", f"ns3.{ZONE}"
    before = naming(named, old, "ns2.example.net")
    key = await asyncio.to_thread(before.provision, ZONE)
    await add(named, key)
    assert await asyncio.to_thread(before.ensure, ZONE, key) == []
    [soa] = await ask(named, ZONE, "SOA")

    after = naming(named, "new.example.net", "ns2.example.net", f"{inside}=192.0.2.54")
    for check in (True, True, False):
        assert await asyncio.to_thread(after.ensure, ZONE, key, check=check) == ["name servers"]
    assert await asyncio.to_thread(after.ensure, ZONE, key) == []
    assert sorted(await ask(named, ZONE, "NS")) == ["new.example.net.", "ns2.example.net.", f"{inside}."]
    [changed] = await ask(named, ZONE, "SOA")
    assert changed.split()[0] == "new.example.net."
    assert int(changed.split()[2]) > int(soa.split()[2])
    assert (changed.split()[1], *changed.split()[3:]) == (soa.split()[1], *soa.split()[3:])
    assert await ask(named, f"ns1.{ZONE}") == await ask(named, f"ns1.{ZONE}", "AAAA") == []
    assert await ask(named, inside) == ["192.0.2.54"]
    assert await ask(named, f"www.{ZONE}") == ["192.0.2.1"]

    moved = naming(named, f"{inside}=192.0.2.55=2001:db8::55")
    assert await asyncio.to_thread(moved.ensure, ZONE, key) == ["name servers"]
    assert await ask(named, ZONE, "NS") == [f"{inside}."]
    assert (await ask(named, inside), await ask(named, inside, "AAAA")) == (["192.0.2.55"], ["2001:db8::55"])


async def test_name_servers_are_kept_where_none_are_configured_and_in_zones_of_others(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(naming(named, "ns.example.net").provision, ZONE)
    assert await asyncio.to_thread(bind.ensure, ZONE, key) == []
    assert await ask(named, ZONE, "NS") == ["ns.example.net."]

    other = TsigKey.generate("other")
    (named.folder / "keys" / "lab.example.org.key").write_text(other.to_text())
    (named.folder / "theirs").write_text("$TTL 60\n@ SOA theirs.example. root 1 60 60 60 60\n@ NS theirs.example.\n")
    text = '{ type primary; file "theirs"; update-policy { grant "other" zonesub ANY; }; };'
    naming(named, "ns.example.net")._write_key_list()
    await asyncio.to_thread(bind.rndc, "reconfig")
    await asyncio.to_thread(bind.rndc, "addzone", "lab.example.org", text)
    assert await asyncio.to_thread(naming(named, "ns.example.net").ensure, "lab.example.org", other) == []
    assert await ask(named, "lab.example.org", "NS") == ["theirs.example."]


async def test_a_host_does_not_become_a_name_server(named: Named) -> None:
    key = await asyncio.to_thread(naming(named, "ns.example.net").provision, ZONE)
    await add(named, key)
    host = naming(named, f"www.{ZONE}=192.0.2.53")
    with pytest.raises(BindError, match=f"www.{ZONE} cannot become a name server .* has 192.0.2.1"):
        await asyncio.to_thread(host.ensure, ZONE, key)
    assert await ask(named, ZONE, "NS") == ["ns.example.net."]
    assert await ask(named, f"www.{ZONE}") == ["192.0.2.1"]


async def test_a_zone_that_does_not_grant_our_key_is_left_alone(named: Named, bind: Bind) -> None:
    zone_statement = '{ type primary; file "theirs"; update-policy local; };'
    (named.folder / "theirs").write_text("$TTL 60\n@ SOA localhost. root 1 60 60 60 60\n@ NS localhost.\n")
    await asyncio.to_thread(bind.rndc, "addzone", ZONE, zone_statement)
    with pytest.raises(BindError, match=f'grant "ddnsd.{ZONE}" zonesub ANY') as caught:
        await asyncio.to_thread(bind.provision, ZONE)
    assert "update-policy" in str(caught.value)


async def test_errors_say_what_to_do(named: Named, bind: Bind, tmp_path: Path) -> None:
    def failure(other: Bind, zone: str = ZONE) -> str:
        with pytest.raises(BindError) as caught:
            other.provision(zone)
        return str(caught.value)

    key = named.folder / "rndc.key"
    wrong = tmp_path / "wrong.key"
    wrong.write_text(TsigKey.generate("rndc").to_text())
    port = int(named.rndc_key.read_text().split("default-port ")[1].split(";")[0])
    control = Endpoint("127.0.0.1", port)
    assert "check that named runs" in failure(Bind(tmp_path / "b", key, server=Endpoint("127.0.0.1", free_port())))
    assert "name the rndc key in named's controls statement" in failure(Bind(tmp_path / "b", wrong, server=control))
    assert "cannot read the rndc key" in failure(Bind(tmp_path / "b", tmp_path / "none"))
    inside = ZoneOptions(name_servers=(NameServer(f"ns.{ZONE}"),))
    assert f"ns.{ZONE} needs an address" in failure(Bind(tmp_path / "b", key, options=inside))
    assert Bind(named.folder, key, server=control).is_running()
    assert not Bind(tmp_path / "b", wrong, server=control).is_running()
    with pytest.raises(ValueError, match="is not a valid name for a zone"):
        bind.provision("../etc/passwd")


async def test_a_named_that_takes_no_new_zones_is_explained(named: Named, bind: Bind) -> None:
    config = named.folder / "named.conf"
    config.write_text(config.read_text().replace("allow-new-zones yes;", ""))
    await asyncio.to_thread(bind.rndc, "reconfig")
    with pytest.raises(BindError, match="add `allow-new-zones yes;` to"):
        await asyncio.to_thread(bind.provision, ZONE)


async def test_new_zones_are_signed_with_one_key_each(named: Named, bind: Bind) -> None:
    """Each makes named read its configuration again just before, and its signing keys just after."""
    names = [f"z{number}.example.org" for number in range(12)]
    keys = [await asyncio.to_thread(bind.provision, name, features=Features("default")) for name in names]

    async def are_signed() -> bool:
        return all([await ask(named, name, "DNSKEY") for name in names])

    await until(are_signed, "the zones are signed")
    for name, key in zip(names, keys, strict=True):
        assert len(await ask(named, name, "DNSKEY")) == 1
        assert len(list((bind.folder / "dnssec").glob(f"K{name}.+*.key"))) == 1
        assert await asyncio.to_thread(bind.ensure, name, key, Features("default")) == []


@contextlib.asynccontextmanager
async def installer(socket: Path, *command: object) -> AsyncIterator[None]:
    """What systemd does for the role: run the command for each connection, and send what it prints."""

    async def run(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        process = await asyncio.create_subprocess_exec(*map(str, command), stdout=writer.get_extra_info("socket"))
        await process.wait()
        writer.close()

    async with await asyncio.start_unix_server(run, socket):
        yield


async def test_another_program_installs_the_keys(named: Named, tmp_path: Path) -> None:
    """The service writes in its own folder, and named includes a file that the service cannot write."""
    options = ZoneOptions(keys_socket=tmp_path / "keys.sock")
    bind = Bind(tmp_path / "own", named.rndc_key, options=options)
    with pytest.raises(BindError, match=r"does not install the keys of BIND: .*ddnsd-keys\.socket"):
        await asyncio.to_thread(bind.provision, ZONE)
    command = [PROGRAM, "keys", "--from", bind.folder / "keys", "--to", named.folder / "keys.conf"]
    async with installer(tmp_path / "keys.sock", *command):
        key = await asyncio.to_thread(bind.provision, ZONE)
        assert await add(named, key) == "NOERROR"
        assert (named.folder / "keys.conf").read_text() == key.to_text()
        (bind.folder / "keys" / "evil.key").write_text('logging { channel x { file "/tmp/x"; }; };')
        (bind.folder / "keys.conf").write_text('include "/etc/passwd";\n')
        with pytest.raises(BindError, match=r"not installed: .*evil\.key is not one TSIG key"):
            await asyncio.to_thread(bind.provision, "other.example.org")
        assert (named.folder / "keys.conf").read_text() == key.to_text()
        (bind.folder / "keys" / "evil.key").unlink()
        await asyncio.to_thread(bind.provision, "other.example.org")
        await asyncio.to_thread(bind.withdraw, ZONE)
        assert await add(named, key, zone="other.example.org") == "BADKEY"


async def test_answers_are_small_and_tell_no_version(named: Named, bind: Bind) -> None:
    key = await asyncio.to_thread(bind.provision, ZONE)
    assert await add(named, key) == "NOERROR"
    any_query = dns.message.make_query(ZONE, "ANY")
    answer = await dns.asyncquery.udp(any_query, "127.0.0.1", port=named.endpoint.port, timeout=5)
    assert len(answer.answer) == 1, "of SOA and NS"
    answer = await dns.asyncquery.udp(
        dns.message.make_query(f"www.{ZONE}", "A"), "127.0.0.1", port=named.endpoint.port, timeout=5
    )
    assert (len(answer.answer), answer.authority) == (1, [])
    version = dns.message.make_query("version.bind", "TXT", "CH")
    assert (await dns.asyncquery.udp(version, "127.0.0.1", port=named.endpoint.port, timeout=5)).answer == []
