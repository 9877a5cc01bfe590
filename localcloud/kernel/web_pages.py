"""Refuses requests that a browser sends for a web page: pages of any site can reach a port of this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

BROWSED_TO = "none"
"""The header `Sec-Fetch-Site` of an address that a person opened. No page had a part in it."""


def why_refused(environ: Mapping[str, Any], *, hosts: Collection[str] = ("localhost",)) -> str | None:
    """The reason why the request is refused, or None if it is answered. Four signs of a web page are refused:

    - `OPTIONS`: a browser sends this preflight before a request that is not simple.
    - `Origin`: a browser sends it with every request of a page except a plain GET.
    - `Sec-Fetch-Site`: a browser sends it also with a plain GET, such as that of an image.
    - another `Host` than `hosts`: the name of a page that was made to lead to this machine (DNS rebinding).

    No AWS client sends these headers. `hosts` are the hosts that our own clients write.
    https://fetch.spec.whatwg.org/#origin-header
    """
    if environ["REQUEST_METHOD"] == "OPTIONS":
        return "the local cloud answers no preflight: web pages cannot use it"
    if "HTTP_ORIGIN" in environ:
        return f"the local cloud answers no web page, this request has the Origin {environ['HTTP_ORIGIN']!r}"
    if environ.get("HTTP_SEC_FETCH_SITE", BROWSED_TO) != BROWSED_TO:
        return "the local cloud answers no web page, a browser sent this for one (Sec-Fetch-Site)"
    host = str(environ.get("HTTP_HOST", "")).partition(":")[0].lower()
    # The CDK's command line writes the bucket before the host: `bucket.localhost`. No site can own such a name.
    if host in hosts or host.endswith(".localhost"):
        return None
    return f"expected the Host {' or '.join(hosts)}, got {host!r}"
