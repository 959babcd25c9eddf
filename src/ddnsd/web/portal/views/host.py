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
from ddnsd.web.portal.presenters.host_status import FLAGGED, standing
from ddnsd.web.portal.request import UNCONFIRMED, Visit, get, post

RECENT, SIZE = 5, 50
"""Entries of the history on the first page, and on each of its own."""

DAYS = 30
"""Days in the chart."""

FIELDS = ("fqdn", "ipv4", "ipv6", "comment", "ttl")


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(visit: Visit) -> Response:
        seen = Seen(portal.writer)
        owned = await access.host(visit)
        host = owned.host
        stands = standing(host, seen.dns(host))
        entries, days, found = await portal.store.read(
            lambda c: (
                history.page(c, host.id, RECENT, reader_id=_reader(visit)),
                history.per_day(c, host.id, DAYS, reader_id=_reader(visit)),
                last_seen.of(c, [host.id]),
            )
        )
        return visit.render(
            "host/show.html",
            owned=owned,
            host=host,
            stands=stands,
            flagged=stands is FLAGGED,
            chart=chart(days),
            told=[told(visit.language, entry) for entry in entries],
            contact=portal.contacts.last(host.id, found.get(host.id)),
        )

    async def show_history(visit: Visit) -> Response:
        owned = await access.host(visit)
        text = visit.query.get("before", "")
        before = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
        entries = await portal.store.read(
            lambda c: history.page(c, owned.host.id, SIZE + 1, before=before, reader_id=_reader(visit))
        )
        return visit.render(
            "host/history.html",
            owned=owned,
            host=owned.host,
            before=before,
            more=len(entries) > SIZE,
            told=[told(visit.language, entry) for entry in entries[:SIZE]],
        )

    async def form(visit: Visit) -> Response:
        return await _form(visit, await access.host(visit, Action.EDIT))

    async def edit(visit: Visit) -> Response:
        owned = await access.host(visit, Action.EDIT)
        _, kind, said = visit.gettext, "done", visit.gettext("Saved.")
        try:
            if (transfer := await _unconfirmed(visit, owned)) is not None:
                return await _form(visit, owned, transfer=transfer)
            fqdn = await _edit(visit, owned)
        except Invalid as error:
            return await _form(visit, owned, visit.reasons(error.fields))
        except Unconfirmed:
            fqdn, kind = names.fold(visit.text("fqdn")), "warning"
            said = f"{said} {_(UNCONFIRMED)}"
        return visit.redirect(f"/hosts/{fqdn}", said, kind)

    async def remove(visit: Visit) -> Response:
        owned = await access.host(visit, Action.DELETE)
        gone = portal.hosts.unregister(
            owned.host, visit.caller.user, visit.source, access.expecting(visit, Action.DELETE)
        )
        return await visit.saved(gone, "/", visit.gettext("%(name)s was removed.", name=owned.host.fqdn))

    async def new_secret(visit: Visit) -> Response:
        owned = await access.host(visit, Action.ROTATE)
        secret = secrets.new_secret()
        return await hand_over(
            visit,
            f"/hosts/{owned.host.fqdn}/secret",
            {"secret": secret},
            lambda: portal.hosts.new_secret(
                owned.host, secrets.digest(secret), visit.caller.user, visit.source, visit.author
            ),
        )

    async def show_secret(visit: Visit) -> Response:
        owned = await access.host(visit, Action.ROTATE)
        made = await handed_over(visit)
        shown = configurations(Target(owned.host.fqdn, portal.base_url, made["secret"])) if made else []
        return visit.render(
            "host/secret.html",
            owned=owned,
            host=owned.host,
            fqdn=owned.host.fqdn,
            secret=made and made["secret"],
            configurations=shown,
            opened="curl",
        )

    async def lift(visit: Visit) -> Response:
        owned = await access.host(visit, Action.EDIT)
        await portal.hosts.lift_flag(owned.host, visit.author, access.expecting(visit, Action.EDIT))
        return visit.redirect(
            f"/hosts/{owned.host.fqdn}", visit.gettext("The flag is lifted: updates are taken again.")
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


def _reader(visit: Visit) -> int | None:
    """Whose part of a history it is: an administrator reads all of it."""
    return None if visit.admin else visit.caller.user_id


class _Transfer(NamedTuple):
    """A host that is about to be given away: how many machines stop unless secrets are kept; `given` confirms it."""

    keep: bool
    machines: int
    given: str


async def _unconfirmed(visit: Visit, owned: OwnedHost) -> _Transfer | None:
    """What an administrator must confirm before the host is changed; None for nothing. Raises Invalid."""
    if not visit.admin or (name := visit.text("owner")) == owned.owner:
        return None
    keep = visit.text("secrets") == transfers.KEEP
    given = f"{name} {transfers.KEEP if keep else transfers.REPLACE}"
    if visit.form.get("confirmed") == given:
        return None
    user = await visit.portal.store.read(lambda c: queries.user(c, name))
    transfers.check_owner(user, name)
    await visit.portal.contacts.write()
    machines = await visit.portal.store.read(lambda c: transfers.machines(c, [owned.host]))
    return _Transfer(keep, machines, given)


async def _form(
    visit: Visit, owned: OwnedHost, errors: dict[str, str] | None = None, transfer: _Transfer | None = None
) -> Response:
    host = owned.host
    values: dict[str, Any] = {name: getattr(host, name) for name in (*FIELDS, "wildcard", "available", "abuse_blocked")}
    values |= {"owner": owned.owner, "secrets": transfers.REPLACE}
    if errors or transfer:
        boxes = {name: visit.checked(name) for name in ("wildcard", "available", "abuse_blocked")}
        values |= {name: visit.text(name) for name in (*FIELDS, "owner", "secrets")} | boxes
    status = 422 if errors else 200
    return visit.render(
        "host/edit.html",
        status,
        owned=owned,
        host=host,
        values=values,
        errors=errors or {},
        tag=visit.text("tag") if transfer else host_tag(host),
        transfer=transfer,
    )


async def _edit(visit: Visit, owned: OwnedHost) -> str:
    """Change the host as the form has it; answers its name. Raises what `Edits.apply` raises."""
    host, fqdn = owned.host, names.fold(visit.text("fqdn"))
    values: dict[str, Any] = {
        "wildcard": visit.checked("wildcard"),
        "comment": given.comment(visit.text("comment")),
        "ttl": given.ttl(visit.text("ttl")),
    } | {family: given.address(family, visit.text(family)) for family in host_columns.FAMILIES}
    if visit.admin:
        values |= await _of_administrators(visit, owned)
    try:
        rename = None if fqdn == host.fqdn else (fqdn, await access.domain_around(visit, fqdn))
        edit = Edit(
            values,
            visit.caller.user,
            visit.source,
            access.expecting(visit, Action.EDIT),
            rename=rename,
            tls=visit.tls,
            oversight=visit.admin,
            author=visit.author,
            keep_secrets=visit.text("secrets") == transfers.KEEP,
        )
        return (await visit.portal.edits.apply(host, edit)).fqdn
    except Invalid as error:
        named = error.fields.pop("name", None)
        error.fields |= {"fqdn": named} if named else {}
        raise


async def _of_administrators(visit: Visit, owned: OwnedHost) -> dict[str, Any]:
    values: dict[str, Any] = {"available": visit.checked("available"), "abuse_blocked": visit.checked("abuse_blocked")}
    if values["abuse_blocked"] == owned.host.abuse_blocked:
        del values["abuse_blocked"]  # setting it to False would lift a flag, too
    if (name := visit.text("owner")) != owned.owner:
        user = await visit.portal.store.read(lambda c: queries.user(c, name))
        values["owner_id"] = transfers.check_owner(user, name).id
    return values
