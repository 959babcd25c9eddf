# SPDX-License-Identifier: GPL-3.0-or-later
"""Every route of the REST API, with its rule; `test_token_limits` compares it with the OpenAPI document."""

import secrets
from typing import NamedTuple

from support.clients.rest_api import Content

# The rules:
#   public   needs no token of a user
#   own      concerns the caller alone
#   account  concerns the caller's whole account: a limited token is refused with 403
#   service  concerns the whole service: a limited token is refused with 403
#   list     shows what lies within the limits
#   host, domain, request, token, key, dhcp-key
#            concerns one thing: within the limits it succeeds, beyond them there is nothing (404; 403 for a token)
#   webhook  concerns a webhook of the caller's own; a limited token is refused with 403
#   stack    concerns one stack of the caller's own
#   lease    concerns the lease of a stack of the caller's own, which need not exist
#   new      makes something: within the limits it succeeds, beyond them it is refused

SECRET = secrets.token_urlsafe(32)
WEBHOOK_TARGET = "http://127.0.0.1:9/"
"""Nobody listens there."""

ROUTES: dict[tuple[str, str], tuple[str, Content | None]] = {
    ("GET", "/api"): ("public", None),
    ("GET", "/api/status"): ("public", None),
    ("POST", "/api/enrol"): ("public", {"secret": SECRET}),
    ("GET", "/api/users/me"): ("own", None),
    ("GET", "/api/users/me/events"): ("own", None),
    ("GET", "/api/users/me/export"): ("account", None),
    ("DELETE", "/api/users/me"): ("account", None),
    ("GET", "/api/hosts"): ("list", None),
    ("POST", "/api/hosts"): ("new", {}),
    ("GET", "/api/hosts/{fqdn}"): ("host", None),
    ("PATCH", "/api/hosts/{fqdn}"): ("host", {"comment": "x", "available": True}),
    ("DELETE", "/api/hosts/{fqdn}"): ("host", None),
    ("POST", "/api/hosts/{fqdn}/secret"): ("host", None),
    ("POST", "/api/hosts/{fqdn}/verify-secret"): ("host", {"secret": "x"}),
    ("GET", "/api/hosts/{fqdn}/ipv4"): ("host", None),
    ("GET", "/api/hosts/{fqdn}/ipv6"): ("host", None),
    ("GET", "/api/hosts/{fqdn}/history"): ("host", None),
    ("GET", "/api/hosts/{fqdn}/history/days"): ("host", None),
    ("GET", "/api/hosts/{fqdn}/contact"): ("host", None),
    ("GET", "/api/hosts/{fqdn}/related"): ("host", None),
    ("PUT", "/api/hosts/{fqdn}/related/{label}"): ("host", {"interface_id": "::7"}),
    ("DELETE", "/api/hosts/{fqdn}/related/{label}"): ("host", None),
    ("GET", "/api/hosts/{fqdn}/records"): ("host", None),
    ("PUT", "/api/hosts/{fqdn}/records/{name}/{rtype}"): ("host", {"values": ['"x"']}),
    ("PATCH", "/api/hosts/{fqdn}/records/{name}/{rtype}"): ("host", {"add": ['"x"']}),
    ("DELETE", "/api/hosts/{fqdn}/records/{name}/{rtype}"): ("host", None),
    ("GET", "/api/hosts/{fqdn}/certificate"): ("host", None),
    ("POST", "/api/hosts/{fqdn}/certificate"): ("host", {"csr": "x"}),
    ("POST", "/api/hosts/{fqdn}/enrolments"): ("host", {}),
    ("POST", "/api/verify-secrets"): ("list", {"secrets": {"www.example.org": "x"}}),
    ("POST", "/api/changes"): ("new", {}),
    ("GET", "/api/domains"): ("list", None),
    ("POST", "/api/domains"): ("service", {"name": "made.example.org"}),
    ("GET", "/api/domains/{name}"): ("domain", None),
    ("PATCH", "/api/domains/{name}"): ("domain", {"comment": "x"}),
    ("DELETE", "/api/domains/{name}"): ("domain", None),
    ("GET", "/api/domains/{name}/ds"): ("domain", None),
    ("GET", "/api/domains/{name}/members"): ("domain", None),
    ("GET", "/api/domain-requests"): ("list", None),
    ("POST", "/api/domain-requests"): ("new", {}),
    ("GET", "/api/domain-requests/{id}"): ("request", None),
    ("DELETE", "/api/domain-requests/{id}"): ("request", None),
    ("POST", "/api/domain-requests/{id}/approve"): ("service", {}),
    ("POST", "/api/domain-requests/{id}/decline"): ("service", {"answer": "No."}),
    ("GET", "/api/tokens"): ("list", None),
    ("POST", "/api/tokens"): ("new", {}),
    ("GET", "/api/tokens/{id}"): ("token", None),
    ("DELETE", "/api/tokens/{id}"): ("token", None),
    ("GET", "/api/keys"): ("list", None),
    ("POST", "/api/keys"): ("new", {}),
    ("GET", "/api/keys/{login}"): ("key", None),
    ("PATCH", "/api/keys/{login}"): ("key", {"name": "k"}),
    ("DELETE", "/api/keys/{login}"): ("key", None),
    ("GET", "/api/dhcp-keys"): ("list", None),
    ("POST", "/api/dhcp-keys"): ("new", {}),
    ("GET", "/api/dhcp-keys/{name}"): ("dhcp-key", None),
    ("DELETE", "/api/dhcp-keys/{name}"): ("dhcp-key", None),
    ("GET", "/api/webhooks"): ("account", None),
    ("POST", "/api/webhooks"): ("account", {"name": "w", "url": WEBHOOK_TARGET, "types": ["host.deleted"]}),
    ("GET", "/api/webhooks/{id}"): ("webhook", None),
    ("PATCH", "/api/webhooks/{id}"): ("webhook", {"name": "x"}),
    ("DELETE", "/api/webhooks/{id}"): ("webhook", None),
    ("POST", "/api/webhooks/{id}/secret"): ("webhook", None),
    ("POST", "/api/webhooks/{id}/test"): ("webhook", None),
    ("GET", "/api/webhooks/{id}/deliveries"): ("webhook", None),
    ("POST", "/api/webhooks/{id}/deliveries/{message}/redelivery"): ("webhook", None),
    ("GET", "/api/stacks"): ("list", None),
    ("GET", "/api/stacks/{name}"): ("stack", None),
    ("PATCH", "/api/stacks/{name}"): ("account", {"protect": False}),
    ("POST", "/api/stacks/{name}/lease"): ("lease", {}),
    ("PUT", "/api/stacks/{name}/lease"): ("lease", None),
    ("DELETE", "/api/stacks/{name}/lease"): ("lease", None),
    ("POST", "/api/stacks/{name}/lease/secrets"): ("lease", None),
    ("GET", "/api/users"): ("service", None),
    ("POST", "/api/users"): ("service", {"name": "made", "admin": True}),
    ("GET", "/api/users/{name}"): ("service", None),
    ("GET", "/api/users/{name}/export"): ("service", None),
    ("PATCH", "/api/users/{name}"): ("service", {"admin": True}),
    ("DELETE", "/api/users/{name}"): ("service", None),
    ("DELETE", "/api/users/{name}/second-factor"): ("service", None),
    ("GET", "/api/events"): ("list", None),
    ("GET", "/api/deny"): ("service", None),
    ("POST", "/api/deny"): ("service", {"kind": "name", "value": "made-by-a-limited-token"}),
    ("GET", "/api/deny/{id}"): ("service", None),
    ("DELETE", "/api/deny/{id}"): ("service", None),
    ("GET", "/api/abuse-reports"): ("service", None),
    ("GET", "/api/abuse-reports/{id}"): ("service", None),
    ("POST", "/api/abuse-reports/{id}/block"): ("service", {}),
    ("POST", "/api/abuse-reports/{id}/quarantine"): ("service", {}),
    ("POST", "/api/abuse-reports/{id}/dismiss"): ("service", {}),
    ("GET", "/api/quotas"): ("service", None),
    ("PUT", "/api/quotas"): ("service", {"group": "made-by-a-limited-token", "quota": "keys_per_user", "limit": 1}),
}

