# SPDX-License-Identifier: GPL-3.0-or-later
"""One host: its state, and the actions of its owner."""

from typing import Any, NamedTuple

from starlette.responses import Response

from ddnsd.auth import secrets
from ddnsd.auth.permissions import Action, acts_for_domain, visible
from ddnsd.registry import names, transfers
from ddnsd.registry.errors import Invalid, Unconfirmed
from ddnsd.registry.hosts import Edit
from ddnsd.registry.rows import OwnedHost
from ddnsd.registry.status import DnsState
from ddnsd.registry.validation import Verb
from ddnsd.web.portal import access, forms, show_once
from ddnsd.web.portal.client_configs import (
    PLACEHOLDER,
    TSIG_PLACEHOLDER,
    Target,
    configurations,
    dns_configurations_of,
    secret_configurations,
)
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.presenters.charts import chart
from ddnsd.web.portal.presenters.host_history import HistoryView
from ddnsd.web.portal.presenters.host_status import FLAGGED, status_of
from ddnsd.web.portal.request import UNCONFIRMED, PageRequest
from ddnsd.web.portal.routing import get, post
from ddnsd.web.preconditions import host_tag

RECENT, SIZE = 5, 50
"""Entries of the history on the host's page, and on each page of the history."""

DAYS = 30
"""Days in the chart."""

FIELDS = ("fqdn", "ipv4", "ipv6", "alias", "comment", "ttl", "block_reason")
FLAGS = ("wildcard", "protect", "ptr", "available", "abuse_blocked", "quarantined")


async def show(page: PageRequest) -> Response:
    """The host's state and recent changes."""
    dns = page.portal.host_lists.dns_state()
    owned = await access.get_host(page, Action.OVERSEE)
    if acts_for_domain(page.caller_with_rights, owned.host):
        return await _show_to_domain_owner(page, owned, dns)
    host = owned.host
    state = status_of(host, dns.of(host))
    notices = await page.portal.host_lists.notices(host)
    activity = await page.portal.host_history.activity(host.id, _reader_id(page), recent=RECENT, days=DAYS)
    return page.render(
        "host/show.html",
        owned=owned,
        host=host,
        state=state,
        flagged=state is FLAGGED,
        chart=chart(activity.per_day),
        changes=[HistoryView.of(page.language, entry) for entry in activity.changes],
        contact=activity.last_request,
        warnings=page.explanations(notices.warnings),
        flapping_since=notices.flapping_since,
        pointers=[(one, page.explanations([one.reason])[0] if one.reason else "") for one in notices.pointers],
    )


async def _show_to_domain_owner(page: PageRequest, owned: OwnedHost, dns: DnsState) -> Response:
    """A host of another user: its state without the notes of its owner, and how to stop it."""
    host = visible(page.caller_with_rights, owned.host)
    contact = await page.portal.host_history.last_request(host.id)
    return page.render(
        "host/overseen.html",
        owner=owned.owner,
        host=host,
        state=status_of(host, dns.of(host)),
        contact=contact,
        tag=host_tag(host),
        may_change=host.blocked_by_domain or not host.abuse_blocked,
    )


async def show_history(page: PageRequest) -> Response:
    """A page of the host's history."""
    owned = await access.get_host(page)
    before = page.cursor("before") or None
    found = await page.portal.host_history.page(owned.host.id, _reader_id(page), before, SIZE)
    return page.render(
        "host/history.html",
        owned=owned,
        host=owned.host,
        pages=paginate(page, found.next, "before"),
        changes=[HistoryView.of(page.language, entry) for entry in found.items],
    )


async def show_configuration(page: PageRequest) -> Response:
    """Configurations of client programs, with a placeholder for the secret."""
    owned = await access.get_host(page, Action.EDIT)
    by_dns = dns_configurations_of(page.portal.update_port, owned.host)
    return page.render(
        "host/configuration.html",
        owned=owned,
        host=owned.host,
        configurations=[*configurations(Target(owned.host.fqdn, page.portal.base_url)), *by_dns],
        placeholder=PLACEHOLDER,
        tsig_placeholder=TSIG_PLACEHOLDER if by_dns else None,
        opened=page.query.get("client", "curl"),
    )


