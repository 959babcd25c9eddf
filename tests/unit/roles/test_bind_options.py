# SPDX-License-Identifier: GPL-3.0-or-later
"""BIND's configuration of the server role, as named-checkconf reads it, and its variables that are refused."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.ansible.playbooks import Ansible
from support.servers import front

pytestmark = pytest.mark.long

NSEC3 = "keys { csk lifetime unlimited algorithm ecdsap256sha256; };\nnsec3param iterations 0 optout no salt-length 0;"
FLEET = {
    "ddns_server_secondaries": ["192.0.2.54", "2001:db8::54"],
    "ddns_server_primary_address": "2001:db8::53",
    "ddns_server_dns_port": "5353",
}


def checked(folder: Path, **variables: object) -> tuple[str, str]:
    """The rendered file, and the statements that named-checkconf reads from it; fails if it refuses them."""
    given = {"ddns_server_primary": True, "ddns_server_node": True, "inventory_hostname": "localhost", **variables}
    text = front.render(folder, given, named="named.conf.options.j2")["named"]
    # the files of keys are on the machine alone
    key = 'key "{}" {{ algorithm hmac-sha256; secret "MA=="; }};'
    keys = {"/etc/bind/rndc.key": "rndc-key", "/etc/bind/ddnsd-transfer.key": "ddnsd-transfer"}
    alone = re.sub(r'include "(.*)";', lambda found: key.format(keys[found[1]]) if found[1] in keys else "", text)
    done = subprocess.run(
        ["named-checkconf", "-p", "/dev/stdin"], input=alone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return text, " ".join(done.stdout.replace('"', "").split())


def test_the_defaults(tmp_path: Path) -> None:
    _, read = checked(tmp_path)
    assert "listen-on port 53 { any; };" in read
    assert "listen-on-v6 port 53 { any; };" in read
    assert "slip 1; window 15;" in read
    assert "category queries { null; };" in read
    assert "category rate-limit { clients; };" in read
    assert "channel clients { file /var/log/named/clients.log versions 5 size 20971520;" in read


def test_each_variable(tmp_path: Path) -> None:
    text, read = checked(
        tmp_path,
        ddns_server_listen_on=["192.0.2.53"],
        ddns_server_listen_on_v6=["none"],
        ddns_server_rate_limit="50",
        ddns_server_rate_limit_exempt=["198.51.100.0/24", "2001:db8:1::/48"],
        ddns_server_rate_limit_slip=2,
        ddns_server_rate_limit_window=5,
        ddns_server_rate_limits={"nxdomains": 5, "all": "0"},
        ddns_server_query_log="true",
        ddns_server_bind_log_size="5m",
        ddns_server_bind_log_files=3,
        ddns_server_bind_log_level="warning",
        ddns_server_bind_options="tcp-clients 1000;\nquerylog no;\n",
        ddns_server_dnssec_policies={"nsec3": NSEC3},
        ddns_server_gss_keytab="krb5.keytab",
    )
    assert "listen-on port 53 { 127.0.0.1/32; 192.0.2.53/32; };" in read  # the service sends its updates to 127.0.0.1
    assert "listen-on-v6 port 53 { none; };" in read
    for words in ("responses-per-second 50;", "nxdomains-per-second 5;", "slip 2;", "window 5;", "tcp-clients 1000;"):
        assert words in read
    assert "127.0.0.1; ::1; 198.51.100.0/24; 2001:db8:1::/48;" in " ".join(text.split())
    assert "channel queries { file /var/log/named/queries.log versions 2 size 5242880;" in read
    assert "category queries { queries; };" in read
    assert "channel journal { syslog daemon; severity warning; };" in read
    assert "tkey-gssapi-keytab /etc/bind/krb5.keytab;" in read
    assert "dnssec-policy nsec3 {" in read
    assert "nsec3param iterations 0 optout no salt-length 0;" in read


def test_no_address_of_a_client_is_logged(tmp_path: Path) -> None:
    _, read = checked(tmp_path, ddns_server_log_addresses="false")
    for category in ("client", "query-errors", "rate-limit", "security", "update-security", "queries"):
        assert f"category {category} {{ null; }};" in read
    assert "/var/log/named" not in read


@pytest.mark.parametrize("primary", [True, False])
def test_a_fleet_on_another_port(tmp_path: Path, primary: bool) -> None:
    text, read = checked(tmp_path, ddns_server_primary=primary, ddns_server_secondary=not primary, **FLEET)
    if primary:
        assert "192.0.2.54 port 5353 key ddnsd-transfer; 2001:db8::54 port 5353 key ddnsd-transfer;" in read
    else:
        assert "default-primaries { 2001:db8::53 port 5353 key ddnsd-transfer; }" in read
        assert "primaries { 2001:db8::53 port 5353 key ddnsd-transfer; };" in read
    assert "127.0.0.1; ::1; 2001:db8::53; 192.0.2.54; 2001:db8::54;" in " ".join(text.split())


def test_the_service_finds_bind_on_its_port(tmp_path: Path) -> None:
    single = {"ddns_server_primary": True, "ddns_server_node": True, "inventory_hostname": "localhost"}
    text = front.render(tmp_path, {**single, "ddns_server_dns_port": 5353}, toml="ddnsd.toml.j2")["toml"]
    assert 'primary = "127.0.0.1:5353"' in text
    node = {"ddns_server_primary": False, "ddns_server_node": True, "inventory_hostname": "localhost"}
    text = front.render(tmp_path, {**node, **FLEET, "ddns_server_log_addresses": False}, toml="ddnsd.toml.j2")["toml"]
    assert 'primary = "[2001:db8::53]:5353"' in text
    assert 'secondaries = ["192.0.2.54:5353", "[2001:db8::54]:5353"]' in text
    assert "log_addresses = false" in text


def test_bind_leaves_the_address_for_dns_update_out(tmp_path: Path) -> None:
    ports = ["192.0.2.54:53", "[2001:db8::54]:53", "0.0.0.0:5301"]
    _, read = checked(tmp_path, ddns_server_update_listen=ports)
    assert "listen-on port 53 { !192.0.2.54/32; any; };" in read
    assert "listen-on-v6 port 53 { !2001:db8::54/128; any; };" in read
    _, other = checked(tmp_path, ddns_server_update_listen=ports, ddns_server_dns_port=5353)
    assert "listen-on port 5353 { any; };" in other
    single = {"ddns_server_primary": True, "ddns_server_node": True, "inventory_hostname": "localhost"}
    made = front.render(
        tmp_path, {**single, "ddns_server_update_listen": ports}, toml="ddnsd.toml.j2", unit="ddnsd.service.j2"
    )
    assert f"update_listen = {json.dumps(ports)}" in made["toml"]
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in made["unit"]
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n" in made["unit"]
    high = front.render(
        tmp_path, {**single, "ddns_server_update_listen": ports[2:]}, toml="ddnsd.toml.j2", unit="ddnsd.service.j2"
    )
    assert "CAP_NET_BIND_SERVICE" not in high["unit"]
    assert "update_listen" not in front.render(tmp_path, single, toml="ddnsd.toml.j2")["toml"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"ddns_server_dns_port": 0}, "ddns_server_dns_port: 0 is not a port"),
    ({"ddns_server_https_port": "https"}, "ddns_server_https_port: https is not a port"),
    ({"ddns_server_http_ports": [80, 70000]}, "ddns_server_http_ports: 70000 is not a port"),
    ({"ddns_server_http_ports": [80, 443]}, "443 is in ddns_server_http_ports and is ddns_server_https_port"),
    ({"ddns_server_listen_on": ["eth0"]}, "ddns_server_listen_on: eth0 is not an address or network"),
    ({"ddns_server_listen_on": ["::1"]}, "ddns_server_listen_on: ::1 is not"),
    ({"ddns_server_listen_on_v6": ["192.0.2.1"]}, "ddns_server_listen_on_v6: 192.0.2.1 is not"),
    ({"ddns_server_update_listen": ["5301"]}, "ddns_server_update_listen: 5301 is not ADDRESS:PORT"),
    ({"ddns_server_update_listen": ["2001:db8::1:53"]}, "2001:db8::1:53 is not ADDRESS:PORT"),
    ({"ddns_server_update_listen": ["0.0.0.0:53"]}, "BIND needs port 53 of 127.0.0.1"),
    ({"ddns_server_update_listen": ["127.0.0.1:53"]}, "BIND needs port 53 of 127.0.0.1"),
    ({"ddns_server_update_listen": ["192.0.2.1:443"]}, "the front has its own ports"),
    ({"ddns_server_front_addresses": ["192.0.2.0/24"]}, "ddns_server_front_addresses: 192.0.2.0/24 is not an address"),
    ({"ddns_server_rate_limit_exempt": ["any; }; x {"]}, "ddns_server_rate_limit_exempt: any; }; x { is not"),
    ({"ddns_server_monitoring_networks": ["monitor"]}, "ddns_server_monitoring_networks: monitor is not"),
    ({"ddns_server_rate_limits": {"nxdomain": 5}}, "has numbers for nxdomains, nodata"),
    ({"ddns_server_rate_limits": {"all": "many"}}, "has numbers for nxdomains, nodata"),
    ({"ddns_server_rate_limit_slip": 11}, "its slip up to 10"),
    ({"ddns_server_monitoring_users": {"prometheus": "secret"}}, "bcrypt hashes of passwords"),
    ({"ddns_server_bind_log_size": "20 MB"}, "a size such as 20m"),
    ({"ddns_server_front_log_days": 0}, "kept for at least 1 day"),
    ({"ddns_server_query_log": "true", "ddns_server_log_addresses": "false"}, "A query log has addresses of clients"),
]


def test_wrong_values_are_refused_before_anything_changes(tmp_path: Path) -> None:
    """One play for each, and one with the defaults, all in one run: they change nothing."""
    cases = [({}, ""), *REFUSED]
    plays = [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "tasks": [
                {
                    "block": [
                        {
                            "ansible.builtin.include_role": {
                                "name": "fedcloud.ddns.ddns_server",
                                "tasks_from": "check_listeners",
                            },
                            "vars": given,
                        },
                        {"ansible.builtin.debug": {"msg": "accepted"}},
                    ],
                    "rescue": [{"ansible.builtin.debug": {"msg": "{{ ansible_failed_result }}"}}],
                }
            ],
        }
        for given, _ in cases
    ]
    (tmp_path / "play.yml").write_text(json.dumps(plays))
    here = f"ansible_python_interpreter={sys.executable}"
    done = Ansible(tmp_path).run("ansible-playbook", "play.yml", "-i", "localhost,", "-e", here)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"task"')]
    told = [str(line["result"]["msg"]) for line in lines if line["task"] == "ansible.builtin.debug"]
    assert len(told) == len(cases)
    assert told[0] == "accepted"
    for (given, reason), text in zip(REFUSED, told[1:], strict=True):
        assert reason in " ".join(text.split()), (given, text)
        assert "secret" not in text
