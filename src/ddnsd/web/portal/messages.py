# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of the registry, and of obstacles in DNS, as sentences in the user's language."""

from collections.abc import Iterator

from ddnsd.auth.passwords import Weakness
from ddnsd.dns.conflicts import Kind, Obstacle
from ddnsd.registry.errors import Code, Parameter, Reason
from ddnsd.web.portal.i18n import N_, Language

NOTHING_HERE = N_("This page does not exist, was removed or renamed, or you may not see it.")

MESSAGES = {
    Code.NAME_INVALID: N_("%(name)s is not a full name such as www.example.org."),
    Code.NAME_IS_REVERSE: N_(
        "%(domain)s is a zone for reverse lookups. You cannot add hosts there. Choose another domain."
    ),
    Code.WEBHOOKS_OFF: N_("This service has no key for the secrets of webhooks, so there are none."),
    Code.FLEETS_OFF: N_("This service has no key to encrypt fleet keys, so there are no fleets."),
    Code.DHCP_KEYS_OFF: N_("This service has no port for DNS UPDATE, so DHCP keys cannot be used."),
    Code.NAME_OF_MEMBERS: N_(
        "Names in %(domain)s belong to computers of the realm %(realm)s. You cannot add hosts there. Choose another "
        "domain."
    ),
    Code.NAME_TAKEN: N_("A host with this name and domain already exists."),
    Code.ADDRESS_INVALID: N_("A host cannot have the address %(address)s."),
    Code.ADDRESS_OF_OTHER_FAMILY: N_("%(address)s is not a single IPv%(version)s address."),
    Code.PEER_UNKNOWN: N_("The service cannot see your address. Enter the address of the host."),
    Code.TEXT_TOO_LONG: N_("Enter at most %(limit)s characters."),
    Code.LIST_EMPTY: N_("Choose at least one."),
    Code.LIST_TOO_LONG: N_("Enter at most %(limit)s."),
    Code.QUARANTINE_WITHOUT_ADDRESSES: N_("The operator has configured no addresses for quarantine."),
    Code.PREFIX_INVALID: N_(
        "%(name)s is not valid. Enter @, or labels of which the last one begins with an underscore, such as _443._tcp "
        "or sel._domainkey."
    ),
    Code.VALUE_INVALID: N_("%(value)s is not a valid %(rtype)s value. Example: %(example)s"),
    Code.HOSTS_OVER_QUOTA: N_(
        "You have reached the limit for hosts (%(limit)s). Remove one first, or ask the operator for more."
    ),
    Code.HOSTS_IN_DOMAIN_OVER_QUOTA: N_(
        "You have reached the limit for hosts in %(domain)s (%(limit)s). Remove one first, or ask the operator for "
        "more."
    ),
    Code.TOKENS_OVER_QUOTA: N_(
        "You have reached the limit for tokens (%(limit)s). Revoke one first, or ask the operator for more."
    ),
    Code.KEYS_OVER_QUOTA: N_(
        "You have reached the limit for keys (%(limit)s). Revoke one first, or ask the operator for more."
    ),
    Code.CHANGES_OVER_QUOTA: N_(
        "The limit is %(limit)s changes of a host within an hour. Try again in %(seconds)s seconds."
    ),
    Code.RECORD_CHANGES_OVER_QUOTA: N_(
        "The limit is %(limit)s changes of a host's records within an hour. Try again in %(seconds)s seconds."
    ),
    Code.API_WRITES_OVER_QUOTA: N_("The limit is %(limit)s changes within a minute. Try again in %(seconds)s seconds."),
    Code.ANSWERS_OVER_QUOTA: N_("The answers to your calls take %(limit)s MB, and no more are stored."),
    Code.QUOTA_OF_USERS: N_("%(name)s is not counted by domain. Set it for a user or a group."),
    Code.QUOTA_SUBJECT: N_("Enter a user, a group or a domain."),
    Code.RELATED_NOT_A_LABEL: N_("%(label)s is not a single label."),
    Code.INTERFACE_ID_INVALID: N_("%(interface_id)s is not an interface id such as ::7."),
    Code.USER_OWNS: N_("%(user)s owns hosts or domains. Remove them first, or give them to another user."),
    Code.USER_DELETES_SELF: N_("You cannot remove yourself here. Delete your account on its own page."),
    Code.USER_OWNS_DOMAINS: N_(
        "%(user)s owns these domains: %(domains)s. Remove them first, or ask an administrator to give them to another "
        "user."
    ),
    Code.RIGHTS_END: N_(
        "Your tokens lose groups or administrator rights at %(at)s. Sign in with your identity provider before."
    ),
    Code.NAME_PATTERN_INVALID: N_("%(pattern)s is not a name or a pattern such as *.example.org."),
    Code.SCOPE_EXCEEDED: N_("You can give at most the rights that you have yourself: %(limit)s."),
    Code.SCOPE_ENDS_EARLIER: N_("Sign in again to create a token that lasts longer than this session."),
    Code.EXPIRY_TOO_LATE: N_("The operator of this service allows tokens for at most %(limit)s days."),
    Code.EXPIRY_INVALID: N_("%(value)s is not a time with a UTC offset, such as 2030-01-31T12:00:00Z."),
    Code.IDENTITY_IS_LAST: N_("This is the only way to sign in. Add another one first."),
    Code.IDENTITY_INACTIVE: N_("Your account is disabled. Ask an administrator."),
    Code.IDENTITY_SUSPENDED: N_("Your account is suspended: %(reason)s"),
    Code.DOMAIN_HIDES_HOST: N_("The name of the host %(host)s is in %(domain)s. Rename or remove the host first."),
    Code.DOMAIN_HAS_HOSTS: N_("%(domain)s has hosts. Remove them first."),
    Code.DOMAIN_HAS_REMOVALS: N_(
        "Records of removed hosts are still in %(domain)s. Try again when its name server answers."
    ),
    Code.PRIMARY_INVALID: N_("%(primary)s is not ADDRESS:PORT. Write an IPv6 address in brackets."),
    Code.PRIMARY_WITHOUT_KEY: N_("Enter both the primary and the key of an existing zone."),
    Code.KEY_OF_OWN_ZONE: N_("The zone of %(domain)s has its own key. Do not enter a key."),
    Code.POLICY_INVALID: N_("%(policy)s is not a valid name for a DNSSEC policy. Use letters, digits, -, _ and dots."),
    Code.POLICY_UNKNOWN: N_("BIND does not know the DNSSEC policy %(policy)s."),
    Code.POLICY_OF_EXISTING_ZONE: N_("An existing zone is signed on its own server. Do not enter a policy."),
    Code.BIND_MISSING: N_(
        "This service does not control a BIND, so it cannot create a zone. "
        "Enter the primary and the key of an existing zone."
    ),
    Code.REPORTED_HOST_GONE: N_("The host %(host)s was removed after the report. Dismiss the report."),
    Code.REPORT_NOT_FOUND: NOTHING_HERE,
    Code.NETWORK_INVALID: N_("%(network)s is not an address or a network such as 192.0.2.0/24."),
    Code.HOST_NOT_FOUND: NOTHING_HERE,
    Code.DOMAIN_NOT_FOUND: NOTHING_HERE,
    Code.REQUEST_NOT_FOUND: NOTHING_HERE,
    Code.DENIAL_NOT_FOUND: NOTHING_HERE,
    Code.CREDENTIAL_NOT_FOUND: NOTHING_HERE,
    Code.USER_NOT_FOUND: NOTHING_HERE,
    Code.STALE: N_("Someone else changed this while you were editing. Load the page again and repeat your change."),
    Code.OTHER_CHANGE_FAILED: N_("Another change failed, so nothing was changed."),
    Code.NOT_PUBLISHED: N_("The name server does not answer correctly: %(cause)s. Try again in a minute."),
    Code.HOST_REFUSED: N_("The name server refused this host: %(cause)s."),
    Code.UNCONFIRMED: N_("The name server did not confirm it: %(cause)s. The service keeps trying."),
    Code.SCHEMA: N_("The request is not valid: %(text)s"),
}
"""The codes for which a page says something else than the code itself."""


def message(code: Code) -> str:
    """The English sentence of a page, with parameters."""
    return MESSAGES.get(code, code.value)


def enum_messages() -> Iterator[str]:
    """The sentences that pages take from enums of other packages, for the catalogues."""
    yield from (code.value for code in Code if code not in MESSAGES)
    yield from (kind.sentence for kind in Kind if kind is not Kind.TEXT)
    yield from (weakness.value for weakness in Weakness)


def translated(language: Language, reason: Reason) -> str:
    """The sentence for the reason. Reasons and obstacles among its parameters are translated, too."""
    values = {name: _value(language, value) for name, value in reason.parameters.items()}
    return language.gettext(message(reason.code), **values)


def obstacle_text(language: Language, obstacle: Obstacle) -> str:
    """The sentence for the obstacle. Texts of name servers and of earlier versions are not translated."""
    if obstacle.kind is Kind.TEXT:
        return obstacle.name
    return language.gettext(obstacle.kind.sentence, name=obstacle.name)


def _value(language: Language, value: Parameter) -> str | int:
    match value:
        case Reason():
            return translated(language, value)
        case Obstacle():
            return obstacle_text(language, value)
    return value
