# SPDX-License-Identifier: GPL-3.0-or-later
"""Each provider of the catalogue against a stand-in that follows the provider's documentation."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.clients.updater import HOST, IPV4, IPV6, SECRET, Machine
from support.servers.http_stub import Asked, Said, Web, web

OTHER = "192.0.2.99"
UPDATED, CURRENT = f"{HOST}: updated: {IPV4} {IPV6}\n", f"{HOST}: current: {IPV4} {IPV6}\n"


def keep(machine: Machine, server: Web, provider: str, **options: Any) -> None:
    """Configure the provider, publish, publish nothing, and publish a change."""
    machine.configure(provider=provider, endpoint=server.url, **options)
    ran = machine.run()
    assert ran.out == UPDATED
    server.taken()
    assert machine.run().out == CURRENT
    assert server.taken() == []
    machine.addresses = [OTHER, IPV6]
    assert machine.run().status == 0


# ---- No-IP, Dyn, FreeDNS: dyndns2 with a login


@pytest.mark.parametrize(
    ("provider", "path"), [("noip", "/nic/update"), ("dyn", "/v3/update"), ("freedns", "/nic/update")]
)
def test_the_kin_of_dyndns2(machine: Machine, provider: str, path: str) -> None:
    def answer(asked: Asked) -> Said:
        assert (asked.path, set(asked.query)) == (path, {"hostname", "myip"})
        if asked.basic != f"user:{SECRET}":
            return 401, "badauth"
        return 200, "good " + asked.query["myip"]

    with web(answer) as server:
        endpoint = server.url + ("/v3/update" if provider == "dyn" else "")
        machine.configure(provider=provider, endpoint=endpoint, login="user")
        assert machine.run().out == UPDATED
        sent = [asked.query["myip"] for asked in server.taken()]
        assert sent == ([IPV4, IPV6] if provider == "freedns" else [f"{IPV4},{IPV6}"])
        assert machine.run().out == CURRENT
        machine.configure(provider=provider, endpoint=endpoint, login="somebody")
        assert machine.run().status == 3


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        ("noip", "https://dynupdate.no-ip.com"),
        ("dyn", "https://members.dyndns.org/v3/update"),
        ("freedns", "https://freedns.afraid.org"),
        ("duckdns", "https://www.duckdns.org"),
        ("cloudflare", "https://api.cloudflare.com/client/v4"),
        ("route53", "https://route53.amazonaws.com"),
        ("digitalocean", "https://api.digitalocean.com"),
    ],
)
def test_where_a_provider_is(machine: Machine, provider: str, url: str) -> None:
    machine.configure(provider=provider, login="user", zone="example.org")
    (name,) = machine.updater.read_config(str(machine.config)).names
    assert name.base == url


def test_the_server_of_the_defaults_is_not_the_api_of_others(machine: Machine, server: Web) -> None:
    """`server` is this service, whose view others may use; an API is elsewhere."""
    machine.addresses = ["10.0.0.7"]
    server.says("198.51.100.7")
    with web(lambda _: "OK") as duck:
        machine.configure(server.url, provider="duckdns", endpoint=duck.url)
        assert machine.run().out == f"{HOST}: updated: 198.51.100.7\n"
        assert duck.taken()[0].query["ip"] == "198.51.100.7"
    assert {asked.path for asked in server.taken()} == {"/myip"}


# ---- Duck DNS


def test_duckdns(machine: Machine) -> None:
    def answer(asked: Asked) -> str:
        known = asked.query["domains"] == "home" and asked.query["token"] == SECRET
        return "OK" if asked.path == "/update" and known else "KO"

    with web(answer) as server:
        machine.configure(section="home.duckdns.org", provider="duckdns", endpoint=server.url)
        assert machine.run().out == f"home.duckdns.org: updated: {IPV4} {IPV6}\n"
        assert server.taken()[0].query == {"domains": "home", "token": SECRET, "ip": IPV4, "ipv6": IPV6}
        assert machine.run().status == 0
        assert server.taken() == []
        machine.addresses = [IPV6]
        machine.configure(section="home.duckdns.org", provider="duckdns", endpoint=server.url, ipv4="no")
        machine.run()
        assert server.taken()[0].query == {"domains": "home", "token": SECRET, "ipv6": IPV6}
        machine.secret(text="other")
        assert "failed: KO: the server refused; check the name and the token" in machine.run().out


# ---- Cloudflare


@dataclass
class Cloudflare:
    """Zones and records of API v4; errors as the API words them."""

    zone: str = "023e105f4ecef8ad9ca31a8372d0c353"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: Said | None = None

    def __call__(self, asked: Asked) -> Said:
        if self.refused:
            return self.refused
        if asked.headers.get("authorization") != f"Bearer {SECRET}":
            return 403, self.said(None, [{"code": 9109, "message": "Invalid access token"}])
        if asked.path == "/zones" and asked.method == "GET":
            known = [{"id": self.zone, "name": "example.org"}] if asked.query["name"] == "example.org" else []
            return 200, self.said(known)
        root = f"/zones/{self.zone}/dns_records"
        if asked.path == root and asked.method == "GET":
            return 200, self.said([r for r in self.records.values() if asked.query.items() <= r.items()])
        if asked.path == root and asked.method == "POST":
            record = {"id": f"{len(self.records):032x}", **asked.json}
        elif asked.method == "PATCH" and (old := self.records.get(asked.path.removeprefix(root + "/"))):
            record = {**old, **asked.json}
        else:
            return 404, self.said(None, [{"code": 7003, "message": "Could not route"}])
        self.records[record["id"]] = record
        return 200, self.said(record)

    def said(self, result: Any, errors: list[Any] | None = None) -> str:
        return json.dumps({"success": not errors, "errors": errors or [], "messages": [], "result": result})

    def contents(self) -> list[tuple[str, str, int, bool]]:
        return sorted((r["type"], r["content"], r["ttl"], r["proxied"]) for r in self.records.values())


@pytest.mark.parametrize("zone", ["example.org", "023e105f4ecef8ad9ca31a8372d0c353"])
def test_cloudflare(machine: Machine, zone: str) -> None:
    cloud = Cloudflare()
    cloud.records["1" * 32] = {
        "id": "1" * 32,
        "type": "A",
        "name": HOST,
        "content": "203.0.113.1",
        "ttl": 300,
        "proxied": True,
    }
    with web(cloud) as server:
        keep(machine, server, "cloudflare", zone=zone)
        assert cloud.contents() == [("A", OTHER, 300, True), ("AAAA", IPV6, 60, False)]
        writes = [(a.method, a.json) for a in server.taken() if a.method != "GET"]
        assert writes == [("PATCH", {"content": OTHER})]
        machine.configure(provider="cloudflare", endpoint=server.url, zone=zone, ttl=120)
        machine.run()
        assert cloud.contents() == [("A", OTHER, 120, True), ("AAAA", IPV6, 120, False)]


def test_cloudflare_says_no(machine: Machine) -> None:
    cloud = Cloudflare()
    with web(cloud) as server:
        machine.configure(provider="cloudflare", endpoint=server.url, zone="example.net")
        assert "failed: the token has no access to a zone example.net" in machine.run().out
        for number in "12":
            cloud.records[number] = {
                "id": number,
                "type": "A",
                "name": HOST,
                "content": IPV4,
                "ttl": 1,
                "proxied": False,
            }
        machine.configure(provider="cloudflare", endpoint=server.url, zone="example.org")
        assert "failed: there are 2 A records; delete all but one" in machine.run().out
        machine.secret(text="revoked")
        ran = machine.run()
        assert (ran.status, "paused: HTTP 403: the API refuses the token: `{" in ran.out) == (3, True)
        for status in (401, 403):
            cloud.refused = status, "<html>Sign in</html>"
            machine.secret(text=f"another-{status}")
            ran = machine.run()
            assert (ran.status, f"failed: GET was answered with HTTP {status}: `<html>" in ran.out) == (1, True)
        cloud.refused = 502, "<html>Bad gateway</html>"
        machine.secret()
        assert "failed: GET was answered with HTTP 502: `<html>Bad gateway</html>`" in machine.run().out
        cloud.refused = 200, "<html>"
        machine.secret(text=SECRET + "2")
        assert "failed: the server did not send JSON: `<html>`" in machine.run().out


# ---- DigitalOcean


@dataclass
class DigitalOcean:
    """The records of one domain in API v2."""

    records: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Said:
        if asked.headers.get("authorization") != f"Bearer {SECRET}":
            return 401, '{"id": "Unauthorized", "message": "Unable to authenticate you"}'
        root = "/v2/domains/dyn.example.org/records"
        if asked.path == root and asked.method == "GET":
            short = asked.query["name"].removesuffix("dyn.example.org").rstrip(".") or "@"
            found = [r for r in self.records if (r["name"], r["type"]) == (short, asked.query["type"])]
            return 200, json.dumps({"domain_records": found, "links": {}, "meta": {"total": len(found)}})
        if asked.path == root and asked.method == "POST":
            record = {"id": 3352890 + len(self.records), **asked.json}
            self.records.append(record)
            return 201, json.dumps({"domain_record": record})
        for record in self.records:
            if asked.method == "PATCH" and asked.path == f"{root}/{record['id']}":
                assert asked.json["type"] == record["type"]
                record.update(asked.json)
                return 200, json.dumps({"domain_record": record})
        return 404, '{"id": "not_found", "message": "The resource you were accessing could not be found."}'


def test_digitalocean(machine: Machine) -> None:
    cloud = DigitalOcean()
    with web(cloud) as server:
        keep(machine, server, "digitalocean", zone="dyn.example.org")
        assert cloud.records == [
            {"id": 3352890, "type": "A", "name": "vm", "ttl": 60, "data": OTHER},
            {"id": 3352891, "type": "AAAA", "name": "vm", "ttl": 60, "data": IPV6},
        ]
        assert [a.method for a in server.taken()] == ["GET", "PATCH", "GET"]
        machine.configure(
            section="dyn.example.org", provider="digitalocean", endpoint=server.url, zone="dyn.example.org"
        )
        machine.run()
        assert [r["name"] for r in cloud.records] == ["vm", "vm", "@", "@"]
        machine.configure(provider="digitalocean", endpoint=server.url, zone="example.net")
        assert "failed: GET was answered with HTTP 404: `{" in machine.run().out
        machine.secret(text="revoked")
        assert machine.run().status == 3


# ---- Route 53


ZONES = """<?xml version="1.0" encoding="UTF-8"?>
<ListHostedZonesByNameResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><HostedZones>
<HostedZone><Id>/hostedzone/Z0PRIVATE</Id><Name>example.org.</Name><CallerReference>a</CallerReference>
<Config><PrivateZone>true</PrivateZone></Config></HostedZone>
<HostedZone><Id>/hostedzone/Z1D633PJN98FT9</Id><Name>example.org.</Name><CallerReference>b</CallerReference>
<Config><PrivateZone>false</PrivateZone></Config></HostedZone>
<HostedZone><Id>/hostedzone/Z2OTHER</Id><Name>example.org.uk.</Name><Config><PrivateZone>false</PrivateZone></Config>
</HostedZone></HostedZones><DNSName>example.org.</DNSName><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>
</ListHostedZonesByNameResponse>"""
ERROR = """<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/">
<Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>1</RequestId></ErrorResponse>"""


def signature(asked: Asked, region: str = "us-east-1") -> str:
    """What AWS computes from a request that it received (Signature Version 4)."""
    signed = re.search("SignedHeaders=([a-z;-]+)", asked.headers["authorization"])[1].split(";")  # type: ignore[index]
    canonical = "\n".join(
        [
            asked.method,
            asked.path,
            asked.target.partition("?")[2],
            "".join(f"{name}:{asked.headers[name]}\n" for name in signed),
            ";".join(signed),
            hashlib.sha256(asked.body.encode()).hexdigest(),
        ]
    )
    date = asked.headers["x-amz-date"]
    scope = f"{date[:8]}/{region}/route53/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + SECRET.encode()
    for part in [date[:8], region, "route53", "aws4_request"]:
        key = hmac.digest(key, part.encode(), "sha256")
    return f"Credential=AKIDEXAMPLE/{scope}, SignedHeaders=host;x-amz-date, " + (
        "Signature=" + hmac.digest(key, to_sign.encode(), "sha256").hex()
    )


@dataclass
class Route53:
    """One account with three hosted zones."""

    records: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    refused: tuple[int, str, str] | None = None

    def __call__(self, asked: Asked) -> Said:
        if self.refused:
            return self.refused[0], ERROR.format(*self.refused[1:])
        if asked.headers["authorization"] != "AWS4-HMAC-SHA256 " + signature(asked):
            return 403, ERROR.format("SignatureDoesNotMatch", "The request signature we calculated does not match")
        if asked.method == "GET" and asked.target == "/2013-04-01/hostedzonesbyname?dnsname=example.org":
            return 200, ZONES
        if asked.method == "POST" and asked.path == "/2013-04-01/hostedzone/Z1D633PJN98FT9/rrset":
            assert asked.body.count("<Action>UPSERT</Action>") == asked.body.count("<Change>")
            pattern = r"<Name>(.*?)</Name><Type>(.*?)</Type><TTL>(\d+)</TTL>.*?<Value>(.*?)</Value>"
            for name, rtype, ttl, value in re.findall(pattern, asked.body):
                self.records[name, rtype] = int(ttl), value
            return 200, "<ChangeResourceRecordSetsResponse><ChangeInfo><Status>PENDING</Status></ChangeInfo>"
        return 404, ERROR.format("NoSuchHostedZone", "No hosted zone found with ID: Z")


@pytest.mark.parametrize("zone", ["example.org", "Z1D633PJN98FT9"])
def test_route53(machine: Machine, zone: str) -> None:
    cloud = Route53()
    with web(cloud) as server:
        keep(machine, server, "route53", zone=zone, login="AKIDEXAMPLE", ttl=120)
        assert cloud.records == {(f"{HOST}.", "A"): (120, OTHER), (f"{HOST}.", "AAAA"): (120, IPV6)}
        assert [a.method for a in server.taken()] == (["GET", "POST"] if "." in zone else ["POST"])


@pytest.mark.parametrize(
    ("refused", "status", "said"),
    [
        (
            (403, "InvalidClientTokenId", "The security token is invalid."),
            3,
            "paused: InvalidClientTokenId: HTTP 403: `",
        ),
        (
            (403, "AccessDenied", "User is not authorized"),
            3,
            "paused: AccessDenied: HTTP 403: `User is not authorized`",
        ),
        ((403, "SignatureDoesNotMatch", "Signature expired: 2026"), 1, "failed: SignatureDoesNotMatch: HTTP 403: `Sig"),
        ((400, "Throttling", "Rate exceeded"), 1, "failed: Throttling: HTTP 400: `Rate exceeded`"),
    ],
)
def test_route53_says_no(machine: Machine, refused: tuple[int, str, str], status: int, said: str) -> None:
    with web(Route53(refused=refused)) as server:
        machine.configure(provider="route53", endpoint=server.url, zone="example.org", login="AKIDEXAMPLE")
        ran = machine.run()
    assert (ran.status, said in ran.out) == (status, True)


def test_route53_with_another_secret_or_zone(machine: Machine) -> None:
    with web(Route53()) as server:
        machine.configure(provider="route53", endpoint=server.url, zone="example.net", login="AKIDEXAMPLE")
        assert "failed: NoSuchHostedZone: " in machine.run().out
        machine.configure(provider="route53", endpoint=server.url, zone="example.org", login="AKIDEXAMPLE")
        machine.secret(text="wrong-key")
        assert "paused: SignatureDoesNotMatch: " in machine.run().out


def test_the_signature_of_aws_own_example(machine: Machine) -> None:
    """`get-vanilla` of the Signature Version 4 test suite."""
    machine.configure(provider="route53", zone="example.org", login="AKIDEXAMPLE")
    machine.secret(text="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    (name,) = machine.updater.read_config(str(machine.config)).names
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    assert machine.updater.sigv4(name, "service", headers, "GET", "/", "", "") == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


# ---- RFC 2136: what a real name server never says


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_the_tsig_is_that_of_dnspython(machine: Machine, algorithm: str) -> None:
    import dns.message
    import dns.rcode
    import dns.tsig
    import dns.tsigkeyring

    key = base64.b64encode(b"k" * 32).decode()
    machine.configure(provider="rfc2136", endpoint="ns.example", zone="example.org", algorithm=f"hmac-{algorithm}")
    machine.secret(text=key)
    (name,) = machine.updater.read_config(str(machine.config)).names
    plain = machine.updater.update_message(name, {"ipv4": IPV4, "ipv6": IPV6})
    signed, mac = machine.updater.tsig_sign(name, plain, machine.updater.time.time())
    wire_name = "hmac-md5.sig-alg.reg.int." if algorithm == "md5" else f"hmac-{algorithm}."
    ring = {dns.name.from_text(HOST): dns.tsig.Key(HOST, key, wire_name)}
    update = dns.message.from_wire(signed, keyring=ring)
    assert update.had_tsig
    assert [str(rrset) for rrset in update.sections[2]] == [
        f"{HOST}. ANY A",
        f"{HOST}. 60 IN A {IPV4}",
        f"{HOST}. ANY AAAA",
        f"{HOST}. 60 IN AAAA {IPV6}",
    ]
    answer = dns.message.make_response(update).to_wire()
    assert machine.updater.tsig_check(name, answer, mac) == (0, True)
    forged = bytearray(answer)
    forged[-8] ^= 1
    assert machine.updater.tsig_check(name, bytes(forged), mac) != (0, True)
    unsigned = dns.message.make_response(dns.message.make_query(HOST, "SOA")).to_wire()
    with pytest.raises(machine.updater.Failure, match="is not signed"):
        machine.updater.judge_update(name, unsigned, unsigned[:2], mac)
    for broken in (b"", b"x" * 11, answer[:40]):
        with pytest.raises(machine.updater.Failure):
            machine.updater.judge_update(name, broken, broken[:2], mac)


@pytest.mark.parametrize(
    ("secret", "endpoint", "said"),
    [
        ("not base64!", "127.0.0.1:1", "paused: the secret is not a TSIG key in base64"),
        ("AAAA", "a:b:c", "paused: endpoint: must be HOST, HOST:PORT or [IPv6]:PORT"),
        ("AAAA", "127.0.0.1:1", "failed: cannot reach 127.0.0.1 port 1: Connection refused"),
    ],
)
def test_rfc2136_before_anything_is_sent(machine: Machine, secret: str, endpoint: str, said: str) -> None:
    machine.configure(provider="rfc2136", endpoint=endpoint, zone="example.org")
    machine.secret(text=secret)
    assert said in machine.run().out
