# SPDX-License-Identifier: GPL-3.0-or-later
"""Protection against forms of other sites (CSRF): where the form came from, and the token of the session."""

import hmac

from ddnsd.web.portal.request import PageRequest


def is_from_portal(page: PageRequest) -> bool:
    """Whether a form came from a page of this portal. A signed-in user's form needs the token of the session."""
    return _is_same_site(page) and (not page.signed_in or _has_token(page))


def _has_token(page: PageRequest) -> bool:
    return hmac.compare_digest(page.form.get("csrf", "").encode(), page.csrf.encode())


def _is_same_site(page: PageRequest) -> bool:
    """Whether the form came from this site (Sec-Fetch-Site, else Origin). Clients that send neither are allowed."""
    headers, url = page.request.headers, page.request.url
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return origin is None or origin in (f"{url.scheme}://{headers.get('host', '')}", page.portal.base_url)
