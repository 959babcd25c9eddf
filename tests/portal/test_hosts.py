# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding a host, everything that its owner does with it, and what nobody else can."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, select
from sqlalchemy import update as sql_update
from support.browser.portal import Browser, Page
from support.clients.dyndns import new_label
from support.ports import wait_until
from support.servers.faults import in_store
from support.servers.service import Service

from ddnsd.db import flapping
from ddnsd.db.schema import hosts

NewUser = Callable[[], tuple[str, Browser]]


def add(browser: Browser, label: str | None = None, **values: str) -> tuple[str, str]:
    """A new host's full name and secret."""
    page = browser.send(browser.open("/hosts/new"), "/hosts/new", name=label or new_label(), **values)
    assert page.status == 200, page.text
    secret = re.search(r'<code aria-label="the secret">([^<]+)</code>', page.html)
    name = re.search(r"<h1>(\S+) was registered</h1>", page.html)
    assert secret, page.text
    assert name
    return name[1], secret[1]


def update(service: Service, fqdn: str, secret: str, address: str) -> str:
    return service.request("GET", "/nic/update", params={"myip": address}, auth=(fqdn, secret)).text


def test_a_new_host_is_in_dns_and_its_secret_works(service: Service, alice: Browser) -> None:
    fqdn, secret = add(alice, address="given", ipv4="192.0.2.1", ipv6="2001:DB8::1", wildcard="on", comment="Front <b>")
    assert service.dig(fqdn) == service.dig(f"x.{fqdn}") == ["192.0.2.1"]
    assert service.dig(fqdn, "AAAA") == ["2001:db8::1"]
    assert update(service, fqdn, secret, "192.0.2.2") == "good 192.0.2.2"
    page = alice.open(f"/hosts/{fqdn}")
    assert "192.0.2.2" in page.text
    assert "Front <b>" in page.text
    assert "Front &lt;b&gt;" in page.html


def test_the_secret_is_shown_this_once_with_every_configuration(service: Service, alice: Browser) -> None:
    page = alice.send(alice.open("/hosts/new"), "/hosts/new", name=new_label())
    found = re.search(r'<code aria-label="the secret">([^<]+)</code>', page.html)
    assert found
    assert page.html.count(found[1]) > 15
    fqdn = page.text.partition(" was registered")[0].rpartition(" ")[2]
    for path in ("", "/edit", "/configuration"):
        shown = alice.open(f"/hosts/{fqdn}{path}")
        assert shown.status == 200
        assert found[1] not in shown.html
    assert found[1].encode() not in service.log.read_bytes()


def test_the_browsers_own_address(service: Service, alice: Browser) -> None:
    fqdn, secret = add(alice, address="browser")
    assert service.dig(fqdn) == ["127.0.0.1"]
    update(service, fqdn, secret, "2001:db8::5")
    assert service.dig(fqdn) == ["127.0.0.1"]


def test_a_full_name_is_taken_as_it_is(service: Service, alice: Browser) -> None:
    label = new_label()
    assert add(alice, f"{label.upper()}.{service.domain}.")[0] == f"{label}.{service.domain}"


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"name": ""}, "name", "Enter a name."),
        ({"name": "a_b"}, "name", "letters, digits and hyphens"),
        ({"name": "x" * 64}, "name", "at most 63"),
        ({"domain": "nowhere.example"}, "name", "not in a domain that you may use"),
        ({"address": "given", "ipv4": "192.0.2.256"}, "ipv4", "A host cannot have the address 192.0.2.256"),
        ({"address": "given", "ipv4": "2001:db8::1"}, "ipv4", "not a single IPv4 address"),
        ({"address": "given", "ipv6": "<script>"}, "ipv6", "A host cannot have the address <script>"),
        ({"comment": "x" * 256}, "comment", "at most 255 characters"),
        ({"ttl": "0"}, "ttl", "from 1 to 86400"),
        ({"ttl": "1e3"}, "ttl", "from 1 to 86400"),
    ],
)
def test_errors_stand_at_their_field_and_keep_what_was_typed(
    alice: Browser, values: dict[str, str], field: str, says: str
) -> None:
    filled = {"name": new_label(), "comment": "kept"} | values
    page = alice.send(alice.open("/hosts/new"), "/hosts/new", **filled)
    assert page.status == 422
    error = re.search(rf'<p class="error" id="e-{field}">([^<]*)</p>', page.html)
    assert error
    assert says.replace("<", "&lt;").replace(">", "&gt;") in error[1]
    assert re.search(rf'id="f-{field}"[^>]*aria-invalid="true"[^>]*aria-describedby="e-{field}', page.html)
    assert page.form("/hosts/new").values["comment"] == filled["comment"]


