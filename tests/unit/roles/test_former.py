# SPDX-License-Identifier: GPL-3.0-or-later
"""A removal gives back what a machine had of nginx, Caddy and BIND, and lets the sites of others run."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "roles" / "ddns_server" / "files" / "former.py"
EXAMPLE = ":80 {\n\tfile_server\n}\n"
DEFAULT_SITE = "server { listen 80 default_server; }\n"
SYSTEMCTL = """#!/bin/sh
case $1 in
  --quiet) test -e "$FORMER_ROOT/units/$3.${2#is-}" ;;
  stop) rm -f "$FORMER_ROOT/units/$2.active"; echo "stop $2" >>"$FORMER_ROOT/did" ;;
  disable) rm -f "$FORMER_ROOT/units/$2.enabled"; echo "disable $2" >>"$FORMER_ROOT/did" ;;
  restart) echo "restart $2" >>"$FORMER_ROOT/did" ;;
esac
"""
DPKG = """#!/bin/sh
case $2 in
  *Conffiles*) cat "$FORMER_ROOT/conffiles" ;;
  *) sed 's/^/installed /' "$FORMER_ROOT/packages"; echo config-files gone ;;
esac
"""
APT = """#!/bin/sh
if test "$1" = --simulate; then cat "$FORMER_ROOT/removes"; else shift 3; echo "remove $*" >>"$FORMER_ROOT/did"; fi
"""


class Machine:
    """A root folder with the files of the packages, and stand-ins for systemctl, dpkg-query and apt-get."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for name in ("bin", "units", "etc/nginx/conf.d", "etc/nginx/sites-enabled", "etc/nginx/sites-available"):
            (folder / name).mkdir(parents=True)
        for name in ("etc/caddy", "etc/bind"):
            (folder / name).mkdir(parents=True)
        for name, text in (("systemctl", SYSTEMCTL), ("dpkg-query", DPKG), ("apt-get", APT)):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        known = {"etc/caddy/Caddyfile": EXAMPLE, "etc/nginx/sites-available/default": DEFAULT_SITE}
        sums = {
            f"/{name}": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for name, text in known.items()
        }
        (folder / "conffiles").write_text("".join(f" {name} {value}\n" for name, value in sums.items()))
        self.packages("libc6")

    def packages(self, *names: str, removes: tuple[str, ...] | None = None) -> None:
        """Let these be installed; `removes` is what apt would remove with them."""
        (self.root / "packages").write_text("".join(f"{name}\n" for name in names))
        lines = [f"Remv {name} [1.0]\n" for name in (names if removes is None else removes)]
        (self.root / "removes").write_text("".join(lines))

    def unit(self, name: str, *states: str) -> None:
        for state in states:
            (self.root / "units" / f"{name}.{state}").touch()

    def install_nginx(self) -> None:
        self.packages("libc6", "nginx", "nginx-common", removes=("nginx", "nginx-common"))
        self.unit("nginx", "active", "enabled")
        self.file("etc/nginx/sites-available/default").write_text(DEFAULT_SITE)
        self.file("etc/nginx/sites-enabled/default").symlink_to("../sites-available/default")

    def install_caddy(self) -> None:
        self.packages("libc6", "caddy", removes=("caddy",))
        self.unit("caddy", "active", "enabled")
        self.file("etc/caddy/Caddyfile").write_text(EXAMPLE)

    def file(self, name: str) -> Path:
        return self.root / name

    def run(self, command: str, name: str) -> str:
        environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "FORMER_ROOT": str(self.root)}
        done = subprocess.run(
            [sys.executable, PROGRAM, command, name], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def did(self) -> list[str]:
        """What was done to units and packages."""
        file = self.file("did")
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def set_up(machine: Machine, name: str, *, with_package: bool = True) -> None:
    """What the role does: note, install, settle, free, configure."""
    machine.run("note", name)
    if with_package:
        machine.install_nginx() if name == "nginx" else machine.install_caddy()
    machine.run("settle", name)
    machine.run("free", name)
    ours = {"nginx": "etc/nginx/conf.d/ddnsd.conf", "caddy": "etc/caddy/ddnsd.caddy"}[name]
    machine.file(ours).write_text("ours\n")


def take_down(machine: Machine, name: str) -> str:
    for ours in ("etc/nginx/conf.d/ddnsd.conf", "etc/caddy/ddnsd.caddy"):
        machine.file(ours).unlink(missing_ok=True)
    return machine.run("restore", name)


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_what_the_role_brought_goes_with_it(machine: Machine, name: str) -> None:
    set_up(machine, name)
    take_down(machine, name)
    packages = {"nginx": "nginx nginx-common", "caddy": "caddy"}[name]
    assert machine.did == [f"stop {name}", f"disable {name}", f"remove {packages}"]
    assert not machine.file("etc/ddnsd").exists()


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_the_packages_example_comes_back(machine: Machine, name: str) -> None:
    machine.install_nginx() if name == "nginx" else machine.install_caddy()
    set_up(machine, name, with_package=False)
    if name == "nginx":
        assert not machine.file("etc/nginx/sites-enabled/default").is_symlink()
    else:
        assert machine.file("etc/caddy/Caddyfile").read_text() == ""
    take_down(machine, name)
    assert machine.did == [f"restart {name}"]
    assert machine.file("etc/nginx/sites-enabled/default").exists() is (name == "nginx")
    assert name == "nginx" or machine.file("etc/caddy/Caddyfile").read_text() == EXAMPLE


def test_sites_that_came_later_keep_running(machine: Machine) -> None:
    set_up(machine, "nginx")
    machine.file("etc/nginx/sites-enabled/shop").write_text("server { listen 8080; }\n")
    assert "for its other sites" in take_down(machine, "nginx")
    assert machine.did == ["restart nginx"]


def test_sites_of_others_keep_running(machine: Machine) -> None:
    machine.install_caddy()
    machine.file("etc/caddy/Caddyfile").write_text("shop.example.org {\n}\n")
    set_up(machine, "caddy", with_package=False)
    assert machine.file("etc/caddy/Caddyfile").read_text() == "shop.example.org {\n}\n"
    take_down(machine, "caddy")
    assert machine.did == ["restart caddy"]
    assert machine.file("etc/caddy/Caddyfile").read_text() == "shop.example.org {\n}\n"


def test_a_changed_default_site_is_a_site_of_somebody(machine: Machine) -> None:
    machine.install_nginx()
    machine.file("etc/nginx/sites-available/default").write_text("server { root /srv; }\n")
    set_up(machine, "nginx", with_package=False)
    assert machine.file("etc/nginx/sites-enabled/default").is_symlink()
    take_down(machine, "nginx")
    assert machine.did == ["restart nginx"]


def test_a_server_that_did_not_run_does_not_run_again(machine: Machine) -> None:
    machine.install_nginx()
    machine.file("etc/nginx/sites-enabled/old").write_text("server {}\n")
    for state in ("active", "enabled"):
        machine.file(f"units/nginx.{state}").unlink()
    set_up(machine, "nginx", with_package=False)
    machine.unit("nginx", "active", "enabled")
    take_down(machine, "nginx")
    assert machine.did == ["stop nginx", "disable nginx"]


def test_packages_that_others_need_stay(machine: Machine) -> None:
    set_up(machine, "nginx")
    names = ("nginx", "nginx-common", "roundcube")
    machine.packages("libc6", *names, removes=names)
    assert "kept nginx nginx-common: other packages need them" in take_down(machine, "nginx")
    assert machine.did == ["stop nginx", "disable nginx"]


def test_the_state_is_noted_once_and_before_our_configuration(machine: Machine) -> None:
    set_up(machine, "nginx")
    noted = machine.file("etc/ddnsd/former/nginx.json").read_text()
    assert json.loads(noted)["brought"] == ["nginx", "nginx-common"]
    set_up(machine, "nginx")
    assert machine.file("etc/ddnsd/former/nginx.json").read_text() == noted


def test_an_installation_of_an_earlier_release_is_stopped_and_its_packages_stay(machine: Machine) -> None:
    machine.install_caddy()
    old = "# Managed by Ansible, role fedcloud.ddns.ddns_server.\nimport ddnsd.caddy\n"
    machine.file("etc/caddy/Caddyfile").write_text(old)
    machine.file("etc/caddy/ddnsd.caddy").write_text("ours\n")
    set_up(machine, "caddy", with_package=False)
    assert machine.file("etc/caddy/Caddyfile").read_text() == ""
    take_down(machine, "caddy")
    assert machine.did == ["stop caddy", "disable caddy"]


@pytest.mark.parametrize(("zones", "did"), [("// nothing\n", ["stop named", "disable named"]), ('zone "a" {};\n', [])])
def test_bind_goes_on_for_zones_that_came_later(machine: Machine, zones: str, did: list[str]) -> None:
    machine.run("note", "named")
    machine.file("etc/bind/named.conf.local").write_text(zones)
    machine.unit("named", "active", "enabled")
    machine.run("restore", "named")
    assert machine.did == (did or ["restart named"])
