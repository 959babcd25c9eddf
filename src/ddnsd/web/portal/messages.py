# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of the registry, and of obstacles in DNS, as sentences in the user's language."""

from ddnsd.dns.conflicts import Kind, Obstacle
from ddnsd.registry.errors import Code, Parameter, Reason
from ddnsd.web.portal.i18n import N_, Language

NOTHING_HERE = N_("This page does not exist, was removed or renamed, or you may not see it.")

MESSAGES = {
    Code.NAME_MISSING: N_("Enter a name."),
    Code.NAME_TOO_LONG: N_("A full name has at most %(limit)s characters."),
    Code.NAME_WITHOUT_DOMAIN: N_("Enter a full name, with its domain."),
    Code.NAME_INVALID: N_("%(name)s is not a full name such as www.example.org."),
    Code.NAME_RESERVED: N_("This name is reserved."),
    Code.NAME_IS_REVERSE: N_(
        "%(domain)s is a zone for reverse lookups. You cannot add hosts there. Choose another domain."
    ),
    Code.NAME_DENIED: N_("The operator of this service does not allow this name."),
    Code.NAME_TAKEN: N_("A host with this name and domain already exists."),
    Code.NAME_UNAVAILABLE: N_("The name cannot be used: %(obstacle)s."),
    Code.NAME_UNANSWERED: N_(
        "The wildcard *.%(host)s does not answer for %(name)s and names below it, because %(below)s is registered. "
        "If %(name)s needs an address, register it too."
    ),
    Code.NAME_BELOW_FOREIGN_HOST: N_("This name is below a host of another user."),
    Code.NAME_ABOVE_FOREIGN_HOST: N_("This name is above a host of another user."),
    Code.NAME_IN_OTHER_DOMAIN: N_("This name is in the domain %(domain)s."),
    Code.NAME_IN_NO_DOMAIN: N_("The name is not in a domain that you may use."),
    Code.NAME_BELOW_TOO_LONG: N_(
        "With %(prefix)s before it, the name has %(length)s characters. At most %(limit)s are allowed."
    ),
    Code.LABEL_EMPTY: N_("A label is empty."),
    Code.LABEL_TOO_LONG: N_("A label has at most %(limit)s characters."),
    Code.LABEL_CHARACTERS: N_(
        "A label contains only letters, digits and hyphens. It begins and ends with a letter or a digit."
    ),
    Code.ADDRESS_INVALID: N_("A host cannot have the address %(address)s."),
    Code.ADDRESS_UNUSABLE: N_("A host cannot have the address %(address)s."),
    Code.ADDRESS_OF_OTHER_FAMILY: N_("%(address)s is not a single IPv%(version)s address."),
    Code.ADDRESS_NOT_ACCEPTED: N_("%(address)s is not accepted in this domain."),
    Code.ADDRESS_DENIED: N_("The operator of this service does not allow this address."),
    Code.PEER_UNKNOWN: N_("The service cannot see your address. Enter the address of the host."),
    Code.TEXT_TOO_LONG: N_("Enter at most %(limit)s characters."),
    Code.TEXT_LENGTH: N_("Enter a text of 1 to %(limit)s characters."),
    Code.NOT_PRINTABLE: N_("Enter only printable characters."),
    Code.TTL_OUT_OF_RANGE: N_("Enter a TTL from %(least)s to %(most)s seconds."),
    Code.NOT_A_CHOICE: N_("Choose one of %(choices)s."),
    Code.LIST_EMPTY: N_("Choose at least one."),
    Code.LIST_TOO_LONG: N_("Enter at most %(limit)s."),
    Code.SECRETS_WITHOUT_OWNER: N_("You can keep or replace secrets only when you change the owner."),
    Code.QUARANTINE_WITHOUT_BLOCK: N_("A host in quarantine is blocked. Remove the quarantine with the block."),
    Code.QUARANTINE_WITHOUT_ADDRESSES: N_("The operator has configured no addresses for quarantine."),
    Code.REASON_WITHOUT_BLOCK: N_("You can give a reason only for a host that is blocked."),
    Code.FIELD_CHANGED: N_("%(field)s is %(value)s now."),
    Code.PREFIX_INVALID: N_(
        "%(name)s is not valid. Enter @, or labels of which the last one begins with an underscore, such as _443._tcp "
        "or sel._domainkey."
    ),
    Code.PREFIX_NOT_APEX: N_("%(rtype)s records are possible only at the host's own name: @."),
    Code.VALUE_COUNT: N_("Enter 1 to %(limit)s values."),
    Code.VALUE_TOO_LONG: N_("A value has at most %(limit)s characters."),
    Code.VALUE_RELATIVE: N_("%(name)s is not a full name. End it with a dot: %(name)s."),
    Code.VALUE_STRING_TOO_LONG: N_(
        'A string has at most 255 octets. Split a longer text into several strings: "first" "second".'
    ),
    Code.VALUE_INVALID: N_("%(value)s is not a valid %(rtype)s value. Example: %(example)s"),
    Code.VALUES_REFUSED: N_("The name server refused these values: %(rcode)s."),
    Code.RECORDS_TOO_MANY: N_("A host has at most %(limit)s sets of records."),
    Code.RECORDS_TOO_LARGE: N_("The host has too many records, or they are too long."),
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
    Code.QUOTA_OUT_OF_RANGE: N_("Enter a number from 0 (no limit) to %(limit)s."),
    Code.RELATED_NOT_A_LABEL: N_("%(label)s is not a single label."),
    Code.RELATED_TAKEN: N_("%(name)s is taken."),
    Code.RELATED_TOO_MANY: N_("A host has at most %(limit)s related names."),
    Code.INTERFACE_ID_INVALID: N_("%(interface_id)s is not an interface id such as ::7."),
    Code.USER_MISSING: N_("There is no user %(user)s."),
    Code.USER_EXISTS: N_("The user %(user)s already exists."),
    Code.USER_NAME_INVALID: N_("A user name has 1 to %(limit)s printable characters and no spaces."),
    Code.USER_NAME_RESERVED: N_("The name %(user)s is reserved."),
    Code.USER_INACTIVE: N_("%(user)s is disabled. Enable the user first."),
    Code.USER_OWNS: N_("%(user)s owns hosts or domains. Remove them first, or give them to another user."),
    Code.USER_NO_ADMINISTRATOR: N_("%(user)s is not an administrator."),
    Code.USER_OWNS_DOMAINS: N_(
        "%(user)s owns these domains: %(domains)s. Remove them first, or ask an administrator to give them to another "
        "user."
    ),
    Code.USER_HAS_BLOCKED_HOSTS: N_(
        "These hosts are blocked for abuse: %(hosts)s. Contact the operator of the service, who can delete the account."
    ),
    Code.LAST_ADMINISTRATOR: N_("You are the last active administrator. Make another user an administrator first."),
    Code.USER_NAME_NOT_CONFIRMED: N_("Repeat the name of your user to confirm that you want to delete it."),
    Code.USER_DELETES_SELF: N_("You cannot remove yourself here. Delete your account on its own page."),
    Code.USER_DEMOTES_SELF: N_("You cannot change your own rights. Ask another administrator."),
    Code.REASON_OF_ACTIVE_USER: N_("You can give a reason only while the user is disabled."),
    Code.RECORDS_OF_ACTIVE_USER: N_("You can remove records only while the user is disabled."),
    Code.RIGHTS_END: N_(
        "Your tokens lose groups or administrator rights at %(at)s. Sign in with your identity provider before."
    ),
    Code.GROUP_INVALID: N_("A group name has 1 to %(limit)s printable characters."),
    Code.CREDENTIAL_EXISTS: N_("%(user)s already has a token named %(name)s."),
    Code.NAME_PATTERN_INVALID: N_("%(pattern)s is not a name or a pattern such as *.example.org."),
    Code.SCOPE_EXCEEDED: N_("You can give at most the rights that you have yourself: %(limit)s."),
    Code.SCOPE_ENDS_EARLIER: N_("Sign in again to create a token that lasts longer than this session."),
    Code.EXPIRY_TOO_LATE: N_("The operator of this service allows tokens for at most %(limit)s days."),
    Code.EXPIRY_INVALID: N_("%(value)s is not a time with a UTC offset, such as 2030-01-31T12:00:00Z."),
    Code.EXPIRY_PAST: N_("%(value)s is in the past."),
    Code.HOSTS_NOT_OWNED: N_("%(user)s has no such host: %(hosts)s."),
    Code.FACTOR_CODE_WRONG: N_("This is not the current code of the app. Check the clock of your telephone."),
    Code.FACTOR_FORM_INVALID: N_("The form is too old. Open the page again."),
    Code.FACTOR_MISSING: N_("There is no second factor."),
    Code.IDENTITY_MISSING: N_("There is no such identity."),
    Code.IDENTITY_TAKEN: N_("Another user signs in with this identity."),
    Code.IDENTITY_IS_LAST: N_("This is the only way to sign in. Add another one first."),
    Code.IDENTITY_UNKNOWN: N_("There is no user with this identity. Ask an administrator to add you."),
    Code.IDENTITY_INACTIVE: N_("Your account is disabled. Ask an administrator."),
    Code.IDENTITY_SUSPENDED: N_("Your account is suspended: %(reason)s"),
    Code.IDENTITY_NAME_TAKEN: N_("There are too many users named %(user)s. Ask an administrator to add you."),
    Code.ENROLMENT_INVALID: N_(
        "The enrolment token is unknown or expired, was used with another secret, or was replaced."
    ),
    Code.DOMAIN_MISSING: N_("There is no domain %(domain)s."),
    Code.DOMAIN_EXISTS: N_("The domain %(domain)s already exists."),
    Code.DOMAIN_IN_USE: N_("%(domain)s is already in use here."),
    Code.DOMAIN_OF_OTHER_OWNER: N_("%(domain)s belongs to %(owner)s, not to %(user)s."),
    Code.DOMAIN_WITHOUT_DOT: N_("A domain has at least one dot."),
    Code.DOMAIN_TOO_LONG: N_("A domain has at most %(limit)s characters, because hosts need names below it."),
    Code.DOMAIN_HIDES_HOST: N_("The name of the host %(host)s is in %(domain)s. Rename or remove the host first."),
    Code.DOMAIN_HIDES_RELATED: N_("%(name)s is a related name of the host %(host)s. Remove it first."),
    Code.DOMAIN_HIDES_WILDCARD: N_(
        "The wildcard of the host %(host)s answers for %(domain)s. Disable the wildcard first."
    ),
    Code.DOMAIN_HAS_HOSTS: N_("%(domain)s has hosts. Remove them first."),
    Code.DOMAIN_HAS_REMOVALS: N_(
        "Records of removed hosts are still in %(domain)s. Try again when its name server answers."
    ),
    Code.CATALOG_HIDES: N_("The catalog zone %(catalog)s cannot be created. %(reason)s"),
    Code.PRIMARY_MISSING: N_("Enter the address of the zone's primary name server."),
    Code.PRIMARY_INVALID: N_("%(primary)s is not ADDRESS:PORT. Write an IPv6 address in brackets."),
    Code.PRIMARY_UNUSABLE: N_("The zone cannot be used: %(cause)s."),
    Code.PRIMARY_WITHOUT_KEY: N_("Enter both the primary and the key of an existing zone."),
    Code.KEY_INVALID: N_("The key cannot be used: %(cause)s."),
    Code.KEY_OF_OWN_ZONE: N_("The zone of %(domain)s has its own key. Do not enter a key."),
    Code.POLICY_INVALID: N_("%(policy)s is not a valid name for a DNSSEC policy. Use letters, digits, -, _ and dots."),
    Code.POLICY_OF_EXISTING_ZONE: N_("An existing zone is signed on its own server. Do not enter a policy."),
    Code.POLICY_OF_FOREIGN_ZONE: N_("%(domain)s is not on the BIND of this service. Sign it on its own server."),
    Code.ZONE_NOT_PROVISIONED: N_("This service did not create the zone of %(domain)s."),
    Code.BIND_MISSING: N_(
        "This service does not control a BIND, so it cannot create a zone. "
        "Enter the primary and the key of an existing zone."
    ),
    Code.REQUEST_EXISTS: N_("You have already requested %(domain)s."),
    Code.REQUESTS_TOO_MANY: N_("You already have %(limit)s open requests. Withdraw one first."),
    Code.REPORTED_NAME_UNKNOWN: N_("%(name)s is not a name of this service."),
    Code.REPORTED_HOST_GONE: N_("The host %(host)s was removed after the report. Dismiss the report."),
    Code.REPORTS_OVER_QUOTA: N_("Too many reports were sent. Try again in %(minutes)s minutes."),
    Code.REPORTS_TOO_MANY: N_("Too many reports wait for a decision. Try again later."),
    Code.REPORT_NOT_FOUND: NOTHING_HERE,
    Code.NETWORK_INVALID: N_("%(network)s is not an address or a network such as 192.0.2.0/24."),
    Code.NETWORK_TOO_WIDE: N_("%(network)s is too large. The largest possible network is a /%(limit)s."),
    Code.AGENT_INVALID: N_("Enter the beginning of the user agent: 3 to 120 printable characters."),
    Code.PATTERN_INVALID: N_(
        "Enter a label or a full name. It may contain * for any characters, at most %(limit)s times."
    ),
    Code.DENIAL_TOO_LONG: N_("Enter 1 to %(limit)s printable characters."),
    Code.DENIAL_COMMENT_INVALID: N_("Enter at most %(limit)s characters, on one line."),
    Code.DENIAL_EXISTS: N_("%(value)s is already denied."),
    Code.DENIAL_MISSING: N_("%(value)s is not denied."),
    Code.HOST_MISSING: N_("There is no host %(host)s."),
    Code.RELATED_MISSING: N_("%(name)s is not a related name."),
    Code.HOST_NOT_FOUND: NOTHING_HERE,
    Code.DOMAIN_NOT_FOUND: NOTHING_HERE,
    Code.REQUEST_NOT_FOUND: NOTHING_HERE,
    Code.DENIAL_NOT_FOUND: NOTHING_HERE,
    Code.CREDENTIAL_NOT_FOUND: NOTHING_HERE,
    Code.USER_NOT_FOUND: NOTHING_HERE,
    Code.FIELDS_OF_ADMINISTRATORS: N_("Only an administrator can change %(fields)s."),
    Code.FIELD_OF_ADMINISTRATORS: N_("Only an administrator can change this."),
    Code.HOST_OF_OTHERS: N_(
        "Another user owns this host. As the owner of its domain, you can see its addresses and state, block it and "
        "remove it."
    ),
    Code.DOMAIN_OF_OTHERS: N_("Only the owner or an administrator can change a domain."),
    Code.CREDENTIAL_EXCEEDS: N_("That token has more rights than yours."),
    Code.CREDENTIAL_IS_LIMITED: N_("Your token is limited to other domains, or to some hosts."),
    Code.HOST_BLOCKED: N_("The host is flagged or blocked for abuse. Contact the operator of the service."),
    Code.STALE: N_("Someone else changed this while you were editing. Load the page again and repeat your change."),
    Code.OTHER_CHANGE_FAILED: N_("Another change failed, so nothing was changed."),
    Code.IDEMPOTENCY_KEY_REUSED: N_("This Idempotency-Key was used with another body. Use a new one."),
    Code.NOT_PUBLISHED: N_("The name server does not answer correctly: %(cause)s. Try again in a minute."),
    Code.HOST_REFUSED: N_("The name server refused this host: %(cause)s."),
    Code.UNCONFIRMED: N_("The name server did not confirm it: %(cause)s. The service keeps trying."),
    Code.SCHEMA: N_("The request is not valid: %(text)s"),
}