def test_a_taken_name_says_so(service: Service, alice: Browser) -> None:
    fqdn, _ = add(alice)
    page = alice.send(alice.open("/hosts/new"), "/hosts/new", name=fqdn.partition(".")[0])
    assert page.status == 422
    assert "already exists" in page.text
    service.add_record("unmanaged", "A", "192.0.2.99")
    page = alice.send(alice.open("/hosts/new"), "/hosts/new", name="unmanaged", address="given", ipv4="192.0.2.3")
    assert page.status == 422
    assert "The name cannot be used" in page.text


def test_a_name_is_checked_before_it_is_sent(service: Service, alice: Browser) -> None:
    fqdn, _ = add(alice)
    label = fqdn.partition(".")[0]

    def check(name: str) -> dict[str, object]:
        answer = alice.request("GET", "/hosts/check", params={"name": name, "domain": service.domain})
        found: dict[str, object] = answer.json()
        return found

    assert check("free-" + label) == {"free": True, "text": f"free-{label}.{service.domain} is free."}
    assert check(label)["free"] is False
    assert check("a b")["free"] is False


def test_edit(service: Service, alice: Browser) -> None:
    fqdn, secret = add(alice, address="given", ipv4="192.0.2.1")
    page = alice.open(f"/hosts/{fqdn}/edit")
    done = alice.send(page, f"/hosts/{fqdn}/edit", ipv4="192.0.2.7", comment="New", ttl="300", wildcard="on")
    assert (done.status, done.path) == (200, f"/hosts/{fqdn}")
    assert "Saved." in done.text
    assert "192.0.2.7" in done.text
    assert "300 seconds" in done.text
    assert service.dig(f"any.{fqdn}") == ["192.0.2.7"]
    assert "Saved." not in alice.open(f"/hosts/{fqdn}").text
    page = alice.open(f"/hosts/{fqdn}/edit")
    assert alice.send(page, f"/hosts/{fqdn}/edit", ipv4="", comment="", ttl="", wildcard=None).status == 200
    assert service.dig(fqdn) == []
    assert update(service, fqdn, secret, "192.0.2.8") == "good 192.0.2.8"


def test_several_addresses_and_an_alias(service: Service, alice: Browser) -> None:
    fqdn, secret = add(alice, address="given", ipv4="192.0.2.2, 192.0.2.1")
    path = f"/hosts/{fqdn}/edit"
    assert sorted(service.dig(fqdn)) == ["192.0.2.1", "192.0.2.2"]
    assert update(service, fqdn, secret, "192.0.2.3") == "nohost"
    page = alice.send(alice.open(path), path, alias="front.example.net.")
    assert page.status == 422
    assert 'id="e-alias"' in page.html
    done = alice.send(alice.open(path), path, ipv4="", alias="front.example.net.")
    assert "Alias of front.example.net." in done.text
    assert service.dig(fqdn, "CNAME") == ["front.example.net."]
    assert "front.example.net." in alice.open("/").text
    history = alice.open(f"/hosts/{fqdn}/history").text
    assert "192.0.2.1 192.0.2.2" in history
    alice.send(alice.open(path), path, alias="", ipv4="192.0.2.4")
    assert (service.dig(fqdn), update(service, fqdn, secret, "192.0.2.4")) == (["192.0.2.4"], "nochg 192.0.2.4")


def test_rename(service: Service, alice: Browser) -> None:
    fqdn, secret = add(alice, address="given", ipv4="192.0.2.1")
    new = f"renamed-{fqdn}"
    assert alice.send(alice.open(f"/hosts/{fqdn}/edit"), f"/hosts/{fqdn}/edit", fqdn=new).path == f"/hosts/{new}"
    assert (service.dig(fqdn), service.dig(new)) == ([], ["192.0.2.1"])
    assert update(service, new, secret, "192.0.2.1") == "nochg 192.0.2.1"
    page = alice.send(alice.open(f"/hosts/{new}/edit"), f"/hosts/{new}/edit", fqdn="elsewhere.example")
    assert page.status == 422
    assert 'id="e-fqdn"' in page.html


