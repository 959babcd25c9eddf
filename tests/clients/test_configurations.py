# SPDX-License-Identifier: GPL-3.0-or-later
"""The portal's ready-made configurations, used as they are by the programs for which they are made."""

import base64
import gzip
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import yaml
from support.ansible.playbooks import Ansible
from support.clients.programs import Host, Outcome, private_file
from support.servers.http_stub import Asked, Said, Web, web
from support.servers.service import Service, dev

from ddnsd.web.portal.client_configs import SHIPPED, Configuration, Target, configuration, shipped

REPOSITORY = Path(__file__).parents[2]
ADDRESS = "192.0.2.77"
"""From which the service sees every client of this file."""
HOSTILE = """a'b"c\\d$e%f${HOME} #g %h {{ 7*7 }} `id` $(id) &;|<>!*?~:/@\\"""
FQDN = "vm-7.dyn.example.org"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("behind"), trusted_proxies="127.0.0.0/8") as running:
        yield running


@pytest.fixture(scope="module")
def front(service: Service) -> Iterator[Web]:
    """A front before the service, which all clients reach from `ADDRESS`."""

    def forward(asked: Asked) -> Said:
        kept = ("authorization", "content-type", "user-agent")
        headers = {name: asked.headers[name] for name in kept if name in asked.headers}
        answer = service.request(
            asked.method, asked.target, headers=headers | {"X-Forwarded-For": ADDRESS}, data=asked.body or None
        )
        return answer.status_code, answer.text

    with web(forward) as running:
        yield running


@pytest.fixture
def host(service: Service) -> Host:
    number = len(list(service.dir.glob("host-*")))
    (service.dir / f"host-{number}").touch()
    return Host(service, fqdn := f"host{number}.{service.domain}", service.register(fqdn, ip="192.0.2.250"))


Use = Callable[[Configuration], Outcome]


@pytest.fixture
def use(request: pytest.FixtureRequest, run: Callable[..., Outcome], tmp_path: Path) -> Use:
    """Runs once what a configuration is for."""

    def once(made: Configuration) -> Outcome:
        outcome: Outcome = USES[made.name](run, tmp_path, made, request)
        return outcome

    return once


def kept(folder: Path, made: Configuration, part: int = 0) -> Path:
    return private_file(folder / made.parts[part].file, made.parts[part].text)


# ---- each program or router


