# SPDX-License-Identifier: GPL-3.0-or-later
"""The attacks that the tests try, by kind: files, or tests in files, below `tests/`.

`pytest --attacks` prints at its end how many of each kind were tried, and how many the product withstood.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

ATTACKS: Mapping[str, tuple[str, ...]] = {
    "calls without the right to make them": (
        "conformance/test_route_callers.py",
        "conformance/test_token_limits.py",
        "conformance/test_nic_callers.py",
        "conformance/test_domain_owners.py",
        "portal/test_domain_owners.py",
        "conformance/test_own_data.py",
        "portal/test_own_data.py",
        "conformance/test_update_callers.py",
        "portal/test_access.py",
        "unit/registry/test_token_scope.py",
    ),
    "forms and links of other sites": (
        "portal/test_shell.py::test_a_form_without_the_sessions_csrf_changes_nothing",
        "portal/test_shell.py::test_another_users_csrf_changes_nothing",
        "portal/test_shell.py::test_a_form_from_another_site_changes_nothing",
        "portal/test_shell.py::test_nothing_leads_to_another_site",
        "portal/test_shell.py::test_cookies_are_no_credentials_elsewhere",
        "portal/test_signin.py::test_a_form_of_another_site_signs_nobody_out",
        "portal/test_signin.py::test_no_link_of_others_adds_an_identity",
        "portal/test_signin.py::test_nobody_is_led_elsewhere",
        "unit/auth/oidc/test_login_state.py",
    ),
    "forged sign-ins and access tokens": (
        "portal/test_signin.py::test_what_comes_back_is_what_was_sent",
        "portal/test_signin.py::test_only_the_browser_that_began_comes_back",
        "portal/test_signin.py::test_a_code_is_of_use_only_with_its_verifier",
        "portal/test_signin.py::test_a_code_is_of_use_once",
        "portal/test_signin.py::test_an_administrator_without_a_second_factor_adds_no_identity",
        "portal/test_signin.py::test_a_logout_that_the_provider_did_not_send",
        "unit/auth/oidc/test_login.py",
        "unit/auth/oidc/test_introspection.py",
        "unit/auth/oidc/test_backchannel.py",
        "unit/auth/oidc/test_claims.py",
        "integration/test_access_tokens.py",
    ),
    "passkeys of other sites, users, devices and moments": (
        "portal/test_passkeys.py::test_other_origins_are_refused",
        "portal/test_passkeys.py::test_passkeys_of_other_users_are_refused",
        "portal/test_passkeys.py::test_an_answer_works_once_and_in_its_browser",
        "portal/test_passkeys.py::test_the_answer_to_one_question_is_none_to_another",
        "portal/test_passkeys.py::test_the_password_must_be_given_before_the_second_factor",
        "portal/test_passkeys.py::test_without_verification_a_passkey_is_only_a_second_factor",
        "portal/test_passkeys.py::test_a_counter_does_not_go_back",
        "portal/test_passkeys.py::test_a_removed_passkey_is_refused",
        "portal/test_passkeys.py::test_a_disabled_user_is_not_let_in_by_a_passkey",
        "portal/test_passkeys.py::test_a_new_passkey_is_made_in_the_session_that_asked",
        "portal/test_passkeys.py::test_a_real_counter_that_goes_back",
        "portal/test_passkeys.py::test_another_page_cannot_ask_for_it",
        "unit/auth/test_passkeys.py::test_passkeys_of_other_sites_are_not_added",
        "unit/auth/test_passkeys.py::test_a_passkey_is_not_added_for_another_challenge",
        "unit/auth/test_passkeys.py::test_wrong_answers",
        "unit/auth/test_passkeys.py::test_answers_to_other_questions",
        "unit/auth/test_passkeys.py::test_damaged_answers",
        "unit/auth/test_passkeys.py::test_small_answers_that_take_years",
        "unit/auth/test_passkeys.py::test_a_sign_in_that_takes_years",
    ),
    "guesses of passwords and secrets": (
        "conformance/test_many_failures.py",
        "portal/test_signin.py::test_failures_lock",
        "portal/test_signin.py::test_guesses_from_forty_networks",
        "portal/test_passkeys.py::test_failures_stop_nobody_else",
        "portal/test_passkeys.py::test_a_flood_from_the_same_address_stops_nobody",
        "portal/test_passkeys.py::test_wrong_passkeys_after_the_password_are_failed_sign_ins",
        "portal/test_signin.py::test_refused_codes_stop_nobody_else_at_the_address",
        "unit/auth/test_failure_counter.py",
    ),
    "values, headers and bodies that no client sends": (
        "conformance/test_bad_input.py",
        "conformance/test_api_schema.py",
        "conformance/test_api_problems.py",
        "portal/test_bad_forms.py",
    ),
    "large bodies, many headers, slow and silent clients": (
        "conformance/test_connection_limits.py",
        "conformance/test_large_bodies.py",
        "unit/web/test_http_protocol.py",
        "unit/web/test_bulk_turns.py",
    ),
    "more hosts, tokens and changes than one user may have": ("conformance/test_quotas.py",),
    "names around those of others, and names with a meaning": (
        "conformance/test_names_above_others.py",
        "conformance/test_domain_above_hosts.py",
        "conformance/test_reserved_names.py",
        "unit/registry/test_names_around.py",
    ),
    "denied addresses in other spellings": ("conformance/test_api_deny.py", "unit/registry/test_denylist.py"),
    "rights that have ended": (
        "conformance/test_owners.py",
        "portal/test_signin.py::test_rights_end_and_a_new_sign_in_brings_them_back",
    ),
    "pages of the local network that an updater reads": ("unit/ddns_update/test_router.py",),
}


class Result(NamedTuple):
    """How many attacks of a kind were tried, and how many the product withstood."""

    tried: int
    held: int


def results(held: Iterable[str], failed: Iterable[str]) -> dict[str, Result]:
    """The results by kind, from the ids of tests; kinds of which nothing was tried are left out."""
    passes, failures = Counter(map(_kind, held)), Counter(map(_kind, failed))
    return {
        kind: Result(passes[kind] + failures[kind], passes[kind]) for kind in ATTACKS if passes[kind] + failures[kind]
    }


def _kind(test: str) -> str | None:
    name = test.partition("[")[0].removeprefix("tests/")
    file = name.partition("::")[0]
    return next((kind for kind, tests in ATTACKS.items() if name in tests or file in tests), None)
