# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate on a host's page: how to order it, until when it is valid, and why the last order failed."""

from collections.abc import Iterator

import pytest
from support.browser.portal import Browser, entered
from support.clients.rest_api import Api, problem
from support.clients.signing import csr
from support.ports import free_port
from support.servers.pebble import pebble
from support.servers.service import Service, dev

NAME = "www.dyn.example.org"
PAGE = f"/hosts/{NAME}/certificate"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with an authority."""
    port = free_port()
    with pebble(tmp_path_factory.mktemp("pebble"), port) as authority:
        settings = {"acme_directory": authority.directory, "acme_ca_file": str(authority.front)}
        with dev(tmp_path_factory.mktemp("issuing"), port, **settings) as running:
            yield running


@pytest.fixture(scope="module")
def admin(service: Service) -> Browser:
    return entered(service, "admin")


def test_a_certificate(service: Service, admin: Browser) -> None:
    api = Api(service, service.admin_token)
    api.post("/hosts", {"fqdn": NAME, "wildcard": True})
    page = admin.open(PAGE)
    assert "No certificate yet" in page.text
    command = f"ddnsctl certificate {NAME} --wildcard --server {service.url} --key-file {NAME}.key"
    assert f"{command} --chain-file {NAME}.pem" in page.text

    chain = api.call("POST", f"/hosts/{NAME}/certificate", {"csr": csr(NAME, f"*.{NAME}")}).text
    page = admin.open(PAGE)
    assert "No certificate yet" not in page.text
    assert chain.splitlines()[1] in page.text
    assert f"*.{NAME}" in page.text
    assert "in 5 years" in page.text, "pebble's certificates"
    assert "The last order failed" not in page.text
    assert "certificate" in admin.open(f"/hosts/{NAME}/history").text


def test_a_failed_order(service: Service, admin: Browser) -> None:
    api, fqdn = Api(service, service.admin_token), "caa.dyn.example.org"
    api.post("/hosts", {"fqdn": fqdn, "records": {"CAA": {"values": ['0 issue ";"']}}})
    problem(api.call("POST", f"/hosts/{fqdn}/certificate", {"csr": csr(fqdn)}), 422, "urn:ddns:authority")
    text = admin.open(f"/hosts/{fqdn}/certificate").text
    assert "The last order failed: The CAA records of caa.dyn.example.org do not allow" in text


def test_an_alias_cannot_have_one(service: Service, admin: Browser) -> None:
    fqdn = "alias.dyn.example.org"
    Api(service, service.admin_token).post("/hosts", {"fqdn": fqdn, "alias": "front.example.net."})
    assert "ddnsctl certificate" not in admin.open(f"/hosts/{fqdn}/certificate").text


def test_a_service_without_an_authority(tmp_path_factory: pytest.TempPathFactory) -> None:
    with dev(tmp_path_factory.mktemp("without")) as service:
        Api(service, service.admin_token).post("/hosts", {"fqdn": NAME})
        text = entered(service, "admin").open(PAGE).text
        assert "This service issues no certificates." in text
        assert "ddnsctl certificate" not in text
