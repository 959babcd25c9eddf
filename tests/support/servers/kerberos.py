# SPDX-License-Identifier: GPL-3.0-or-later
"""MIT's key distribution center of one realm, on a free port, and members who update DNS by GSS-TSIG."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.ports import free_port, listens, wait_until

CLIENT = """\
[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = {realm}
 .example.org = {realm}
"""
SERVER = """\
[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
 }}
"""


@dataclass(frozen=True)
class Realm:
    """A realm whose principals have keys in one keytab each."""

    name: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """For programs of Kerberos."""
        return os.environ | {
            "KRB5_CONFIG": str(self.folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
        }

    def run(self, *command: str, **more: str) -> None:
        subprocess.run(command, env=self.environment | more, check=True, capture_output=True, timeout=60)

    def add(self, principal: str) -> Path:
        """A new principal; answers its keytab."""
        keytab = self.folder / f"{len(list(self.folder.glob('*.keytab')))}.keytab"
        self.run("kadmin.local", "-q", f"addprinc -randkey {principal}")
        self.run("kadmin.local", "-q", f"ktadd -k {keytab} {principal}")
        return keytab

    def nsupdate(self, principal: str, keytab: Path, port: int, *lines: str) -> str:
        """What `nsupdate -g` says as this principal; empty if the update was accepted."""
        cache = {"KRB5CCNAME": str(keytab.with_suffix(".cache"))}
        self.run("kinit", "-k", "-t", str(keytab), principal, **cache)
        text = "\n".join([f"server localhost {port}", "check-names off", *lines, "send", ""])
        done = subprocess.run(
            ["nsupdate", "-g"],
            input=text,
            env=self.environment | cache,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return (done.stdout + done.stderr).strip()


@contextmanager
def realm(folder: Path, name: str) -> Iterator[Realm]:
    """The realm, while its KDC runs."""
    folder.mkdir()
    port = free_port()
    (folder / "krb5.conf").write_text(CLIENT.format(realm=name, port=port))
    (folder / "kdc.conf").write_text(SERVER.format(realm=name, port=port, folder=folder))
    made = Realm(name, folder)
    made.run("kdb5_util", "create", "-s", "-P", "only for tests")
    with (folder / "kdc.log").open("w") as log:
        process = subprocess.Popen(["krb5kdc", "-n"], env=made.environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(port), 20, "the key distribution center answers")
        yield made
    finally:
        process.terminate()
        process.wait(20)
