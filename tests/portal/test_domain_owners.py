# SPDX-License-Identifier: GPL-3.0-or-later
"""What the owner of a domain sees of the hosts of others in it, and how they stop them, in the portal."""

from collections.abc import Callable
from dataclasses import dataclass

import dns.query
import dns.update
import pytest
from support.browser.portal import Browser
from support.clients.dyndns import GIVEN, Host, new_label, register
from support.clients.rest_api import Api
from support.ports import wait_until
from support.servers.faults import hung
from support.servers.service import Service

from ddnsd.dns.tsig import TsigKey

MARKUP = '<script>alert("x")</script>'


@dataclass
class Estate:
    """A public domain of `name`, and a host of the tenant's in it."""

    domain: str
    name: str
    owner: Browser
    tenant_name: str
    tenant: Browser
    api: Api
    host: Host

    @property
    def page(self) -> str:
        return f"/hosts/{self.host.fqdn}"

    @property
    def list(self) -> str:
        return f"/domains/{self.domain}/hosts"


@pytest.fixture
def estate(service: Service, new_user: Callable[[], tuple[str, Browser]]) -> Estate:
    (name, owner), (tenant_name, tenant) = new_user(), new_user()
    domain = f"{new_label()}.example.org"
    service.cli("domain", "add", domain, "--owner", name)
    token = service.user(tenant_name)
    host = register(service, token, domain)
    Api(service, token).patch(f"/hosts/{host.fqdn}", {"comment": f"in the bedroom {MARKUP}", "stack": "home"})
    return Estate(domain, name, owner, tenant_name, tenant, Api(service, token), host)


def test_the_list_and_the_page_have_no_notes_and_no_origins(estate: Estate) -> None:
    estate.host.update(myip=GIVEN, headers={"User-Agent": "Camera/1.0"})
    wait_until(lambda: estate.api.get(f"{estate.page}/contact")["agent"] == "Camera/1.0", 10, "contact")
    assert f'href="{estate.list}"' in estate.owner.open(f"/domains/{estate.domain}").html
    for path in (estate.list, estate.page):
        page = estate.owner.open(path)
        assert page.status == 200
        for shown in (estate.host.fqdn, estate.tenant_name, GIVEN, "in DNS"):
            assert shown in page.text
        for hidden in ("bedroom", "Camera", "127.0.0.1", "home"):
            assert hidden not in page.html
    assert "nochg" in estate.owner.open(estate.page).text
    assert "bedroom" in estate.tenant.open(estate.page).text


@pytest.mark.parametrize("wanted", ["bedroom", "zzz"])
def test_a_search_does_not_tell_comments(estate: Estate, wanted: str) -> None:
    assert "No matching hosts" in estate.owner.open(f"{estate.list}?q={wanted}").text
    assert estate.host.fqdn in estate.owner.open(f"{estate.list}?q={estate.host.name}").text
    assert estate.host.fqdn in estate.owner.open(f"{estate.list}?owner={estate.tenant_name}").text
    assert estate.host.fqdn not in estate.owner.open(f"/?q={estate.host.name}").text


def test_block_and_unblock(estate: Estate) -> None:
    page = estate.owner.open(estate.page)
    done = estate.owner.send(page, f"{estate.page}/block", block_reason=f"Spam {MARKUP}")
    assert "The host was blocked." in done.text
    assert estate.host.addresses() == []
    told = estate.tenant.open(estate.page)
    assert "The owner of the domain has blocked this host." in told.text
    assert f"Spam {MARKUP}" in told.text
    assert estate.name in told.text
    for page in (done, told):
        assert MARKUP not in page.html
    assert "The host was unblocked." in estate.owner.send(done, f"{estate.page}/unblock").text
    assert estate.host.addresses() == [GIVEN]


def test_removal_leads_back_to_the_list(estate: Estate) -> None:
    done = estate.owner.send(estate.owner.open(estate.page), f"{estate.page}/remove")
    assert done.path == estate.list
    assert f"{estate.host.fqdn} was removed." in done.text
    assert estate.tenant.open(estate.page).status == 404