async def edit(page: PageRequest) -> Response:
    """The form of the host."""
    return await _form(page, await access.get_host(page, Action.EDIT))


async def save(page: PageRequest) -> Response:
    """Change the host to the values of the form. A new owner must be confirmed first."""
    owned = await access.get_host(page, Action.EDIT)
    fqdn, kind, done = names.fold(page.text("fqdn")), "done", page.gettext("Saved.")
    try:
        if (transfer := await _unconfirmed_transfer(page, owned)) is not None:
            return await _form(page, owned, transfer=transfer)
        await _save(page, owned, fqdn)
    except Invalid as error:
        return await _form(page, owned, page.reasons(error.fields))
    except Unconfirmed:
        kind, done = "warning", f"{done} {page.gettext(UNCONFIRMED)}"
    return page.redirect(f"/hosts/{fqdn}", done, kind)


async def remove(page: PageRequest) -> Response:
    """Remove the host."""
    host = (await access.get_host(page, Action.DELETE)).host
    expect = access.expect_host(page, Action.DELETE)
    for_domain = acts_for_domain(page.caller_with_rights, host)
    removal = page.portal.hosts.unregister(host, page.caller.user, page.client_ip, expect, for_domain=for_domain)
    path = f"/domains/{host.domain}/hosts" if for_domain else "/"
    return await page.saved(removal, path, page.gettext("%(name)s was removed.", name=host.fqdn))


async def block(page: PageRequest) -> Response:
    """Block the host, with a reason for its owner."""
    values = {"abuse_blocked": True, **forms.read(page, forms.BlockFields).model_dump()}
    return await _set_block(page, values, page.gettext("The host was blocked."))


async def unblock(page: PageRequest) -> Response:
    """Remove the block of the host."""
    return await _set_block(page, {"abuse_blocked": False}, page.gettext("The host was unblocked."))


async def _set_block(page: PageRequest, values: dict[str, Any], done: str) -> Response:
    host = (await access.get_host(page, Action.BLOCK)).host
    edit = Edit(
        values,
        page.caller.user,
        page.client_ip,
        access.expect_host(page, Action.BLOCK),
        oversight=page.admin,
        author=page.author,
        verb=Verb.BLOCK,
        for_domain=acts_for_domain(page.caller_with_rights, host),
    )
    return await page.saved(page.portal.edits.apply(host, edit), f"/hosts/{host.fqdn}", done)


async def replace_secret(page: PageRequest) -> Response:
    """Give the host a new secret."""
    host, secret = (await access.get_host(page, Action.ROTATE)).host, secrets.new_secret()
    return await show_once.create_and_redirect(
        page,
        f"/hosts/{host.fqdn}/secret",
        {"secret": secret},
        lambda: page.portal.hosts.new_secret(
            host, secrets.verifier(secret), page.caller.user, page.client_ip, page.author
        ),
    )


async def show_secret(page: PageRequest) -> Response:
    """The new secret, once, with configurations of clients."""
    owned = await access.get_host(page, Action.ROTATE)
    created = await show_once.take_content(page)
    secret, shown = created["secret"] if created else None, []
    if secret is not None:
        shown = secret_configurations(owned.host.fqdn, page.portal.base_url, secret)
        shown += dns_configurations_of(page.portal.update_port, owned.host, secret)
    return page.render(
        "host/secret.html",
        owned=owned,
        host=owned.host,
        fqdn=owned.host.fqdn,
        secret=secret,
        configurations=shown,
        tsig=page.portal.tsig_key(owned.host.fqdn, secret).get("tsig") if secret else None,
        opened="curl",
    )


async def lift_flag(page: PageRequest) -> Response:
    """Accept updates of a flagged host again."""
    host = (await access.get_host(page, Action.EDIT)).host
    await page.portal.hosts.lift_flag(host, page.author, access.expect_host(page, Action.EDIT))
    return page.redirect(f"/hosts/{host.fqdn}", page.gettext("The flag was removed. Updates are accepted again."))


def _reader_id(page: PageRequest) -> int | None:
    """The user whose part of the history is shown; None for administrators, who see all of it."""
    return None if page.admin else page.caller.user_id


# ---- the form


