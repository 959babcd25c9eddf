# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of devices that cannot be run here, octet by octet as their documentation describes them.

Clients that can be run are in tests/clients.
"""

import pytest
from support.clients import raw_http
from support.clients.dyndns import Host, said
from support.servers.service import Service

REQUESTS = {
    # ez-ipupdate, in routers of ASUS and others
    "asus": """\
GET /nic/update?system=dyndns&hostname={fqdn}&myip=192.0.2.77&wildcard=OFF&offline=NO HTTP/1.0
Host: ddns.example.org
Authorization: {basic}
User-Agent: ez-ipupdate Version 3.0.11b5

""",
    # the inadyn of UniFi's gateways, which adds a slash before the server's path
    "unifi": """\
GET //nic/update?hostname={fqdn}&myip=192.0.2.77 HTTP/1.0
Host: ddns.example.org
Authorization: {basic}
User-Agent: inadyn/2.9.1 https://github.com/troglobit/inadyn/issues

""",
    # a customized service of QNAP: http://SERVER/nic/update?hostname=%HOST%&myip=%IP%
    "qnap": """\
GET /nic/update?hostname={fqdn}&myip=192.0.2.77 HTTP/1.1
Host: ddns.example.org
Authorization: {basic}
Accept: */*

""",
    # sendHttpGetRequest("https://NAME:SECRET@SERVER/nic/update?…") in a rule of openHAB, by Jetty
    "openhab": """\
GET /nic/update?hostname={fqdn}&myip=192.0.2.77 HTTP/1.1
Accept-Encoding: gzip
User-Agent: Jetty/9.4.54.v20240208
Authorization: {basic}
Host: ddns.example.org:8245

""",
    # cameras and recorders with No-IP or DynDNS and a server of one's own
    "camera": """\
GET /nic/update?hostname={fqdn}&myip=192.0.2.77&wildcard=NOCHG&mx=NOCHG&backmx=NOCHG HTTP/1.0
Host: ddns.example.org:8245
Authorization: {basic}
Connection: close
Pragma: no-cache

""",
}


@pytest.mark.parametrize("device", REQUESTS)
def test_the_host_follows(service: Service, host: Host, device: str) -> None:
    text = REQUESTS[device].format(fqdn=host.fqdn, basic=raw_http.basic(*host.auth))
    octets = text.replace("\n", "\r\n").encode()
    for word in ("good", "nochg"):
        said(raw_http.exchange(octets, service.http_port), 200, f"{word} 192.0.2.77")
        assert host.addresses() == ["192.0.2.77"]
