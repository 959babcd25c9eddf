# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl user-data` beside a running service: cloud-init takes it, and what it puts on a machine does its work."""

import base64
import gzip
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from support import programs
from support.clients.dyndns import GIVEN, Host, new_label, register
from support.clients.rest_api import Api
from support.ports import wait_until
from support.servers.egi import egi
from support.servers.service import Service, dev

ROOT = Path(__file__).parents[2]
SECRETS = "etc/ddns-update/secrets"
NEW = "192.0.2.99"


@dataclass
class Machine:
    """What cloud-init has written, in a folder; its programs run here, with paths in that folder."""

    root: Path
    name: str
    server: str
    said: str = field(default="", repr=False)

    def boot(self, user_data: str) -> None:
        for command in yaml.safe_load(user_data).get("bootcmd", ()):
            assert command[:4] == ["install", "-d", "-m", "0700"]
            self.path(command[4]).mkdir(0o700, parents=True)
        for item in yaml.safe_load(user_data)["write_files"]:
            octets = item["content"].encode()
            octets = gzip.decompress(base64.b64decode(octets)) if "encoding" in item else octets
            path = self.path(item["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(octets)
            path.chmod(int(item["permissions"], 8))

    def path(self, name: str) -> Path:
        return self.root / name.removeprefix("/")

    def updater(self, *arguments: str | Path) -> int:
        """The updater, as its units run it; answers its exit status."""
        program = self.path("usr/local/sbin/ddns-update")
        assert os.access(program, os.X_OK)
        env = os.environ | {"CREDENTIALS_DIRECTORY": str(self.path(SECRETS))}
        result = subprocess.run([program, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60)
        self.said += result.stdout + result.stderr
        assert "Traceback" not in self.said
        return result.returncode

    def enrol(self) -> int:
        """As `ddns-update-enrol.service`."""
        token, secret = (self.path(f"{SECRETS}/{self.name}{ending}") for ending in (".enrolment", ""))
        return self.updater("enrol", self.name, "--server", self.server, "--token-file", token, "--secret-file", secret)

    def update(self, address: str) -> int:
        """As `ddns-update.service`, of a machine that has this address."""
        configuration = self.path("etc/ddns-update.conf")
        own = f"[DEFAULT]\nsources = command\ncommand = echo {address}\n"
        changed = self.root / "changed.conf"
        changed.write_text(configuration.read_text().replace("[DEFAULT]\n", own))
        return self.updater("run", "--config", changed, "--state", self.root / "state")

    @property
    def secret(self) -> str:
        file = self.path(f"{SECRETS}/{self.name}")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        return file.read_text().strip()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("service") / "dir") as running:
        yield running


@pytest.fixture(scope="module")
def carol(service: Service) -> str:
    """A token of carol, who owns nothing."""
    return service.user("carol")


@pytest.fixture
def host(service: Service) -> Host:
    """A host of the administrator's at 192.0.2.1."""
    return register(service, service.admin_token)


@pytest.fixture
def machine(service: Service, host: Host, tmp_path: Path) -> Machine:
    root = tmp_path / "machine"
    (root / "state").mkdir(parents=True)
    return Machine(root, host.fqdn, service.url)


def user_data(folder: Path, host: Host, *arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DDNS")}
    given = inherited | {"DDNS_SERVER": host.service.url, "DDNS_TOKEN": host.token} | env
    result = programs.invoke(["ddnsctl", "user-data", host.fqdn, *arguments], given, cwd=folder)
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result


def secret_file(folder: Path, host: Host) -> str:
    (folder / "secret").write_text(host.secret + "\n")
    return "secret"


def status(host: Host, secret: str) -> int:
    """What an update with this secret is answered."""
    return host.service.get("/nic/update", auth=(host.fqdn, secret), params={"myip": GIVEN}).status_code


# ---- cloud-init


@pytest.mark.parametrize(
    "arguments", [["--enrol"], ["--new-secret"], ["--secret-file", "secret"], ["--new-secret", "--form", "runcmd"]]
)
def test_cloud_init_accepts_it(host: Host, tmp_path: Path, arguments: list[str]) -> None:
    secret_file(tmp_path, host)
    user_data(tmp_path, host, *arguments, "-o", "user-data")
    result = accepted(tmp_path / "user-data")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Valid" in result.stdout


def test_cloud_init_refuses_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "user-data").write_text("#cloud-config\nwrite_files:\n- content: no path\n")
    assert accepted(tmp_path / "user-data").returncode == 1


def accepted(file: Path) -> subprocess.CompletedProcess[str]:
    """The verdict of the real program on user data."""
    command: list[str | Path] = [ROOT / "scripts" / "cloud-init", "schema", "--config-file", file]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    result.stderr = result.stderr.removeprefix("Unpacking cloud-init …\n")
    return result


# ---- on the machine


def test_a_secret_that_the_host_has(host: Host, machine: Machine, tmp_path: Path) -> None:
    made = user_data(tmp_path, host, "--secret-file", secret_file(tmp_path, host), DDNS_TOKEN="")
    machine.boot(made.stdout)
    assert machine.secret == host.secret
    for _ in range(2):
        assert machine.update(NEW) == 0
        assert host.addresses() == [NEW]
    assert host.secret not in machine.said + made.stderr


def test_a_new_secret(host: Host, machine: Machine, tmp_path: Path) -> None:
    first = user_data(tmp_path, host, "--new-secret").stdout
    made = user_data(tmp_path, host, "--new-secret")
    machine.boot(made.stdout)
    assert (status(host, host.secret), status(host, machine.secret)) == (401, 200)
    assert made.stdout != first  # whose secret is void already
    assert machine.update(NEW) == 0
    assert host.addresses() == [NEW]


@pytest.mark.parametrize("source", ["--new-secret", "--enrol"])
def test_the_host_of_another_user_is_left_alone(host: Host, tmp_path: Path, source: str) -> None:
    """An administrator's token sees it, as in every other command, and replaces nothing by mistake."""
    service = host.service
    service.cli("user", "add", "paula")
    token = service.cli("token", "add", "paula", "--name", new_label()).stdout.strip()
    other = register(service, token)
    assert other.token != service.admin_token
    refused = user_data(tmp_path, Host(service, other.fqdn, "", service.admin_token), source, code=1)
    assert f"{other.fqdn} belongs to the user paula: use a token of paula" in refused.stderr
    assert status(other, other.secret) == 200
    assert not [e for e in Api(service, token).items("/events") if e["action"] in ("host.enrolment", "host.secret")]


def test_a_token_turns_into_a_secret_on_the_machine(host: Host, machine: Machine, tmp_path: Path) -> None:
    made = user_data(tmp_path, host, "--enrol", "--lifetime", "600", "-o", "user-data")
    text = (tmp_path / "user-data").read_text()
    machine.boot(text)
    token = machine.path(f"{SECRETS}/{host.fqdn}.enrolment")
    canary = token.read_text().strip()
    assert canary.startswith("ddnse_")
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert status(host, host.secret) == 200  # as long as the machine has not booted, an older one keeps working
    for _ in range(2):
        assert machine.enrol() == 0
        assert not token.exists()
        assert (status(host, host.secret), status(host, machine.secret)) == (401, 200)
    for _ in range(2):
        assert machine.update(NEW) == 0
        assert host.addresses() == [NEW]
    assert machine.secret not in text
    for secret in (canary, machine.secret):
        assert secret not in machine.said + made.stdout + made.stderr


def test_the_same_user_data_again_is_worth_nothing(host: Host, machine: Machine, tmp_path: Path) -> None:
    text = user_data(tmp_path, host, "--enrol").stdout
    machine.boot(text)
    assert machine.enrol() == 0
    other = Machine(tmp_path / "other", host.fqdn, machine.server)
    other.boot(text)
    for _ in range(2):
        assert other.enrol() == 3  # which systemd does not try again
        assert "ask for a new token" in other.said
        assert other.path(f"{SECRETS}/{host.fqdn}.enrolment").exists()
        assert (status(host, other.secret), status(host, machine.secret)) == (401, 200)


def test_a_lost_answer_does_no_harm(host: Host, machine: Machine, tmp_path: Path) -> None:
    machine.boot(user_data(tmp_path, host, "--enrol").stdout)
    token = machine.path(f"{SECRETS}/{host.fqdn}.enrolment")
    kept = token.read_text()
    assert machine.enrol() == 0
    token.write_text(kept)  # as where the machine lost its power before it saw the answer
    first = machine.secret
    assert machine.enrol() == 0
    assert not token.exists()
    assert machine.secret == first
    assert status(host, first) == 200


def test_while_the_service_is_away_the_machine_tries_again(host: Host, tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service:
        mine = register(service, service.admin_token)
        machine = Machine(tmp_path / "machine", mine.fqdn, service.url)
        machine.boot(user_data(tmp_path, mine, "--enrol").stdout)
        service.stop()
        assert machine.enrol() == 1
        secret = machine.secret
        service.start()
        assert machine.enrol() == 0
        assert machine.secret == secret
        wait_until(lambda: status(mine, secret) == 200, 10, "the machine's secret works")


# ---- what is refused


@pytest.mark.parametrize("source", ["--enrol", "--new-secret"])
def test_hosts_of_nobody_and_of_others(service: Service, host: Host, carol: str, tmp_path: Path, source: str) -> None:
    for stranger in (Host(service, "nobody.dyn.example.org", "", host.token), Host(service, host.fqdn, "", carol)):
        for _ in range(2):
            result = user_data(tmp_path, stranger, source, "-o", "user-data", code=1)
            assert result.stderr == (
                f"error: {stranger.fqdn} is not registered, or not yours; `ddnsctl show` lists your hosts\n"
            )
    assert list(tmp_path.iterdir()) == []
    assert status(host, host.secret) == 200


@pytest.mark.parametrize("source", ["--enrol", "--new-secret"])
def test_nothing_is_changed_when_the_file_cannot_be_written(host: Host, tmp_path: Path, source: str) -> None:
    (tmp_path / "file").write_text("")
    for _ in range(2):
        for out in ("file/user-data", "."):
            assert user_data(tmp_path, host, source, "-o", out, code=1).stdout == ""
    assert status(host, host.secret) == 200
    told = Api(host.service, host.token).items("/events", object=host.fqdn)
    assert [event["action"] for event in told] == ["host.register"]


def test_a_token_that_the_service_does_not_know(host: Host, tmp_path: Path) -> None:
    result = user_data(tmp_path, host, "--enrol", code=1, DDNS_TOKEN="ddns_wrong")
    assert "does not accept the token" in result.stderr


def test_the_service_of_egi(tmp_path: Path) -> None:
    with egi(delay=0.01) as server:
        host = Host(
            Service(tmp_path, int(server.url.rpartition(":")[2]), 0), "vm-7.vm.fedcloud.eu", "", "token-of-alice"
        )
        answer = host.service.get("/nic/register", host.token, params={"fqdn": host.fqdn, "ip": GIVEN})
        first = answer.json()["host"]["update_secret"]
        for _ in range(2):
            refused = user_data(tmp_path, host, "--enrol", code=1)
            assert refused.stderr == (
                "error: EGI Dynamic DNS cannot create enrolment tokens (use --secret-file, or --new-secret, which "
                "replaces the host's secret)\n"
            )
        secret = server.hosts[host.fqdn].secret
        assert secret == first
        made = user_data(tmp_path, host, "--new-secret", "--form", "runcmd").stdout
        secret = server.hosts[host.fqdn].secret
        assert secret != first
        place = server.url.removeprefix("http://")
        command = ["curl", f"http://{host.fqdn}:{secret}@{place}/nic/update"]
        assert yaml.safe_load(made) == {"runcmd": [command]}
        stranger = Host(host.service, "nobody.vm.fedcloud.eu", "", host.token)
        missing = user_data(tmp_path, stranger, "--new-secret", code=1)
        assert "is not registered, or not yours" in missing.stderr