OBSTACLES = {
    Kind.UNMANAGED: N_("the name is in the zone and is not ours"),
    Kind.DELEGATED: N_("%(name)s is delegated to other name servers (NS record)"),
    Kind.REDIRECTED: N_("names below %(name)s are redirected (DNAME record)"),
    Kind.ALIAS: N_("%(name)s is an alias that is not ours (CNAME record)"),
    Kind.DNAME: N_("%(name)s has a DNAME record that is not ours"),
    Kind.DHCP: N_("the name belongs to DHCP (DHCID)"),
}


def translated(language: Language, reason: Reason) -> str:
    """The sentence for the reason. Reasons and obstacles among its parameters are translated, too."""
    values = {name: _value(language, value) for name, value in reason.parameters.items()}
    return language.gettext(MESSAGES[reason.code], **values)


def obstacle_text(language: Language, obstacle: Obstacle) -> str:
    """The sentence for the obstacle. Texts of name servers and of earlier versions are not translated."""
    if obstacle.kind is Kind.TEXT:
        return obstacle.name
    return language.gettext(OBSTACLES[obstacle.kind], name=obstacle.name)


def _value(language: Language, value: Parameter) -> str | int:
    match value:
        case Reason():
            return translated(language, value)
        case Obstacle():
            return obstacle_text(language, value)
    return value
