# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry's codes as sentences for people, in the visitor's language."""

from ddnsd.registry.errors import Code, Reason
from ddnsd.web.portal.i18n import N_, Language

NOTHING_HERE = N_("There is nothing here that you may see; it may be gone or renamed.")

MESSAGES = {
    Code.NAME_MISSING: N_("A name is needed."),
    Code.NAME_TOO_LONG: N_("A full name has at most %(limit)s characters."),
    Code.NAME_WITHOUT_DOMAIN: N_("Enter a full name, with its domain."),
    Code.NAME_RESERVED: N_("This name is reserved."),
    Code.NAME_DENIED: N_("The operator of this service does not allow this name."),
    Code.NAME_TAKEN: N_("A host with this name and domain already exists."),
    Code.NAME_UNAVAILABLE: N_("The name cannot be used: %(obstacle)s."),
    Code.NAME_BELOW_FOREIGN_HOST: N_("This name lies below a host of another user."),
    Code.NAME_IN_OTHER_DOMAIN: N_("This name lies in the domain %(domain)s."),
    Code.NAME_IN_NO_DOMAIN: N_("The name lies in no domain that you may use."),
    Code.NAME_BELOW_TOO_LONG: N_(
        "With %(prefix)s before it, the name has %(length)s characters: at most %(limit)s are possible."
    ),
    Code.LABEL_EMPTY: N_("A label is empty."),
    Code.LABEL_TOO_LONG: N_("A label has at most %(limit)s characters."),
    Code.LABEL_CHARACTERS: N_("A label has letters, digits and hyphens, and begins and ends with a letter or a digit."),
    Code.ADDRESS_INVALID: N_("%(address)s is not an address that a host may have."),
    Code.ADDRESS_UNUSABLE: N_("%(address)s is not an address that a host may have."),
    Code.ADDRESS_OF_OTHER_FAMILY: N_("%(address)s is not one IPv%(version)s address."),
    Code.ADDRESS_NOT_ACCEPTED: N_("%(address)s is not accepted in this domain."),
    Code.ADDRESS_DENIED: N_("The operator of this service does not allow this address."),
    Code.PEER_UNKNOWN: N_("The service cannot see your address. Enter the address of the host."),
    Code.TEXT_TOO_LONG: N_("Enter at most %(limit)s characters."),
    Code.TEXT_LENGTH: N_("Enter a text of 1 to %(limit)s characters."),
    Code.NOT_PRINTABLE: N_("Enter printable characters."),
    Code.TTL_OUT_OF_RANGE: N_("Enter seconds, from %(least)s to %(most)s."),
    Code.NOT_A_CHOICE: N_("Choose one of %(choices)s."),
    Code.SECRETS_WITHOUT_OWNER: N_("Secrets are kept or replaced only with a new owner."),
    Code.FIELD_CHANGED: N_("%(field)s is %(value)s now."),
    Code.PREFIX_INVALID: N_("%(name)s is neither @ nor labels with an underscore each, such as _443._tcp."),
    Code.PREFIX_NOT_APEX: N_("%(rtype)s records are possible only at the host's own name: @."),
    Code.VALUE_COUNT: N_("Enter 1 to %(limit)s values."),
    Code.VALUE_TOO_LONG: N_("A value has at most %(limit)s characters."),
    Code.VALUE_RELATIVE: N_("%(name)s is not a full name: end it with a dot, as in %(name)s."),
    Code.VALUE_STRING_TOO_LONG: N_(
        'A string has at most 255 octets; a longer text is several strings: "first" "second".'
    ),
    Code.VALUE_INVALID: N_("%(value)s is no %(rtype)s value such as %(example)s"),
    Code.VALUES_REFUSED: N_("The name server does not take these values: %(rcode)s."),
    Code.RECORDS_TOO_MANY: N_("A host has at most %(limit)s sets of records."),
    Code.RECORDS_TOO_LARGE: N_("The host has too many records, or they are too long."),
    Code.RELATED_NOT_A_LABEL: N_("%(label)s is more than one label."),
    Code.RELATED_TAKEN: N_("%(name)s is taken."),
    Code.RELATED_TOO_MANY: N_("A host has at most %(limit)s related names."),
    Code.INTERFACE_ID_INVALID: N_("%(interface_id)s is not an interface id such as ::7."),
    Code.USER_MISSING: N_("There is no user %(user)s."),
    Code.USER_EXISTS: N_("There is a user %(user)s already."),
    Code.USER_NAME_INVALID: N_("A user name has 1 to %(limit)s printable characters and no blanks."),
    Code.USER_NAME_RESERVED: N_("The name %(user)s is reserved."),
    Code.USER_INACTIVE: N_("%(user)s is switched off. Switch on the user first."),
    Code.USER_OWNS: N_("%(user)s owns hosts or domains. Remove them first, or give them to another user."),
    Code.USER_NO_ADMINISTRATOR: N_("%(user)s is no administrator."),
    Code.USER_DELETES_SELF: N_("You cannot remove yourself. Ask another administrator."),
    Code.USER_DEMOTES_SELF: N_("You cannot change your own rights. Ask another administrator."),
    Code.RECORDS_OF_ACTIVE_USER: N_("Records can be removed only while the user is switched off."),
    Code.GROUP_INVALID: N_("A group has 1 to %(limit)s printable characters."),
    Code.CREDENTIAL_EXISTS: N_("%(user)s has a token named %(name)s already."),
    Code.SCOPE_EXCEEDED: N_("This is more than your own token allows: %(limit)s."),
    Code.SCOPE_ENDS_EARLIER: N_("Your own token expires earlier."),
    Code.EXPIRY_INVALID: N_("%(value)s is not a time with its offset, such as 2030-01-31T12:00:00Z."),
    Code.EXPIRY_PAST: N_("%(value)s is in the past."),
    Code.HOSTS_NOT_OWNED: N_("%(user)s has no such host: %(hosts)s."),
    Code.IDENTITY_MISSING: N_("There is no such identity."),
    Code.IDENTITY_TAKEN: N_("Another user signs in with this identity."),
    Code.IDENTITY_IS_LAST: N_("This is your only way to sign in. Add another one first."),
    Code.IDENTITY_UNKNOWN: N_("There is no user with this identity. Ask an administrator to add you."),
    Code.IDENTITY_INACTIVE: N_("Your account is switched off. Ask an administrator."),
    Code.IDENTITY_NAME_TAKEN: N_("There are too many users named %(user)s. Ask an administrator to add you."),
    Code.ENROLMENT_INVALID: N_(
        "The enrolment token is unknown or expired, was used with another secret, or was replaced."
    ),
    Code.DOMAIN_MISSING: N_("There is no domain %(domain)s."),
    Code.DOMAIN_EXISTS: N_("The domain %(domain)s exists already."),
    Code.DOMAIN_IN_USE: N_("%(domain)s is in use here already."),
    Code.DOMAIN_OF_OTHER_OWNER: N_("%(domain)s belongs to %(owner)s, not to %(user)s."),
    Code.DOMAIN_WITHOUT_DOT: N_("A domain has at least one dot."),
    Code.DOMAIN_TOO_LONG: N_("A domain has at most %(limit)s characters: hosts lie below it."),
    Code.DOMAIN_HIDES_HOST: N_("The host %(host)s lies in %(domain)s already. Rename or remove it first."),
    Code.DOMAIN_HIDES_RELATED: N_("%(name)s is a related name of the host %(host)s. Remove it first."),
    Code.DOMAIN_HIDES_WILDCARD: N_(
        "The host %(host)s has a wildcard, which answers for %(domain)s. Switch it off first."
    ),
    Code.DOMAIN_HAS_HOSTS: N_("%(domain)s has hosts. Remove them first."),
    Code.DOMAIN_HAS_REMOVALS: N_(
        "Records of removed hosts are still in %(domain)s. Try again when its name server answers."
    ),
    Code.CATALOG_HIDES: N_("The catalog zone %(catalog)s cannot be made. %(reason)s"),
    Code.PRIMARY_MISSING: N_("Enter the address of the zone's primary name server."),
    Code.PRIMARY_INVALID: N_("%(primary)s is not ADDRESS:PORT. Write an IPv6 address in brackets."),
    Code.PRIMARY_UNUSABLE: N_("The zone cannot be used: %(cause)s."),
    Code.PRIMARY_WITHOUT_KEY: N_("Enter both the primary and the key of an existing zone."),
    Code.KEY_INVALID: N_("The key cannot be used: %(cause)s."),
    Code.KEY_OF_OWN_ZONE: N_("The zone of %(domain)s has a key of its own. Leave the key out."),
    Code.POLICY_INVALID: N_("%(policy)s cannot name a DNSSEC policy. Use letters, digits, -, _ and dots."),
    Code.POLICY_OF_EXISTING_ZONE: N_("A zone that exists already is signed on its own server. Leave the policy out."),
    Code.POLICY_OF_FOREIGN_ZONE: N_("%(domain)s is not on the BIND of this service. Sign it on its own server."),
    Code.ZONE_NOT_PROVISIONED: N_("The zone of %(domain)s was not made on the BIND of this service."),
    Code.BIND_MISSING: N_(
        "This service controls no BIND, so it cannot make a zone. Enter the primary and the key of an existing zone."
    ),
    Code.REQUEST_EXISTS: N_("You have asked for %(domain)s already."),
    Code.REQUESTS_TOO_MANY: N_("%(limit)s of your requests are open already. Withdraw one first."),
    Code.NETWORK_INVALID: N_("%(network)s is no network such as 192.0.2.0/24."),
    Code.NETWORK_TOO_WIDE: N_("%(network)s is too large: the prefix has at least %(limit)s bits."),
    Code.AGENT_INVALID: N_("Enter 3 to 120 printable characters, with which the user agent begins."),
    Code.PATTERN_INVALID: N_("Enter a label or a full name, with at most %(limit)s times * for any characters."),
    Code.DENIAL_TOO_LONG: N_("Enter 1 to %(limit)s printable characters."),
    Code.DENIAL_COMMENT_INVALID: N_("Enter at most %(limit)s characters, on one line."),
    Code.DENIAL_EXISTS: N_("%(value)s is denied already."),
    Code.DENIAL_MISSING: N_("%(value)s is not denied."),
    Code.HOST_MISSING: N_("There is no host %(host)s."),
    Code.RELATED_MISSING: N_("%(name)s is no related name."),
    Code.HOST_NOT_FOUND: NOTHING_HERE,
    Code.DOMAIN_NOT_FOUND: NOTHING_HERE,
    Code.REQUEST_NOT_FOUND: NOTHING_HERE,
    Code.DENIAL_NOT_FOUND: NOTHING_HERE,
    Code.CREDENTIAL_NOT_FOUND: NOTHING_HERE,
    Code.USER_NOT_FOUND: NOTHING_HERE,
    Code.FIELDS_OF_ADMINISTRATORS: N_("Only an administrator can change %(fields)s."),
    Code.DOMAIN_OF_OTHERS: N_("Only its owner or an administrator can change a domain."),
    Code.CREDENTIAL_EXCEEDS: N_("That token can do more than yours."),
    Code.CREDENTIAL_IS_LIMITED: N_("Your token is limited to other domains, or to hosts."),
    Code.HOST_BLOCKED: N_("The host is flagged or blocked for abuse. Write to the operator of the service."),
    Code.STALE: N_("Someone else changed this while you were editing. Load the page again and repeat your change."),
    Code.OTHER_CHANGE_FAILED: N_("Another change failed, so nothing was changed."),
    Code.IDEMPOTENCY_KEY_REUSED: N_("This Idempotency-Key was used with another body. Use a new one."),
    Code.NOT_PUBLISHED: N_("The name server does not answer as it should: %(cause)s. Try again in a minute."),
    Code.HOST_REFUSED: N_("The name server does not take this host: %(cause)s."),
    Code.UNCONFIRMED: N_("The name server did not confirm it: %(cause)s. We keep trying."),
    Code.SCHEMA: N_("The request cannot be read: %(text)s"),
}


def translated(language: Language, reason: Reason) -> str:
    """The sentence for the reason; reasons among its parameters are translated, too."""
    values = {
        name: translated(language, value) if isinstance(value, Reason) else value
        for name, value in reason.parameters.items()
    }
    return language.gettext(MESSAGES[reason.code], **values)