def test_a_stale_form_changes_nothing(service: Service, alice: Browser) -> None:
    fqdn, _ = add(alice)
    one, two = alice.open(f"/hosts/{fqdn}/edit"), alice.open(f"/hosts/{fqdn}/edit")
    assert alice.send(one, f"/hosts/{fqdn}/edit", comment="first").status == 200
    assert alice.send(two, f"/hosts/{fqdn}/edit", comment="second").status == 412
    assert alice.send(two, f"/hosts/{fqdn}/remove").status == 412
    assert "first" in alice.open(f"/hosts/{fqdn}").text


def test_a_new_secret_kills_the_old(service: Service, alice: Browser) -> None:
    fqdn, old = add(alice)
    page = alice.send(alice.open(f"/hosts/{fqdn}/edit"), f"/hosts/{fqdn}/secret")
    found = re.search(r'<code aria-label="the secret">([^<]+)</code>', page.html)
    assert found
    assert update(service, fqdn, old, "192.0.2.1") == "badauth"
    assert update(service, fqdn, found[1], "192.0.2.1") == "good 192.0.2.1"


def test_remove(service: Service, alice: Browser) -> None:
    fqdn, _ = add(alice, address="given", ipv4="192.0.2.1")
    page = alice.send(alice.open(f"/hosts/{fqdn}/edit"), f"/hosts/{fqdn}/remove")
    assert page.path == "/"
    assert f"{fqdn} was removed." in page.text
    assert service.dig(fqdn) == []
    assert alice.open(f"/hosts/{fqdn}").status == 404


def test_a_protected_host_is_removed_only_after_its_protection(service: Service, alice: Browser) -> None:
    fqdn, _ = add(alice)
    edit, remove = f"/hosts/{fqdn}/edit", f"/hosts/{fqdn}/remove"
    before = alice.open(edit)
    assert alice.send(before, edit, protect="on").status == 200
    page = alice.open(edit)
    assert "The host is protected from deletion. Take the protection away first." in page.text
    assert remove not in page.html
    tag = page.form(edit).values["tag"]
    refused = alice.post(remove, {"csrf": page.form(edit).values["csrf"], "tag": tag})
    assert (refused.status, f"{fqdn} is protected, so it cannot be deleted." in refused.text) == (409, True)
    assert "Protected from deletion" in alice.open(f"/hosts/{fqdn}/history").text
    assert alice.send(page, edit, protect=None).status == 200
    assert alice.send(alice.open(edit), remove).path == "/"


def test_the_owner_of_a_blocked_host_reads_why_and_changes_nothing(
    service: Service, admin: Browser, alice: Browser
) -> None:
    fqdn, secret = add(alice, address="given", ipv4="192.0.2.1")
    theirs = admin.open(f"/hosts/{fqdn}/edit")
    assert "This host belongs to" in theirs.text
    ticked = {"abuse_blocked": "on", "block_reason": "Spam since Monday"}
    assert admin.send(theirs, f"/hosts/{fqdn}/edit", **ticked).status == 200
    assert service.dig(fqdn) == []
    assert "Contact the operator" in alice.open(f"/hosts/{fqdn}").text
    assert "Reason: Spam since Monday" in alice.open(f"/hosts/{fqdn}").text
    page = alice.open(f"/hosts/{fqdn}/edit")
    assert alice.send(page, f"/hosts/{fqdn}/edit", comment="x").status == 403
    assert alice.send(page, f"/hosts/{fqdn}/remove").status == 403
    assert alice.post(f"/hosts/{fqdn}/lift", page.form(f"/hosts/{fqdn}/edit").values).status == 403
    unblocked = admin.send(admin.open(f"/hosts/{fqdn}/edit"), f"/hosts/{fqdn}/edit", abuse_blocked=None)
    assert unblocked.status == 200
    assert service.dig(fqdn) == ["192.0.2.1"]
    assert update(service, fqdn, secret, "192.0.2.1") == "nochg 192.0.2.1"


