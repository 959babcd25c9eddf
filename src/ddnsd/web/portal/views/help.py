# SPDX-License-Identifier: GPL-3.0-or-later
"""Help pages about names, addresses, clients, and the answers to updates."""

from typing import NamedTuple

from starlette.responses import Response

from ddnsd.web.portal.client_configs import SHIPPED, Target, configurations, shipped
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.i18n import N_
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import Access, get

EXAMPLE = "my-host.example.org"
"""The host name in examples."""


class Topic(NamedTuple):
    """A page of help; its text is `templates/help/NAME.html`."""

    name: str
    title: str
    about: str


TOPICS = (
    Topic("start", N_("First steps"), N_("A name, a secret, and one request.")),
    Topic("clients", N_("Configurations"), N_("Ready-made for routers, programs and machines.")),
    Topic("words", N_("Answers to an update"), N_("What good, nochg, badauth and the others mean, and what to do.")),
    Topic("ttl", N_("When others see the new address"), N_("TTL, and the cache of Windows.")),
    Topic("own-domain", N_("A name in your own domain"), N_("A CNAME from your domain to a host here.")),
    Topic("nat", N_("CGNAT and private addresses"), N_("If a host has a name but is not reachable.")),
    Topic(
        "ports",
        N_("Ports and firewalls"),
        N_("What a client needs to reach this service, and what others need to reach your host."),
    ),
)


BY_NAME = {topic.name: topic for topic in TOPICS}


async def index(page: PageRequest) -> Response:
    """All topics."""
    return page.render("help/index.html", topics=TOPICS)


async def show(page: PageRequest) -> Response:
    """One topic."""
    topic = BY_NAME.get(page.param("topic"))
    if topic is None:
        raise NotFound
    return page.render(f"help/{topic.name}.html", topics=TOPICS, topic=topic)


async def show_clients(page: PageRequest) -> Response:
    """Configurations of client programs, for an example host."""
    shown = configurations(Target(EXAMPLE, page.portal.base_url))
    return page.render("help/clients.html", topics=TOPICS, topic=BY_NAME["clients"], configurations=shown)


async def download(page: PageRequest) -> Response:
    """A file of the updater."""
    name = page.param("name")
    if name not in SHIPPED:
        raise NotFound
    return Response(shipped(name), media_type="text/plain", headers={"Cache-Control": "public, max-age=300"})


ROUTES = [
    get("/help", index, Access.EVERYBODY),
    get("/help/clients", show_clients, Access.EVERYBODY),
    get("/help/files/{name}", download, Access.EVERYBODY),
    get("/help/{topic}", show, Access.EVERYBODY),
]