class _Transfer(NamedTuple):
    """A change of owner that needs a confirmation. `machines` stop unless secrets are kept; `given` confirms it."""

    keep: bool
    machines: int
    given: str


async def _unconfirmed_transfer(page: PageRequest, owned: OwnedHost) -> _Transfer | None:
    """The change of owner that the administrator must confirm, if any. Raises Invalid, StoreDown."""
    if not page.admin or (name := page.text("owner")) == owned.owner:
        return None
    keep = page.text("secrets") == transfers.KEEP
    given = f"{name} {transfers.KEEP if keep else transfers.REPLACE}"
    if page.form.get("confirmed") == given:
        return None
    await page.portal.transfers.new_owner(name)
    return _Transfer(keep, await page.portal.transfers.machines([owned.host]), given)


async def _form(
    page: PageRequest, owned: OwnedHost, errors: dict[str, str] | None = None, transfer: _Transfer | None = None
) -> Response:
    host = owned.host
    values: dict[str, Any] = {name: getattr(host, name) for name in (*FIELDS, *FLAGS)}
    values |= {"owner": owned.owner, "secrets": transfers.REPLACE}
    if errors or transfer:
        values = {name: page.text(name) for name in values} | {name: page.checked(name) for name in FLAGS}
    return page.render(
        "host/edit.html",
        422 if errors else 200,
        owned=owned,
        host=host,
        values=values,
        errors=errors or {},
        tag=page.text("tag") if transfer else host_tag(host),
        transfer=transfer,
    )


async def _save(page: PageRequest, owned: OwnedHost, fqdn: str) -> None:
    """Change the host to the values of the form. Raises what `Edits.apply` raises."""
    values: dict[str, Any] = {
        "wildcard": page.checked("wildcard"),
        "protect": page.checked("protect"),
        "ptr": page.checked("ptr"),
        **forms.read(page, forms.HostFields).model_dump(),
    }
    if page.admin:
        values |= _administrators_values(page, owned)
    try:
        rename = None if fqdn == owned.host.fqdn else (fqdn, await access.domain_around(page, fqdn))
        change = Edit(
            values,
            page.caller.user,
            page.client_ip,
            access.expect_host(page, Action.EDIT),
            rename=rename,
            tls=page.tls,
            oversight=page.admin,
            author=page.author,
            keep_secrets=page.text("secrets") == transfers.KEEP,
            caller=page.caller_with_rights,
        )
        await page.portal.edits.apply(owned.host, change)
    except Invalid as error:
        named = error.fields.pop("name", None)
        error.fields |= {"fqdn": named} if named else {}
        raise


def _administrators_values(page: PageRequest, owned: OwnedHost) -> dict[str, Any]:
    """The values that only administrators can set; the owner by name."""
    values: dict[str, Any] = {"available": page.checked("available"), "abuse_blocked": page.checked("abuse_blocked")}
    quarantined, before = page.checked("quarantined"), owned.host.quarantined
    if values["abuse_blocked"] or (quarantined and not before):
        values |= forms.read(page, forms.BlockFields).model_dump()
    if quarantined != before and (quarantined or values["abuse_blocked"]):  # the end of a block ends the quarantine
        values["quarantined"] = quarantined
    still_blocked = values["abuse_blocked"] and values["block_reason"] != owned.host.block_reason
    if values["abuse_blocked"] == owned.host.abuse_blocked and not still_blocked:
        del values["abuse_blocked"]  # False would lift a flag, too, and True take over a block of the domain's owner
    if (name := page.text("owner")) != owned.owner:
        values["owner"] = name
    return values


ROUTES = [
    get("/hosts/{fqdn}", show),
    get("/hosts/{fqdn}/history", show_history),
    get("/hosts/{fqdn}/configuration", show_configuration),
    get("/hosts/{fqdn}/edit", edit),
    post("/hosts/{fqdn}/edit", save),
    post("/hosts/{fqdn}/remove", remove),
    post("/hosts/{fqdn}/block", block),
    post("/hosts/{fqdn}/unblock", unblock),
    get("/hosts/{fqdn}/secret", show_secret),
    post("/hosts/{fqdn}/secret", replace_secret),
    post("/hosts/{fqdn}/lift", lift_flag),
]