def test_what_is_an_administrators_stays_so(service: Service, alice: Browser) -> None:
    fqdn, _ = add(alice)
    page = alice.open(f"/hosts/{fqdn}/edit")
    assert "As an administrator" not in page.text
    alice.send(page, f"/hosts/{fqdn}/edit", owner="admin", abuse_blocked="on")
    assert "blocked" not in alice.open(f"/hosts/{fqdn}").text
    assert alice.open(f"/hosts/{fqdn}").status == 200


def test_an_administrator_hands_a_host_over(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, theirs = new_user()
    fqdn, secret = add(admin)
    page = admin.open(f"/hosts/{fqdn}/edit")
    refused = admin.send(page, f"/hosts/{fqdn}/edit", owner="nobody-at-all")
    assert refused.status == 422
    assert "There is no user nobody-at-all." in refused.text
    asked = admin.send(page, f"/hosts/{fqdn}/edit", owner=name)
    assert f"Give {fqdn} to {name}?" in asked.text
    assert "No machine has updated this host so far, so none stops." in asked.text
    assert fqdn not in theirs.open("/").text
    assert update(service, fqdn, secret, "192.0.2.7") == "good 192.0.2.7"
    stale = admin.send(asked, f"/hosts/{fqdn}/edit", confirmed=f"{name} replace")
    assert stale.status == 412  # the page does not show the address of now
    asked = admin.send(admin.open(f"/hosts/{fqdn}/edit"), f"/hosts/{fqdn}/edit", owner=name)
    assert "1 machine stops updating until the new owner creates a new secret" in asked.text
    asked = admin.send(asked, f"/hosts/{fqdn}/edit", secrets="keep", confirmed=f"{name} replace")
    assert "still work" in asked.text  # what was confirmed was something else
    admin.headers["Accept-Language"] = "de"
    asked = admin.send(asked, f"/hosts/{fqdn}/edit", secrets="replace")
    admin.headers.pop("Accept-Language")
    assert "1 Maschine aktualisiert nicht mehr" in asked.text
    given = admin.send(asked, f"/hosts/{fqdn}/edit", confirmed=f"{name} replace")
    assert given.status == 200
    assert fqdn in theirs.open("/").text
    assert fqdn not in admin.open("/?q=" + fqdn).text
    assert update(service, fqdn, secret, "192.0.2.7") == "badauth"


def test_a_host_is_handed_over_with_its_secrets(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, _ = new_user()
    fqdn, secret = add(admin)
    asked = admin.send(admin.open(f"/hosts/{fqdn}/edit"), f"/hosts/{fqdn}/edit", owner=name, secrets="keep")
    admin.send(asked, f"/hosts/{fqdn}/edit", confirmed=f"{name} keep")
    assert update(service, fqdn, secret, "192.0.2.7") == "good 192.0.2.7"


def test_another_user_sees_and_changes_nothing(service: Service, alice: Browser, new_user: NewUser) -> None:
    fqdn, secret = add(alice, address="given", ipv4="192.0.2.1", comment="private")
    _, mallory = new_user()
    mine, _ = add(mallory)
    for path in ("", "/edit", "/configuration"):
        shown = mallory.open(f"/hosts/{fqdn}{path}")
        nothing = mallory.open(f"/hosts/nothing-{fqdn}{path}")
        assert (shown.status, shown.text) == (404, nothing.text)
    values = mallory.open(f"/hosts/{mine}/edit").form(f"/hosts/{mine}/edit").values
    for deed in ("edit", "remove", "secret", "lift"):
        assert mallory.post(f"/hosts/{fqdn}/{deed}", values).status == 404
    assert update(service, fqdn, secret, "192.0.2.1") == "nochg 192.0.2.1"
    assert fqdn not in mallory.open("/").text


@pytest.fixture(scope="module")
def crowd(service: Service) -> tuple[str, Browser]:
    """A user with seventy hosts."""
    browser = Browser(service)
    token = service.user("crowd")
    browser.enter("crowd")
    for number in range(70):
        body = {"fqdn": f"crowd-{number:02}.{service.domain}", "ipv4": f"192.0.2.{number + 1}", "comment": "100% of it"}
        body |= {"stack": "blue" if number % 2 else "green"}
        if number == 5:
            del body["ipv4"]
        assert service.request("POST", "/api/hosts", token, json=body).status_code == 201
    return token, browser


def listed(page: Page) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/hosts/([^".]+)', page.html)


def test_the_overview_pages_sorts_and_filters(crowd: tuple[str, Browser]) -> None:
    _, browser = crowd
    assert listed(browser.open("/")) == [f"crowd-{n:02}" for n in range(50)]
    assert listed(browser.open("/?page=2")) == [f"crowd-{n:02}" for n in range(50, 70)]
    assert "51–70 of 70" in browser.open("/?page=2").text
    assert listed(browser.open("/?sort=-name"))[0] == "crowd-69"
    assert listed(browser.open("/?q=CROWD-1")) == [f"crowd-{n}" for n in range(10, 20)]
    assert listed(browser.open("/?q=192.0.2.70")) == ["crowd-69"]
    assert listed(browser.open("/?q=100%25+of")) == listed(browser.open("/"))
    assert listed(browser.open("/?q=%25")) == listed(browser.open("/"))
    assert listed(browser.open("/?q=_")) == []
    assert listed(browser.open("/?stack=blue&q=crowd-1"))[0] == "crowd-11"
    assert listed(browser.open("/?state=empty")) == ["crowd-05"]
    assert listed(browser.open("/?sort=-created"))[0] == "crowd-69"
    assert listed(browser.open("/?state=blocked")) == []
    assert "Show all hosts" in browser.open("/?state=blocked").text


@pytest.mark.parametrize("query", ["page=x", "page=-1", "page=99999999", "sort=;drop", "state=x", "q=%00", "q=%ff"])
def test_a_strange_query_is_no_error(crowd: tuple[str, Browser], query: str) -> None:
    assert crowd[1].open(f"/?{query}").status == 200


def test_who_has_no_host_reads_what_to_do(alice: Browser) -> None:
    assert "Add your first host" in alice.open("/").text


def test_history_and_the_last_request(service: Service, alice: Browser, new_user: NewUser) -> None:
    fqdn, secret = add(alice, comment="<i>first</i>")
    assert "No client has asked yet." in alice.open(f"/hosts/{fqdn}").text
    headers = {"User-Agent": "<script>router</script>"}
    service.request("GET", "/nic/update", params={"myip": "192.0.2.1"}, auth=(fqdn, secret), headers=headers)
    service.request("GET", "/nic/update", params={"myip": "192.0.2.2"}, auth=(fqdn, secret), headers=headers)
    update(service, fqdn, "wrong", "192.0.2.3")
    alice.send(alice.open(f"/hosts/{fqdn}/edit"), f"/hosts/{fqdn}/edit", comment="")
    alice.send(alice.open(f"/hosts/{fqdn}/edit"), f"/hosts/{fqdn}/secret")
    for path in ("", "/history"):
        page = alice.open(f"/hosts/{fqdn}{path}")
        assert "192.0.2.1 → 192.0.2.2" in page.text
        assert "<script>router" in page.text
        assert "<script>router" not in page.html
        assert "new secret" in page.text
        assert "with its secret" in page.text
        assert "in the portal" in page.text
    wait_until(lambda: "badauth" in alice.open(f"/hosts/{fqdn}").text, what="the last request")
    page = alice.open(f"/hosts/{fqdn}")
    assert "5 changes in the last 30 days" in page.text
    assert page.html.count('<rect class="room"') == 30
    assert new_user()[1].open(f"/hosts/{fqdn}/history").status == 404


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "1"])
def test_a_strange_page_of_history_is_no_error(alice: Browser, before: str) -> None:
    fqdn, _ = add(alice)
    assert alice.open(f"/hosts/{fqdn}/history?before={before}").status == 200


def test_related_names(service: Service, alice: Browser) -> None:
    fqdn, secret = add(alice)
    path = f"/hosts/{fqdn}/related"
    assert "No related names yet" in alice.open(path).text
    for values, field in (({"label": "a.b"}, "label"), ({"interface_id": "7"}, "interface_id")):
        page = alice.send(alice.open(path), path, **{"label": "nas", "interface_id": "::7"} | values)
        assert page.status == 422
        assert f'id="e-{field}"' in page.html
    assert "none yet" in alice.send(alice.open(path), path, label="nas", interface_id="::7").text
    update(service, fqdn, secret, "2001:db8:1::/64")
    assert service.dig(f"nas.{fqdn}", "AAAA") == ["2001:db8:1::7"]
    assert "2001:db8:1::7" in alice.open(path).text
    assert f"nas.{fqdn} was removed." in alice.send(alice.open(path), f"{path}/nas/remove").text
    assert service.dig(f"nas.{fqdn}", "AAAA") == []


def test_a_host_cannot_be_added_to_a_reverse_zone(admin: Browser) -> None:
    zone = "7.10.in-addr.arpa"
    page = admin.send(
        admin.open("/domains/new"), "/domains", name=zone, zone="provision", use="private", available="on"
    )
    assert f"{zone} was added." in page.text
    form = admin.open("/hosts/new")
    assert f'value="{zone}"' not in form.html
    page = admin.send(form, "/hosts/new", name=f"9.{zone}", domain="", address="none")
    assert page.status == 422
    assert f"{zone} is a zone for reverse lookups." in page.text
    assert admin.open(f"/hosts/check?name=9.{zone}").html.count('"free":false') == 1
    host, _ = add(admin)
    page = admin.send(admin.open(f"/hosts/{host}/edit"), f"/hosts/{host}/edit", fqdn=f"9.{zone}")
    assert page.status == 422


def test_reverse_names(service: Service, admin: Browser, alice: Browser) -> None:
    zone, address = "43.172.in-addr.arpa", "172.43.0.9"
    service.cli("domain", "add", zone, "--owner", "admin", "--reverse", "all")
    fqdn, _ = add(alice, address="given", ipv4=address, ptr="on")
    page = f"/hosts/{fqdn}"
    wait_until(lambda: f"{address} published" in " ".join(alice.open(page).text.split()), 60, "the page shows it")
    assert service.dig(f"9.0.{zone}", "PTR") == [f"{fqdn}."]
    service.cli("domain", "set", zone, "--reverse", "off")
    shown = " ".join(alice.open(page).text.split())
    assert f"{address} not published The reverse zone {zone} takes no names of hosts." in shown
    edit = alice.open(f"{page}/edit")
    assert alice.send(edit, f"{page}/edit", ptr=None).status == 200
    assert "Reverse names yes → no" in alice.open(page).text
    assert "takes no names of hosts" not in alice.open(page).text
    assert "of all hosts" not in admin.open(f"/domains/{zone}").text
    form = f"/domains/{zone}/edit"
    assert admin.open(form).form(form).values["reverse"] == "off"
    wrong = admin.send(admin.open(form), form, reverse="all", network="192.0.2.0/24")
    assert (wrong.status, wrong.form(form).values["network"]) == (422, "192.0.2.0/24")
    assert admin.send(admin.open(form), form, reverse="all").path == f"/domains/{zone}"
    assert "of all hosts that want them" in admin.open(f"/domains/{zone}").text
    assert 'name="reverse"' not in admin.open(f"/domains/{service.domain}/edit").html


def test_a_reverse_zone_whose_name_does_not_say_its_network(service: Service, admin: Browser) -> None:
    zone = "office.9.44.172.in-addr.arpa"
    service.cli("domain", "add", zone, "--owner", "admin")
    form = f"/domains/{zone}/edit"
    assert admin.send(admin.open(form), form, reverse="verified").status == 422
    assert admin.send(admin.open(form), form, reverse="verified", network="172.44.9.64/26").path == f"/domains/{zone}"
    assert "of hosts with proved addresses" in admin.open(f"/domains/{zone}").text
    assert admin.open(form).form(form).values["network"] == "172.44.9.64/26"


def test_names_that_a_wildcard_stops_answering(alice: Browser) -> None:
    fqdn, _ = add(alice, wildcard="on")
    page = alice.send(alice.open("/hosts/new"), "/hosts/new", name=f"b.a.{fqdn}")
    text = f"The wildcard *.{fqdn} does not answer for a.{fqdn} and names below it, because b.a.{fqdn} is registered."
    for shown in (page, alice.open(f"/hosts/{fqdn}"), alice.open(f"/hosts/b.a.{fqdn}")):
        assert text in shown.text
    form = alice.open(f"/hosts/{fqdn}/edit")
    assert text not in alice.send(form, f"/hosts/{fqdn}/edit", wildcard=None).text
    assert text in alice.send(alice.open(f"/hosts/{fqdn}/edit"), f"/hosts/{fqdn}/edit", wildcard="on").text


def test_a_host_that_two_machines_update(service: Service, alice: Browser) -> None:
    fqdn, secret = add(alice)
    text = "The address keeps changing back and forth."
    for number in range(10):
        agent = {"User-Agent": f"box/{number % 2}"}
        asked = {"myip": f"192.0.2.{number % 2}"}
        service.request("GET", "/nic/update", params=asked, auth=(fqdn, secret), headers=agent)
    assert text not in alice.open(f"/hosts/{fqdn}").text

    def look(connection: Connection) -> None:
        host_id = connection.scalar(select(hosts.c.id).where(hosts.c.fqdn == fqdn))
        assert host_id is not None
        found = flapping.find(connection, host_id)
        assert found is not None
        flapping.record(connection, host_id, found)

    in_store(service, look)
    assert text in alice.open(f"/hosts/{fqdn}").text
    assert "192.0.2.0 from 127.0.0.1 (box/0)" in alice.open(f"/hosts/{fqdn}/history").text


def test_records(service: Service, alice: Browser) -> None:
    fqdn, _ = add(alice)
    path = f"/hosts/{fqdn}/records"
    assert "No records yet" in alice.open(path).text
    good = {"name": "_x", "type": "TXT", "values": 'one\r\n\r\n"two words"\r\n', "ttl": "300"}
    for field, value in (("name", "x"), ("type", "A"), ("values", '"two words'), ("values", ""), ("ttl", "soon")):
        page = alice.send(alice.open(path), path, **good | {field: value})
        assert page.status == 422
        assert f'id="e-{field}"' in page.html
    assert service.dig(f"_x.{fqdn}", "TXT") == []
    assert "Saved." in alice.send(alice.open(path), path, **good).text
    assert sorted(service.dig(f"_x.{fqdn}", "TXT")) == ['"one"', '"two words"']
    page = alice.open(f"{path}?name=_x&type=TXT")
    assert "Change records" in page.text
    assert "&#34;one&#34;\n&#34;two words&#34;</textarea>" in page.html
    alice.send(page, path, **good | {"values": "<script>", "ttl": ""})
    assert service.dig(f"_x.{fqdn}", "TXT") == ['"<script>"']
    for shown in (alice.open(path), alice.open(f"/hosts/{fqdn}/history")):
        assert '"<script>"' in shown.text
    service.add_record(f"_y.{fqdn}.", "TXT", "foreign")
    assert alice.send(alice.open(path), path, **good | {"name": "_y"}).status == 422
    long = '"v=DKIM1; p=' + "A" * 240 + '" "' + "B" * 255 + '" "' + "C" * 255 + '"'
    key = {"name": "mail2024._domainkey", "values": long}
    assert "Saved." in alice.send(alice.open(path), path, **good | key).text
    assert service.dig(f"mail2024._domainkey.{fqdn}", "TXT") == [long]
    removed = alice.send(alice.open(path), f"{path}/mail2024._domainkey/TXT/remove")
    assert "mail2024._domainkey TXT was removed." in removed.text
    assert "_x TXT was removed." in alice.send(alice.open(path), f"{path}/_x/TXT/remove").text
    assert service.dig(f"_x.{fqdn}", "TXT") == []


def test_a_foreign_record_is_told_in_the_visitors_language(service: Service, alice: Browser) -> None:
    fqdn, secret = add(alice, address="given", ipv4="192.0.2.1")
    service.remove_records(f"{fqdn}.", "A")
    service.add_record(f"{fqdn}.", "CNAME", "elsewhere.example.net.")
    assert update(service, fqdn, secret, "192.0.2.2") == "911"
    path = f"/hosts/{fqdn}"
    english = f"{fqdn} is an alias that is not ours (CNAME record)"
    german = f"{fqdn} ist ein fremder Alias (CNAME-Eintrag)"
    assert english in alice.open(path).text
    assert english in alice.open(f"{path}/history").text
    alice.headers["Accept-Language"] = "de"
    assert german in alice.open(path).text
    refused = alice.send(alice.open(f"{path}/records"), f"{path}/records", name="_x", type="TXT", values="x")
    assert refused.status == 422
    assert f"Der Name kann nicht verwendet werden: {german}." in refused.text

    former = sql_update(hosts).where(hosts.c.fqdn == fqdn).values(conflict="as it was <b>")
    in_store(service, lambda c: c.execute(former))
    page = alice.open(path)
    assert "as it was <b>" in page.text
    assert "as it was &lt;b&gt;" in page.html
