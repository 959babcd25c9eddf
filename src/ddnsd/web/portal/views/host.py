# SPDX-License-Identifier: GPL-3.0-or-later
"""One host: how it stands, and everything that its owner can do with it."""

from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth import secrets
from ddnsd.auth.permissions import Action
from ddnsd.db import history, last_seen, queries
from ddnsd.db.paging import OwnedHost
from ddnsd.registry import host_columns, names, transfers
from ddnsd.registry.errors import Invalid, Unconfirmed
from ddnsd.registry.host_edits import Edit
from ddnsd.web.api.serializers import Seen, host_tag
from ddnsd.web.portal import access
from ddnsd.web.portal import forms as given
from ddnsd.web.portal.client_configs import Target, configurations
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.handing_over import hand_over, handed_over
from ddnsd.web.portal.presenters.charts import chart
from ddnsd.web.portal.presenters.host_history import told
from ddnsd.web.portal.presenters.host_status import FLAGGED, status_of
from ddnsd.web.portal.request import UNCONFIRMED, PageRequest, get, post

RECENT, SIZE = 5, 50
"""Entries of the history on the first page, and on each of its own."""

DAYS = 30
"""Days in the chart."""

FIELDS = ("fqdn", "ipv4", "ipv6", "comment", "ttl")


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(page: PageRequest) -> Response:
        seen = Seen(portal.writer)
        owned = await access.host(page)
        host = owned.host
        stands = status_of(host, seen.dns(host))
        entries, days, found = await portal.store.read(
            lambda c: (
                history.page(c, host.id, RECENT, reader_id=_reader(page)),
                history.per_day(c, host.id, DAYS, reader_id=_reader(page)),
                last_seen.of(c, [host.id]),
            )
        )
        return page.render(
            "host/show.html",
            owned=owned,
            host=host,
            stands=stands,
            flagged=stands is FLAGGED,
            chart=chart(days),
            told=[told(page.language, entry) for entry in entries],
            contact=portal.contacts.last(host.id, found.get(host.id)),
        )

    async def show_history(page: PageRequest) -> Response:
        owned = await access.host(page)
        text = page.query.get("before", "")
        before = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
        entries = await portal.store.read(
            lambda c: history.page(c, owned.host.id, SIZE + 1, before=before, reader_id=_reader(page))
        )
        return page.render(
            "host/history.html",
            owned=owned,
            host=owned.host,
            before=before,
            more=len(entries) > SIZE,
            told=[told(page.language, entry) for entry in entries[:SIZE]],
        )

    async def form(page: PageRequest) -> Response:
        return await _form(page, await access.host(page, Action.EDIT))

    async def edit(page: PageRequest) -> Response:
        owned = await access.host(page, Action.EDIT)
        _, kind, flash_message = page.gettext, "done", page.gettext("Saved.")
        try:
            if (transfer := await _unconfirmed(page, owned)) is not None:
                return await _form(page, owned, transfer=transfer)
            fqdn = await _edit(page, owned)
        except Invalid as error:
            return await _form(page, owned, page.reasons(error.fields))
        except Unconfirmed:
            fqdn, kind = names.fold(page.text("fqdn")), "warning"
            flash_message = f"{flash_message} {_(UNCONFIRMED)}"
        return page.redirect(f"/hosts/{fqdn}", flash_message, kind)

    async def remove(page: PageRequest) -> Response:
        owned = await access.host(page, Action.DELETE)
        gone = portal.hosts.unregister(
            owned.host, page.caller.user, page.client_ip, access.precondition(page, Action.DELETE)
        )
        return await page.saved(gone, "/", page.gettext("%(name)s was removed.", name=owned.host.fqdn))

    async def new_secret(page: PageRequest) -> Response:
        owned = await access.host(page, Action.ROTATE)
        secret = secrets.new_secret()
        return await hand_over(
            page,
            f"/hosts/{owned.host.fqdn}/secret",
            {"secret": secret},
            lambda: portal.hosts.new_secret(
                owned.host, secrets.digest(secret), page.caller.user, page.client_ip, page.author
            ),
        )

    async def show_secret(page: PageRequest) -> Response:
        owned = await access.host(page, Action.ROTATE)
        made = await handed_over(page)
        shown = configurations(Target(owned.host.fqdn, portal.base_url, made["secret"])) if made else []
        return page.render(
            "host/secret.html",
            owned=owned,
            host=owned.host,
            fqdn=owned.host.fqdn,
            secret=made and made["secret"],
            configurations=shown,
            opened="curl",
        )

    async def lift(page: PageRequest) -> Response:
        owned = await access.host(page, Action.EDIT)
        await portal.hosts.lift_flag(owned.host, page.author, access.precondition(page, Action.EDIT))
        return page.redirect(
            f"/hosts/{owned.host.fqdn}", page.gettext("The flag was removed. Updates are accepted again.")
        )

    return [
        get("/hosts/{fqdn}", show),
        get("/hosts/{fqdn}/history", show_history),
        get("/hosts/{fqdn}/edit", form),
        post("/hosts/{fqdn}/edit", edit),
        post("/hosts/{fqdn}/remove", remove),
        get("/hosts/{fqdn}/secret", show_secret),
        post("/hosts/{fqdn}/secret", new_secret),
        post("/hosts/{fqdn}/lift", lift),
    ]


