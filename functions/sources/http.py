"""The rows of an HTTP API, page by page."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import closing
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from millrace.consumers.webhook import reach, speak
from millrace.errors import SourceError
from millrace.workload.ends import HttpSource

TIMEOUT_S = 60.0
"""How long the API may be silent, in seconds."""
MOST_BYTES = 32 * 2**20
"""The most bytes of a page."""


def rows(name: str, source: HttpSource, after: object, secret: str) -> Generator[dict[str, Any]]:
    """The rows of all pages, in the API's order. Raises SourceError for an answer that is not as declared."""
    url, host, asked = source.url, urlsplit(source.url)[:2], set[str]()
    if source.since and after is not None:
        url += f"{'&' if '?' in url else '?'}{urlencode({source.since: str(after)})}"
    while url:
        asked.add(url)
        page = get(name, url, {source.header: secret} if secret else {})
        found = _place(page, source.rows)
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise SourceError(name, source.rows or url, "a list of objects", json.dumps(found)[:80])
        yield from found
        following = _place(page, source.next) if source.next else None
        url = urljoin(url, str(following)) if following else ""
        # The secret goes to the declared host alone.
        if url and (urlsplit(url)[:2] != host or url in asked):
            raise SourceError(name, str(source.next), f"another page of {host[1]}", url)


def get(name: str, url: str, headers: dict[str, str]) -> Any:
    """The JSON that the API answers. Raises SourceError for anything else."""
    where = urlsplit(url)
    try:
        with closing(speak(where, reach(where, TIMEOUT_S))) as connection:
            path = f"{where.path or '/'}{'?' if where.query else ''}{where.query}"
            connection.request("GET", path, headers={"accept": "application/json", **headers})
            answer = connection.getresponse()
            body = answer.read(MOST_BYTES + 1)
    except (HTTPException, OSError) as error:
        raise SourceError(name, url, "an answer", f"{type(error).__name__}: {error}") from error
    if answer.status != 200:
        raise SourceError(name, url, "200", f"{answer.status} {answer.reason}: {body[:200].decode(errors='replace')}")
    if len(body) > MOST_BYTES:
        raise SourceError(name, url, f"a page of at most {MOST_BYTES:,} bytes", "more")
    try:
        return json.loads(body)
    except ValueError as error:
        raise SourceError(name, url, "JSON", f"{body[:80].decode(errors='replace')} ({error})") from error


def _place(document: Any, path: str | None) -> Any:
    """What the document has there; None if there is nothing."""
    for part in path.split(".") if path else ():
        document = document.get(part) if isinstance(document, dict) else None
    return document
