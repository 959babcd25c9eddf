# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of a host. People order it with the command that the page shows: private keys stay with them."""

from starlette.responses import Response

from ddnsd.registry.errors import NoCertificate
from ddnsd.web.portal import access
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import get


async def show_certificate(page: PageRequest) -> Response:
    """The newest certificate, the last problem, and the commands that order one."""
    owned = await access.get_host(page)
    certificates = page.portal.certificates
    try:
        current = await certificates.current(owned.host)
    except NoCertificate:
        current = None
    return page.render(
        "host/certificate.html",
        owned=owned,
        host=owned.host,
        enabled=certificates.enabled,
        certificate=current,
        last=await certificates.last_order(owned.host),
        server=page.portal.base_url,
    )


ROUTES = [get("/hosts/{fqdn}/certificate", show_certificate)]