def curl(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    done: Outcome = run("sh", "-c", made.parts[0].text)
    return done


def runcmd(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    (command,) = yaml.safe_load(made.parts[0].text)["runcmd"]
    done: Outcome = run(*command)
    return done


def user_data(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    """Its files in a folder, and then what the unit does."""
    root = folder / "root"
    for file in yaml.safe_load(made.parts[0].text)["write_files"]:
        octets = file["content"].encode()
        octets = gzip.decompress(base64.b64decode(octets)) if "encoding" in file else octets
        path = root / file["path"].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(octets)
        path.chmod(int(file["permissions"], 8))
    return updater(run, root)


def script(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    """The same below another root, where `sudo` and `systemctl` do nothing."""
    root, programs = folder / "root", folder / "programs"
    for path in ("etc/systemd/system", "usr/local/sbin"):
        (root / path).mkdir(parents=True, exist_ok=True)
    programs.mkdir(exist_ok=True)
    for name, text in (("sudo", 'exec "$@"'), ("systemctl", f'echo "$@" >>{folder}/systemctl')):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    text = made.parts[0].text.replace("/etc/", f"{root}/etc/").replace("/usr/local/", f"{root}/usr/local/")
    installed: Outcome = run("sh", "-c", f"PATH={programs}:$PATH\n{text}")
    assert installed == Outcome(0, "")
    (secret,) = (root / "etc/ddns-update/secrets").iterdir()
    assert (secret.stat().st_mode & 0o777, secret.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    units = root / "etc/systemd/system"
    assert (units / "ddns-update-watch.service").read_bytes() == shipped("ddns-update-watch.service")
    assert f"LoadCredential={secret.name}:{secret}" in (units / "ddns-update.service.d/secrets.conf").read_text()
    return updater(run, root)


def updater(run: Any, root: Path) -> Outcome:
    program = root / "usr/local/sbin/ddns-update"
    assert program.read_bytes() == shipped("ddns-update")
    assert program.stat().st_mode & 0o777 == 0o755
    done: Outcome = run(
        sys.executable,
        program,
        "run",
        "--config",
        root / "etc/ddns-update.conf",
        "--state",
        root / "state",
        CREDENTIALS_DIRECTORY=str(root / "etc/ddns-update/secrets"),
    )
    return done


def ddclient(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    done: Outcome = run(
        "ddclient",
        "-daemon=0",
        "-foreground",
        "-verbose",
        "-noquiet",
        "-force",
        "-file",
        kept(folder, made),
        "-cache",
        folder / "cache",
    )
    return done


def inadyn(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    (folder / "cache").mkdir(exist_ok=True)
    done: Outcome = run(
        "inadyn",
        "-n",
        "-1",
        "--force",
        "--no-pidfile",
        "-l",
        "debug",
        "-f",
        kept(folder, made),
        "--cache-dir",
        folder / "cache",
    )
    return done


def fritzbox(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    """It fills its own words in; without IPv6 the prefix is empty."""
    fields = dict(made.parts[0].fields)
    url = fields["Update URL"].replace("<domain>", fields["Domain name"]).replace("<ipaddr>", ADDRESS)
    answer = requests.get(url.replace("<ip6lanprefix>", ""), auth=(fields["User name"], fields["Password"]), timeout=10)
    return Outcome(answer.status_code, answer.text)


def openwrt(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    """ddns-scripts percent-encodes user name and password, and hands the whole URL to curl."""
    options = dict(shlex.split(line)[1:] for line in made.parts[0].text.splitlines()[1:])
    url = options["update_url"]
    words = {
        "[USERNAME]": quote(options["username"], safe=""),
        "[PASSWORD]": quote(options["password"], safe=""),
        "[DOMAIN]": options["domain"],
        "[IP]": requests.get(options["ip_url"], timeout=10).text,
    }
    for word, value in words.items():
        url = url.replace(word, value)
    done: Outcome = run("curl", "--silent", "--show-error", "--globoff", url)
    return done


def opnsense(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    """Its native backend."""
    fields = dict(made.parts[0].fields)
    params = {"hostname": fields["Hostname(s)"], "myip": ADDRESS, "system": "dyndns", "wildcard": "NOCHG"}
    scheme = "https" if fields["Force SSL"] == "yes" else "http"
    answer = requests.get(
        f"{scheme}://{fields['Server']}/nic/update",
        params,
        auth=(fields["Username"], fields["Password"]),
        timeout=10,
        headers={"User-Agent": "OPNsense-dyndns"},
    )
    return Outcome(answer.status_code, answer.text)


def synology(run: Any, folder: Path, made: Configuration, _: Any) -> Outcome:
    fields = dict(made.parts[0].fields)
    url = fields["Query URL"]
    for word, value in (
        ("__USERNAME__", fields["Username"]),
        ("__PASSWORD__", quote(fields["Password"], safe="")),
        ("__HOSTNAME__", fields["Hostname"]),
        ("__MYIP__", ADDRESS),
    ):
        url = url.replace(word, value)
    done: Outcome = run("curl", "--silent", "--show-error", "--globoff", url)
    return done


def home_assistant(run: Any, folder: Path, made: Configuration, request: pytest.FixtureRequest) -> Outcome:
    """Its own reader of both files, and the action that its automation calls."""
    for part in range(2):
        kept(folder, made, part).rename(folder / made.parts[part].place)
    task = {"component": "rest_command", "file": str(folder / "configuration.yaml"), "service": "ddns", "data": {}}
    driver = Path(__file__).parent / "drivers" / "home_assistant.py"
    done: Outcome = request.getfixturevalue("run_python_client")(driver, stdin=json.dumps(task))
    assert json.loads(done.text)["result"] is True, done.text
    (automation,) = yaml.load(made.parts[0].text, _Loader)["automation ddns"]
    assert automation["action"] == [{"service": "rest_command.ddns"}]
    return done


class _Loader(yaml.SafeLoader):
    """YAML with Home Assistant's and Ansible's tags."""


for tag in ("!secret", "!unsafe"):
    _Loader.add_constructor(tag, lambda _loader, node: node.value)


USES: dict[str, Callable[..., Outcome]] = {
    "curl": curl,
    "cloud-init": user_data,
    "cloud-init-runcmd": runcmd,
    "systemd": script,
    "ddclient-3": ddclient,
    "inadyn": inadyn,
    "fritzbox": fritzbox,
    "openwrt": openwrt,
    "opnsense": opnsense,
    "synology": synology,
    "home-assistant": home_assistant,
}


def made_for(name: str, fqdn: str, server: str, secret: str) -> Configuration:
    made = configuration(Target(fqdn, server, secret), name)
    assert made is not None
    return made


@pytest.mark.parametrize("name", [name for name in USES if USES[name] not in (user_data, script)])
def test_the_host_follows(use: Use, front: Web, host: Host, name: str) -> None:
    made = made_for(name, host.fqdn, front.url, host.secret)
    for _ in range(2):
        outcome = use(made)
        assert host.a == [ADDRESS], outcome.text
        assert host.secret not in outcome.text.replace(made.parts[0].text, "")


@pytest.mark.parametrize("name", ["cloud-init", "systemd"])
def test_the_updater_publishes_the_machines_addresses(use: Use, front: Web, host: Host, name: str) -> None:
    made = made_for(name, host.fqdn, front.url, host.secret)
    for word in ("updated", "current"):
        outcome = use(made)
        assert outcome.code == 0, outcome.text
        assert outcome.text.startswith(f"{host.fqdn}: {word}: ")
        assert set(outcome.text.split()[2:]) == {*host.a, *host.aaaa}
        assert host.a != ["192.0.2.250"]


@pytest.mark.parametrize("name", USES)
def test_any_secret_arrives_as_it_is(use: Use, name: str) -> None:
    files = {f"/help/files/{file}": shipped(file).decode() for file in SHIPPED}

    def answer(asked: Asked) -> Said | str:
        if asked.path == "/myip":
            return ADDRESS
        if asked.path == "/nic/update" and "authorization" not in asked.headers:
            return 401, "badauth"
        return files.get(asked.path) or f"good {asked.query.get('myip') or ADDRESS}"

    with web(answer) as recorder:
        use(made_for(name, FQDN, recorder.url, HOSTILE))
    sent = [asked.basic for asked in recorder.asked if asked.path == "/nic/update"]
    assert sent == [f"{FQDN}:{HOSTILE}"]


# ---- cloud-init and Ansible


@pytest.mark.parametrize("name", ["cloud-init", "cloud-init-runcmd"])
def test_cloud_init_takes_the_user_data(tmp_path: Path, name: str) -> None:
    file = kept(tmp_path, made_for(name, FQDN, "https://ddns.example.org", HOSTILE))
    command: list[str | Path] = [REPOSITORY / "scripts" / "cloud-init", "schema", "--config-file", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


def test_ansible_sets_the_address(tmp_path: Path, service: Service, host: Host) -> None:
    ansible = Ansible(tmp_path / "ansible", settings={"DDNS_TOKEN": service.admin_token})
    made = made_for("ansible", host.fqdn, service.url, host.secret)
    play = private_file(ansible.folder / "module.yml", made.parts[1].text)
    for _ in range(2):
        ansible.run("ansible-playbook", str(play), "--extra-vars", f"address={ADDRESS}")
        assert host.a == [ADDRESS]


def test_ansible_knows_the_roles_variables(tmp_path: Path) -> None:
    ansible = Ansible(tmp_path / "ansible")
    made = made_for("ansible", FQDN, "https://ddns.example.org", HOSTILE)
    play = private_file(ansible.folder / "updater.yml", made.parts[0].text)
    ansible.run("ansible-playbook", str(play), "--inventory", f"{FQDN},", "--syntax-check")
    specification = yaml.safe_load((REPOSITORY / "roles/ddns_client/meta/argument_specs.yml").read_text())
    options = specification["argument_specs"]["main"]["options"]
    (written,) = yaml.load(made.parts[0].text, _Loader)
    assert written["vars"].keys() <= options.keys()
    assert all(
        name.keys() <= options["ddns_client_names"]["options"].keys() for name in written["vars"]["ddns_client_names"]
    )
