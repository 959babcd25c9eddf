# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenID Connect: people who sign in at a provider, and access tokens that it gave them.

provider      the operator's settings of a provider
http_client   requests to it, with limits of time and size
cached_fetch  cache for its published documents
client        its metadata and keys, and calls with our credentials
jwt           signatures and claims
claims        from claims to an identity
login_state   one sign-in of one browser, from the first redirection to the last
login         the code flow (OpenID Connect Core 3.1, RFC 7636, RFC 9207)
callbacks     limits for codes of returning browsers
backchannel   logout tokens, with which a provider ends sessions
bearer        access tokens: JWTs (RFC 9068) by the provider's keys, others by introspection (RFC 7662)

    ProviderDown    the provider does not answer correctly, so nothing is known; not counted as a failure
      NotAsked      the provider was not asked, because too many tokens from that address were refused
    NotSignedIn     the browser came back from the provider without a valid sign-in
      TooWeak       the provider did not state that it used a way to sign in that the operator demands
      NotBegun      also without a code of a sign-in that this browser began: any page can cause this
"""


class ProviderDown(Exception):
    """the identity provider does not answer"""


class NotAsked(ProviderDown):
    """the identity provider was not asked: too many unknown tokens came from this address; try again in a minute"""

    def __init__(self) -> None:
        super().__init__(NotAsked.__doc__)


class NotSignedIn(Exception):
    """the sign-in was not completed"""


class TooWeak(NotSignedIn):
    """the provider did not state one of the demanded values of acr or amr"""


class NotBegun(NotSignedIn):
    """the browser came back without a code of a sign-in that it began"""