def test_the_block_of_an_administrator_has_no_form(estate: Estate, admin: Browser, service: Service) -> None:
    service.cli("host", "block", estate.host.fqdn, "--reason", "Phishing")
    page = estate.owner.open(estate.page)
    assert "Only an administrator can change this block." in page.text
    csrf = page.forms[0].values["csrf"]
    for act in ("unblock", "block", "remove"):
        assert estate.owner.post(f"{estate.page}/{act}", {"csrf": csrf}).status == 403
        assert "Phishing" in estate.owner.open(estate.page).text


def test_old_pages_and_forms_of_other_sites_change_nothing(estate: Estate) -> None:
    old = estate.owner.open(estate.page)
    estate.api.patch(f"/hosts/{estate.host.fqdn}", {"ipv4": "192.0.2.77"})
    for act in ("block", "remove"):
        assert estate.owner.send(old, f"{estate.page}/{act}").status == 412
        assert estate.owner.post(f"{estate.page}/{act}", {}).status == 403
        csrf = estate.tenant.open(estate.page).forms[0].values["csrf"]
        assert estate.owner.post(f"{estate.page}/{act}", {"csrf": csrf}).status == 403
    assert estate.host.addresses() == ["192.0.2.77"]


def test_a_new_owner_of_the_domain(estate: Estate, admin: Browser, alice: Browser) -> None:
    name = "nobody-here"
    edit = f"/domains/{estate.domain}/edit"
    assert admin.send(admin.open(edit), edit, owner=name).status == 422
    assert estate.owner.post(edit, {**estate.owner.open(edit).form(edit).values, "owner": "admin"}).status == 200
    assert estate.owner.open(estate.page).status == 200
    assert admin.send(admin.open(edit), edit, owner="admin").status == 200
    for path in (estate.page, estate.list):
        assert estate.owner.open(path).status == 404


def write(service: Service, domain: str, *records: tuple[str, str, str]) -> None:
    """Write names that are nobody's host, as members of a realm do."""
    key = TsigKey.from_text((service.dir / "bind" / "keys" / f"{domain}.key").read_text())
    message = dns.update.UpdateMessage(domain, keyring=key.dnspython)
    for label, rtype, value in records:
        message.add(label, 300, rtype, value)
    assert dns.query.tcp(message, "127.0.0.1", port=service.dns_port, timeout=10).rcode() == 0


def test_members_of_a_realm_are_listed(
    service: Service, new_user: Callable[[], tuple[str, Browser]], admin: Browser
) -> None:
    (name, owner), (_, stranger), domain = new_user(), new_user(), f"{new_label()}.example.org"
    page = f"/domains/{domain}/members"
    service.cli("domain", "add", domain, "--owner", name, "--public")
    assert "No Kerberos realm" in owner.open(page).text
    assert page not in owner.open(f"/domains/{domain}").html
    service.cli("domain", "set", domain, "--gss-realm", domain.upper())
    assert "No names yet" in owner.open(page).text
    assert f'href="{page}"' in owner.open(f"/domains/{domain}").html
    assert stranger.open(f"/domains/{domain}").status == 200
    assert stranger.open(page).status == 404
    many = [(f"many{number:02}", "A", "192.0.2.3") for number in range(50)]
    write(service, domain, ("linux", "A", "192.0.2.1"), ("linux", "AAAA", "2001:db8::1"), *many)
    for browser in (owner, admin):
        shown = browser.open(f"{page}?q=LINUX")
        assert shown.status == 200
        for text in (f"linux.{domain}", "192.0.2.1", "2001:db8::1", "by Kerberos", domain.upper(), "1–1 of 1"):
            assert text in shown.text
        assert "many" not in shown.text
    assert f"linux.{domain}" in owner.open(f"{page}?q=2001:db8::1").text
    assert "1–50 of 51" in owner.open(page).text
    assert f"many49.{domain}" in owner.open(f"{page}?page=2").text
    assert "No matching names" in owner.open(f"{page}?q=<b>").text
    owner.cookies["ddns-language"] = "de"
    assert "über Kerberos" in owner.open(page).text
    with hung(service.named_pid()):
        silent = owner.open(page)
    assert (silent.status, "kann gerade nicht gelesen werden" in silent.text) == (503, True)