def _reader(page: PageRequest) -> int | None:
    """Whose part of a history it is: an administrator reads all of it."""
    return None if page.admin else page.caller.user_id


class _Transfer(NamedTuple):
    """A host that is about to be given away: how many machines stop unless secrets are kept; `given` confirms it."""

    keep: bool
    machines: int
    given: str


async def _unconfirmed(page: PageRequest, owned: OwnedHost) -> _Transfer | None:
    """What an administrator must confirm before the host is changed; None for nothing. Raises Invalid."""
    if not page.admin or (name := page.text("owner")) == owned.owner:
        return None
    keep = page.text("secrets") == transfers.KEEP
    given = f"{name} {transfers.KEEP if keep else transfers.REPLACE}"
    if page.form.get("confirmed") == given:
        return None
    user = await page.portal.store.read(lambda c: queries.user(c, name))
    transfers.check_owner(user, name)
    await page.portal.contacts.write()
    machines = await page.portal.store.read(lambda c: transfers.machines(c, [owned.host]))
    return _Transfer(keep, machines, given)


async def _form(
    page: PageRequest, owned: OwnedHost, errors: dict[str, str] | None = None, transfer: _Transfer | None = None
) -> Response:
    host = owned.host
    values: dict[str, Any] = {name: getattr(host, name) for name in (*FIELDS, "wildcard", "available", "abuse_blocked")}
    values |= {"owner": owned.owner, "secrets": transfers.REPLACE}
    if errors or transfer:
        boxes = {name: page.checked(name) for name in ("wildcard", "available", "abuse_blocked")}
        values |= {name: page.text(name) for name in (*FIELDS, "owner", "secrets")} | boxes
    status = 422 if errors else 200
    return page.render(
        "host/edit.html",
        status,
        owned=owned,
        host=host,
        values=values,
        errors=errors or {},
        tag=page.text("tag") if transfer else host_tag(host),
        transfer=transfer,
    )


async def _edit(page: PageRequest, owned: OwnedHost) -> str:
    """Change the host as the form has it; answers its name. Raises what `Edits.apply` raises."""
    host, fqdn = owned.host, names.fold(page.text("fqdn"))
    values: dict[str, Any] = {
        "wildcard": page.checked("wildcard"),
        "comment": given.comment(page.text("comment")),
        "ttl": given.ttl(page.text("ttl")),
    } | {family: given.address(family, page.text(family)) for family in host_columns.FAMILIES}
    if page.admin:
        values |= await _of_administrators(page, owned)
    try:
        rename = None if fqdn == host.fqdn else (fqdn, await access.domain_around(page, fqdn))
        edit = Edit(
            values,
            page.caller.user,
            page.client_ip,
            access.precondition(page, Action.EDIT),
            rename=rename,
            tls=page.tls,
            oversight=page.admin,
            author=page.author,
            keep_secrets=page.text("secrets") == transfers.KEEP,
        )
        return (await page.portal.edits.apply(host, edit)).fqdn
    except Invalid as error:
        named = error.fields.pop("name", None)
        error.fields |= {"fqdn": named} if named else {}
        raise


async def _of_administrators(page: PageRequest, owned: OwnedHost) -> dict[str, Any]:
    values: dict[str, Any] = {"available": page.checked("available"), "abuse_blocked": page.checked("abuse_blocked")}
    if values["abuse_blocked"] == owned.host.abuse_blocked:
        del values["abuse_blocked"]  # setting it to False would lift a flag, too
    if (name := page.text("owner")) != owned.owner:
        user = await page.portal.store.read(lambda c: queries.user(c, name))
        values["owner_id"] = transfers.check_owner(user, name).id
    return values
