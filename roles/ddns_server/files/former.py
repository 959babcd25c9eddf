# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine had of nginx, Caddy or BIND before the role, and how to give it back.

    former.py note NAME     before the package is installed: write the state down, once
    former.py settle NAME   after that: which packages came with it
    former.py free NAME     take the package's own example site away, which uses our ports; sites of others stay
    former.py restore NAME  after our configuration was removed

Other sites that are there at the end keep running. Without them, the service is stopped if it was not active before,
and the packages that came with it are removed. Each command prints what it changed.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(os.environ.get("FORMER_ROOT", "/"))
STATES = ROOT / "etc/ddnsd/former"
NGINX_EXAMPLE = ROOT / "etc/nginx/sites-enabled/default"
CADDYFILE = ROOT / "etc/caddy/Caddyfile"
NAMED_ZONES = ROOT / "etc/bind/named.conf.local"
OURS = {
    "nginx": ROOT / "etc/nginx/conf.d/ddnsd.conf",
    "caddy": ROOT / "etc/caddy/ddnsd.caddy",
    "named": ROOT / "etc/bind/named.conf.options.before-ddnsd",
}
"""A file that an installation of ours has."""
PACKAGES = {"nginx": "nginx-common", "caddy": "caddy", "named": "bind9"}
"""The package with the configuration files."""
OLD_IMPORT = "# Managed by Ansible, role fedcloud.ddns.ddns_server.\nimport ddnsd.caddy\n"
"""The Caddyfile of the role's earlier releases."""


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program; what it prints is captured."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=check, env=environment)


def installed() -> list[str]:
    """The names of all installed packages."""
    done = run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n")
    lines = (line.split() for line in done.stdout.splitlines())
    return sorted({words[1] for words in lines if words[0] == "installed"})


def is_packaged(name: str, file: Path) -> bool:
    """Whether the file is as its package has it."""
    if not file.is_file():
        return False
    done = run("dpkg-query", "--show", "--showformat=${Conffiles}\n", PACKAGES[name], check=False)
    sums = dict(line.split()[:2] for line in done.stdout.splitlines() if line.strip())
    content = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    return sums.get("/" + str(file.resolve().relative_to(ROOT.resolve()))) == content


def sites(name: str) -> list[str]:
    """What the server serves beside our configuration and the package's example."""
    if name == "nginx":
        files = [*(ROOT / "etc/nginx/conf.d").glob("*.conf"), *(ROOT / "etc/nginx/sites-enabled").glob("*")]
        others = [file for file in files if file != OURS[name]]
        return sorted(str(file) for file in others if file != NGINX_EXAMPLE or not is_packaged(name, file))
    file = CADDYFILE if name == "caddy" else NAMED_ZONES
    if not file.is_file() or is_packaged(name, file):
        return []
    text = file.read_text()
    used = [line for line in text.replace(OLD_IMPORT, "").splitlines() if line.strip() and line.strip()[0] not in "#/"]
    return [hashlib.sha256("\n".join(used).encode()).hexdigest()] if used else []


def is_state(name: str, state: str) -> bool:
    """Whether the unit is `active` or `enabled`."""
    return run("systemctl", "--quiet", f"is-{state}", name, check=False).returncode == 0


def note(name: str) -> None:
    """Write down what there is, once."""
    if (STATES / f"{name}.json").exists():
        return
    state: dict[str, Any] = {"known": not OURS[name].exists()}
    if state["known"]:
        packages = installed()
        state |= {"had": PACKAGES[name] in packages, "before": packages, "sites": sites(name)}
        state |= {what: is_state(name, what) for what in ("active", "enabled")}
        if NGINX_EXAMPLE.is_symlink() and name == "nginx":
            state["example"] = str(NGINX_EXAMPLE.readlink())
    write(name, state)
    print(f"noted {name}")


def settle(name: str) -> None:
    """Replace the list of packages by that of those which were installed since."""
    state = read(name)
    if "before" in state:
        before = set(state.pop("before"))
        write(name, state | {"brought": [package for package in installed() if package not in before]})


def free(name: str) -> None:
    """Remove the package's example site."""
    if name == "nginx" and NGINX_EXAMPLE.is_symlink() and is_packaged(name, NGINX_EXAMPLE):
        NGINX_EXAMPLE.unlink()
        print(f"removed {NGINX_EXAMPLE}")
    if name == "caddy" and CADDYFILE.is_file():
        text = CADDYFILE.read_text()
        if is_packaged(name, CADDYFILE):
            write(name, read(name) | {"example": text})
        elif text != OLD_IMPORT:
            return
        CADDYFILE.write_text("")
        print(f"emptied {CADDYFILE}")


def restore(name: str) -> None:
    """Give back what was there, and keep what came since."""
    state = read(name)
    if name == "nginx" and "example" in state and not NGINX_EXAMPLE.exists() and not NGINX_EXAMPLE.is_symlink():
        NGINX_EXAMPLE.symlink_to(state["example"])
    if name == "caddy" and CADDYFILE.is_file() and CADDYFILE.read_text().replace(OLD_IMPORT, "").strip() == "":
        CADDYFILE.write_text(state.get("example", ""))
    since = [site for site in sites(name) if site not in state.get("sites", [])]
    run("systemctl", "daemon-reload")
    if state.get("active") or since:
        keep(name)
    else:
        stop(name, state)
    (STATES / f"{name}.json").unlink(missing_ok=True)
    for folder in (STATES, STATES.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def keep(name: str) -> None:
    """Let the server go on, without our configuration and without the limits of its unit."""
    if is_state(name, "active"):
        run("systemctl", "restart", name)
        print(f"restarted {name}, for its other sites")


def stop(name: str, state: dict[str, Any]) -> None:
    """Stop the server, and remove the packages that came with it unless others need them by now."""
    run("systemctl", "stop", name)
    print(f"stopped {name}")
    if not state.get("enabled"):
        run("systemctl", "disable", name)
    brought = [package for package in state.get("brought", []) if package in set(installed())]
    if not brought or state.get("had", True):
        return
    lines = run("apt-get", "--simulate", "remove", *brought, check=False).stdout.splitlines()
    removed = {line.split()[1].split(":")[0] for line in lines if line.startswith("Remv ")}
    if removed and removed <= set(brought):
        run("apt-get", "--quiet", "--yes", "remove", *brought)
        print(f"removed {' '.join(brought)}")
    else:
        print(f"kept {' '.join(brought)}: other packages need them")


def read(name: str) -> dict[str, Any]:
    """What was written down; nothing for an installation of an earlier release."""
    file = STATES / f"{name}.json"
    state: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return state


def write(name: str, state: dict[str, Any]) -> None:
    """Write it down, atomically."""
    STATES.mkdir(parents=True, exist_ok=True)
    draft = STATES / f".{name}"
    draft.write_text(json.dumps(state))
    draft.replace(STATES / f"{name}.json")


if __name__ == "__main__":
    {"note": note, "settle": settle, "free": free, "restore": restore}[sys.argv[1]](sys.argv[2])
