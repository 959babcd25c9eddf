# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that only insiders understood are gone: each row is (former name, where it was, the field's word for it)."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = ("src", "plugins", "tests/support", "extensions/molecule/machines")

MODULES = {
    "faces": "web",
    "zones": "dns",
    "identity": "auth",
    "store": "db",
    "judging": "validation",
    "writing": "change_store",
    "contacts": "last_seen",
    "denials": "denylist",
    "members": "identities",
    "fit": "packing",
    "compose": "update_builder",
    "questions": "query",
    "tally": "future_group",
    "statement": "zone_config",
    "batches": "bulk_sql",
    "lines": "string_agg",
    "answers": "idempotency",
    "oversight": "admin_stats",
    "overview": "host_search",
    "trimming": "retention",
    "upkeep": "retention",
    "housekeeping": "retention",
    "refusals": "error_pages",
    "standing": "host_status",
    "telling": "host_history",
    "quoting": "escaping",
    "texts": "messages",
    "catalogue": "client_configs",
    "asking": "domain_requests",
    "sinks": "secret_writer",
    "words": "return_codes",
    "carry_out": "execute",
    "marker": "comment_marker",
    "nochg_rate": "rate_limiter",
    "parts": "support",
    "applying": "execution",
    "planning": "saved_plans",
    "importing": "import_",
    "showing": "show",
    "formatting": "fmt",
    "firstboot": "user_data",
    "userdata": "cloud_init",
    "dnsquery": "query",
    "yamlfile": "reader",
    "emit": "writer",
    "layout": "formatter",
}
"""Modules and packages. `views/overview.py` is the portal's overview page and keeps its name."""

CLASSES = {
    "UpdateWords": "Dyndns2Views",
    "Management": "EgiApi",
    "Wanted": "AddressUpdate",
    "Wish": "HostUpdate",
    "Settled": "Confirmed",
    "Judge": "ChangeValidator",
    "Known": "Snapshot",
    "Rights": "Permissions",
    "Guard": "LoginThrottle",
    "NochgRate": "RateLimiter",
    "Attempt": "LoginState",
    "Fetched": "CachedFetch",
    "Presented": "OidcIdentity",
    "Members": "Identities",
    "Contacts": "LastSeen",
    "Denials": "StoredDenyList",
    "Tally": "FutureGroup",
    "Primary": "PrimaryConnection",
    "Watch": "ZoneMonitor",
    "Leaving": "NewRemoval",
    "Place": "DatabaseName",
    "Visit": "PageRequest",
    "Standing": "HostStatus",
    "Sinks": "SecretWriter",
    "_Making": "PlanBuilder",
    "Mark": "Sentinel",
    "Layout": "YamlLayout",
    "Asker": "UdpClient",
}

FUNCTIONS = {
    "judge": "validate",
    "holds": "is_published",
    "publish": "push_host",
    "follow": "push_bulk",
    "survive": "run_safely",
    "write_wishes": "write_host_updates",
    "departures": "new_removals",
    "names_leaving": "names_being_removed",
    "may_name": "is_name_allowed",
    "visit": "page",
    "arrive": "load_request",
    "stranger": "anonymous",
    "reach": "get_or_404",
    "expecting": "precondition",
    "standing": "status_of",
    "carry_out": "execute",
    "left_over": "remaining_work",
}

KEPT = {
    ("overview", "src/ddnsd/web/portal/views/overview.py"),
    ("follow", "tests/support/browser/portal.py"),  # a link
    ("lines", "tests/support/ansible/callback/lines.py"),  # the output is lines of JSON
}


def _files() -> Iterator[Path]:
    for place in PLACES:
        yield from (file for file in (ROOT / place).rglob("*.py") if "__pycache__" not in file.parts)


def _former_names(file: Path) -> Iterator[str]:
    yield from {file.stem, *(folder.name for folder in file.parents if ROOT in folder.parents)} & MODULES.keys()
    for node in ast.walk(ast.parse(file.read_text())):
        former = CLASSES if isinstance(node, ast.ClassDef) else FUNCTIONS
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from {node.name, node.name.lstrip("_")} & former.keys()


def test_former_names_are_gone() -> None:
    found = {(name, str(file.relative_to(ROOT))) for file in _files() for name in _former_names(file)}
    assert found - KEPT == set()


def test_exceptions_are_needed() -> None:
    found = {(name, str(file.relative_to(ROOT))) for file in _files() for name in _former_names(file)}
    assert found >= KEPT
