"""Refuse what a browser sends for a web page: pages of any site can reach a port of this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

BROWSED_TO = "none"
"""`Sec-Fetch-Site` of an address that a person opened: no page had a part in it."""


def why_refused(environ: Mapping[str, Any], *, hosts: Collection[str] = ("localhost",)) -> str | None:
    """Why the request is not answered, or None. No AWS client sends any of these headers.

    A page sends `Origin` with everything but a plain GET, and a preflight (OPTIONS) before what is not simple; with a
    plain GET, such as of an image, browsers send `Sec-Fetch-Site`. A page whose own name was made to lead here (DNS
    rebinding) sends that name as `Host`; `hosts` are those that our own clients write.
    https://fetch.spec.whatwg.org/#origin-header
    """
    if environ["REQUEST_METHOD"] == "OPTIONS":
        return "the local cloud answers no preflight: web pages cannot use it"
    if "HTTP_ORIGIN" in environ:
        return f"the local cloud answers no web page, this request has the Origin {environ['HTTP_ORIGIN']!r}"
    if environ.get("HTTP_SEC_FETCH_SITE", BROWSED_TO) != BROWSED_TO:
        return "the local cloud answers no web page, a browser sent this for one (Sec-Fetch-Site)"
    host = str(environ.get("HTTP_HOST", "")).partition(":")[0].lower()
    # The CDK's command line writes the bucket before the host; no name below `localhost` is anybody's.
    if host in hosts or host.endswith(".localhost"):
        return None
    return f"expected the Host {' or '.join(hosts)}, got {host!r}"
