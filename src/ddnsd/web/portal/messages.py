# SPDX-License-Identifier: GPL-3.0-or-later
"""What the registry says, which speaks English alone, in the visitor's language."""

import re

from ddnsd.web.portal.i18n import N_, Language

_SAID = [
    N_("A name is needed."),
    N_("A full name has at most 253 characters."),
    N_("A label is empty."),
    N_("A label has at most 63 characters."),
    N_("A label has letters, digits and hyphens, and begins and ends with a letter or a digit."),
    N_("This name is reserved."),
    N_("This name lies below a host of somebody else."),
    N_("Host with this name and domain already exists."),
    N_("The name lies in no domain that you may use."),
    N_("The operator of this service does not allow this name."),
    N_("A host has at most 32 related names."),
    N_("A host has at most 16 sets of records."),
    N_("The host's records are too many or too long together."),
    N_("Give 1 to 16 values."),
    N_("A value has at most 4096 characters."),
    N_('A string has at most 255 octets; a longer text is several strings: "first" "second".'),
    N_("Ensure this value has at most 255 characters."),
    N_("This has characters that cannot be shown."),
    N_("Give seconds, from 1 to 86400."),
    N_("Somebody else signs in with this identity."),
    N_("It is the only way to sign in: add another one first."),
    N_("A domain has at least one dot."),
    N_("A domain has at most 189 characters: hosts lie below it."),
    N_("Choose one of these."),
    N_("Enter 1 to 253 printable characters."),
    N_("Enter 3 to 120 printable characters, with which the user agent begins."),
    N_("Enter printable characters."),
    N_("Enter the address of the zone's primary name server."),
    N_("a group has 1 to 255 printable characters"),
    N_("a user name has 1 to 150 printable characters and no blanks"),
    N_("Records can be removed only while the user is switched off."),
    N_("nobody removes themselves"),
    N_("nobody takes their own rights away"),
]

_WITH_VALUES = {
    re.compile(r"'(?P<value>.*)' is not an address that a host may have\."): N_(
        "%(value)s is not an address that a host may have."
    ),
    re.compile(r"'(?P<value>.*)' is not one IPv(?P<version>[46]) address\."): N_(
        "%(value)s is not one IPv%(version)s address."
    ),
    re.compile(
        r"With (?P<value>\S+) before it, the name has (?P<count>\d+) characters: at most 253 are possible\."
    ): N_("With %(value)s before it, the name has %(count)s characters: at most 253 are possible."),
    re.compile(r"(?P<value>\S+) is not accepted in this domain\."): N_("%(value)s is not accepted in this domain."),
    re.compile(r"This name lies in the domain (?P<value>\S*)\."): N_("This name lies in the domain %(value)s."),
    re.compile(r"Not available: (?P<value>.*)\."): N_("The name cannot be used: %(value)s."),
    re.compile(r"'(?P<value>.*)' is more than a label\."): N_("%(value)s is more than a label."),
    re.compile(r"'(?P<value>.*)' is not an interface id such as ::7\."): N_(
        "%(value)s is not an interface id such as ::7."
    ),
    re.compile(r"['\"](?P<value>.*)['\"] is neither @ nor labels with an underscore each, such as _443\._tcp\."): N_(
        "%(value)s is neither @ nor labels with an underscore each, such as _443._tcp."
    ),
    re.compile(r"(?P<value>\w+) records stand at the host's own name: @\."): N_(
        "%(value)s records stand at the host's own name: @."
    ),
    re.compile(r"(?P<value>\S+) is not a full name: end it with a dot, as in .*"): N_(
        "%(value)s is not a full name: end it with a dot, as in %(value)s."
    ),
    re.compile(r"['\"](?P<value>.*)['\"] is no (?P<type>\w+) value such as (?P<example>.*)"): N_(
        "%(value)s is no %(type)s value such as %(example)s"
    ),
    re.compile(r"The name server does not take these values: (?P<value>\w+)\."): N_(
        "The name server does not take these values: %(value)s."
    ),
    re.compile(r"(?P<value>\S+) is taken\."): N_("%(value)s is taken."),
    re.compile(r"there is no user '(?P<value>.*)'"): N_("There is no user %(value)s."),
    re.compile(r"(?P<value>.*) is switched off: switch the user on first"): N_(
        "%(value)s is switched off. Switch the user on first."
    ),
    re.compile(r"(?P<value>\S+) has hosts: delete them first"): N_("%(value)s has hosts: remove them first."),
    re.compile(r"there is a user (?P<value>.*) already"): N_("There is a user %(value)s already."),
    re.compile(r"the name (?P<value>.*) is reserved"): N_("The name %(value)s is reserved."),
    re.compile(r".* has a token named (?P<value>['\"].*['\"]) already"): N_("There is a token %(value)s already."),
    re.compile(r".* has no host (?P<value>.*)"): N_("There is no such host of yours: %(value)s."),
    re.compile(r"the domain (?P<value>\S+) exists already"): N_("The domain %(value)s exists already."),
    re.compile(r"the host (?P<value>\S+) lies in (?P<domain>\S+) already: rename or delete it first"): N_(
        "The host %(value)s lies in %(domain)s already. Rename or remove it first."
    ),
    re.compile(r"(?P<value>\S+) is a related name of the host (?P<host>\S+): remove it first"): N_(
        "%(value)s is a related name of the host %(host)s. Remove it first."
    ),
    re.compile(r"the host (?P<value>\S+) has a wildcard, which answers for (?P<domain>\S+): take it off first"): N_(
        "The host %(value)s has a wildcard, which answers for %(domain)s. Take it off first."
    ),
    re.compile(r"(?P<value>.*) is denied already"): N_("%(value)s is denied already."),
    re.compile(r"'(?P<value>.*)' is not an address or a network such as 192\.0\.2\.0/24\."): N_(
        "%(value)s is no network such as 192.0.2.0/24."
    ),
    re.compile(r"(?P<value>\S+) is too much: /(?P<length>\d+) at most\."): N_(
        "%(value)s is too much: /%(length)s at most."
    ),
    re.compile(r"Enter a label or a full name, with (?P<value>\d+) times \* for any characters at most\."): N_(
        "Enter a label or a full name, with %(value)s times * for any characters at most."
    ),
    re.compile(r"You have asked for (?P<value>\S+) already\."): N_("You have asked for %(value)s already."),
    re.compile(r"(?P<value>\d+) of your requests wait already: withdraw one first\."): N_(
        "%(value)s of your requests wait already: withdraw one first."
    ),
    re.compile(r"Enter a text of 1 to (?P<value>\d+) characters\."): N_("Enter a text of 1 to %(value)s characters."),
    re.compile(r"(?P<value>.*) owns hosts or domains: delete them, or give them to somebody else, first"): N_(
        "%(value)s owns hosts or domains: remove them, or give them to somebody else, first."
    ),
    re.compile(r"records of deleted hosts are still to leave (?P<value>\S+): try again .*"): N_(
        "Records of removed hosts are still to leave %(value)s. Try again once its name server answers."
    ),
}


def translated(language: Language, text: str) -> str:
    """The text as the language has it; one that nobody has foreseen stays as it is."""
    for pattern, template in _WITH_VALUES.items():
        if found := pattern.fullmatch(text):
            return language.gettext(template, **found.groupdict())
    return language.gettext(text)
