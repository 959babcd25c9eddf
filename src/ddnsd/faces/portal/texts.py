# SPDX-License-Identifier: GPL-3.0-or-later
"""What the registry says, which speaks English alone, in the visitor's language."""

import re

from ddnsd.faces.portal.i18n import N_, Language

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
    N_("Ensure this value has at most 255 characters."),
    N_("This has characters that cannot be shown."),
    N_("Give seconds, from 1 to 86400."),
    N_("Somebody else signs in with this identity."),
    N_("It is the only way to sign in: add another one first."),
]

_WITH_VALUES = {
    re.compile(r"'(?P<value>.*)' is not an address that a host may have\."): N_(
        "%(value)s is not an address that a host may have."
    ),
    re.compile(r"'(?P<value>.*)' is not one IPv(?P<version>[46]) address\."): N_(
        "%(value)s is not one IPv%(version)s address."
    ),
    re.compile(r"(?P<value>\S+) is not accepted in this domain\."): N_("%(value)s is not accepted in this domain."),
    re.compile(r"This name lies in the domain (?P<value>\S*)\."): N_("This name lies in the domain %(value)s."),
    re.compile(r"Not available: (?P<value>.*)\."): N_("The name stands in the zone already: %(value)s."),
    re.compile(r"'(?P<value>.*)' is more than a label\."): N_("%(value)s is more than a label."),
    re.compile(r"'(?P<value>.*)' is not an interface id such as ::7\."): N_(
        "%(value)s is not an interface id such as ::7."
    ),
    re.compile(r"(?P<value>\S+) is taken\."): N_("%(value)s is taken."),
    re.compile(r"there is no user '(?P<value>.*)'"): N_("There is no user %(value)s."),
    re.compile(r"(?P<value>\S+) has hosts: delete them first"): N_("%(value)s has hosts: remove them first."),
}


def translated(language: Language, text: str) -> str:
    """The text as the language has it; one that nobody has foreseen stays as it is."""
    for pattern, template in _WITH_VALUES.items():
        if found := pattern.fullmatch(text):
            return language.gettext(template, **found.groupdict())
    return language.gettext(text)
