# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenID Connect: people who sign in at a provider, and access tokens that it gave them.

provider    what the operator says about one
http        asking it, with a limit on time and size
fetched     what it publishes, kept for a while
client      its metadata and keys, and the calls that need our credentials
jwt         signatures and claims
person      from claims to who somebody is
attempt     one sign-in of one browser, from the first redirection to the last
flow        the code flow (OpenID Connect Core 3.1, RFC 7636, RFC 9207)
bearer      access tokens: JWTs (RFC 9068) by the provider's keys, others by introspection (RFC 7662)

    ProviderDown    the provider does not answer as it should: nothing is known, and nobody's fault
      NotAsked      likewise: the provider was not asked, since too much from that address was refused
    NotSignedIn     the browser comes back from the provider with nothing that lets anybody in
      NotBegun      likewise, and without a code of a sign-in that this browser began: any page can send it so
"""


class ProviderDown(Exception):
    """the identity provider does not answer"""


class NotAsked(ProviderDown):
    """the identity provider was not asked: too many unknown tokens came from this address; try again in a minute"""

    def __init__(self) -> None:
        super().__init__(NotAsked.__doc__)


class NotSignedIn(Exception):
    """the sign-in was not completed"""


class NotBegun(NotSignedIn):
    """the browser comes back with no code of a sign-in that it began"""