WITHOUT_AUTHORITY = {
    ("GET", "/api/hosts/{fqdn}/certificate"): 404,
    ("POST", "/api/hosts/{fqdn}/certificate"): 422,
}
"""Calls that nobody can complete without an authority for certificates, and their status for permitted callers."""

READING = {("POST", "/api/hosts/{fqdn}/verify-secret"), ("POST", "/api/verify-secrets")}
"""Calls that change nothing, although they are no GET."""


class PathValues(NamedTuple):
    """The variables of paths for one thing of each kind."""

    fqdn: str = ""
    domain: str = ""
    request: str = ""
    token: str = ""
    login: str = ""
    dhcp_key: str = "nothing"
    user: str = "admin"
    denial: str = "1"
    report: str = "1"
    stack: str = "nothing"
    webhook: str = "1"
    message: str = "1"

    def path(self, template: str) -> str:
        """The path below `/api`."""
        thing = [*template.split("/"), ""][2]
        ids = {"domain-requests": self.request, "tokens": self.token, "deny": self.denial, "abuse-reports": self.report}
        ids["webhooks"] = self.webhook
        names = {"domains": self.domain, "users": self.user, "stacks": self.stack, "dhcp-keys": self.dhcp_key}
        filled = template.removeprefix("/api").replace("{name}/{rtype}", "@/TXT").replace("{label}", "r")
        filled = filled.replace("{fqdn}", self.fqdn).replace("{login}", self.login)
        filled = filled.replace("{message}", self.message)
        return filled.replace("{name}", names.get(thing, "")).replace("{id}", ids.get(thing, ""))
