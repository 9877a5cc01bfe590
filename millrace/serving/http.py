"""The part of HTTP/1.1 (RFC 9112) that SageMaker speaks to a container: reads heads and writes answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADS = 256
"""The most parsed heads that are kept. A client sends the same head from request to request."""

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""A method, or a header's name: a token (RFC 9110, section 5.6.2). It has no spaces: two readers of one request could
understand them differently."""
_START = re.compile(rf"({_NAME}) (/[!-~]*) HTTP/1\.([01])").fullmatch
_FIELD = re.compile(rf"({_NAME}):([\t -~\x80-\xff]*)").fullmatch
"""Matches a header. Its value has no control characters (RFC 9110, section 5.5): some readers end a line at a lone LF
or CR, others do not, and NUL ends it for a third."""
_SPACES = " \t"
"""What may stand around a value. `str.strip` alone would remove more, such as the no-break space of Latin-1."""
_REASONS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class BadRequest(Exception):  # noqa: N818 it is told to the client, nothing failed here
    """The bytes cannot be understood. The connection is closed after the answer."""

    def __init__(self, status: int, expected: str, came: str) -> None:
        self.status, self.expected, self.came = status, expected, came
        super().__init__(f"expected {expected}, got {came}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A request without its body."""

    method: str
    path: str
    """Without the query."""
    content_type: str
    """In lower case and without parameters, such as `application/json`; empty without the header."""
    body_bytes: int
    keep_alive: bool = True
    """Whether the connection stays open after the answer."""
    expects_continue: bool = False
    """Whether the client waits for `100 Continue` before it sends the body."""


# Each request makes one of these, and a frozen one takes twice the time to make.
@dataclass(kw_only=True, slots=True)
class Request:
    head: Head
    body: bytes


@dataclass(kw_only=True, slots=True)
class Response:
    status: int
    body: bytes
    content_type: str = "application/json"


class Heads:
    """Parses heads and keeps the latest ones, so that an equal head need not be parsed again."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._known: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """The head in `block`, which lacks the empty line at its end. Raises BadRequest."""
        head = self._known.get(block)
        if head is None:
            head = _parse(block, self._max_body_bytes)
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            self._known[block] = head
        return head


def _parse(block: bytes, max_body_bytes: int) -> Head:
    """Raises BadRequest for anything but the head of a request that this server can answer."""
    # Latin-1 decodes every byte. What is wrong is found by its form below, never by a decoding error.
    start, *lines = block.decode("latin-1").split("\r\n")
    request_line = _START(start)
    if not request_line:
        raise BadRequest(400, "a request line of HTTP/1.1", start[:80])
    method, target, minor = request_line.groups()
    fields: dict[str, str] = {}
    for line in lines:
        field = _FIELD(line)
        if not field:
            raise BadRequest(400, "a header 'name: value' without control characters", line[:80])
        name, value = field[1].lower(), field[2].strip(_SPACES)
        # Two headers of these names, or a length beside an encoding, are how one request is smuggled in another
        # (RFC 9112, section 11.2).
        if name in fields and name in ("content-length", "transfer-encoding", "host"):
            raise BadRequest(400, f"one header {name}", "two")
        fields[name] = value
    if "transfer-encoding" in fields:
        raise BadRequest(411, "a body with Content-Length", f"Transfer-Encoding {fields['transfer-encoding']}")
    length = fields.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()):
        raise BadRequest(400, "a whole number as Content-Length", length[:80])
    # The number of digits comes first: a number of a thousand digits need not be read to be refused.
    if len(length) > 12 or int(length) > max_body_bytes:
        raise BadRequest(413, f"a body of at most {max_body_bytes} bytes", f"{length[:20]} bytes")
    connection = fields.get("connection", "").lower()
    return Head(
        method=method,
        path=target.partition("?")[0],
        content_type=fields.get("content-type", "").partition(";")[0].strip(_SPACES).lower(),
        body_bytes=int(length),
        keep_alive="close" not in connection and (minor == "1" or "keep-alive" in connection),
        # A client of HTTP/1.0 knows no `100 Continue` (RFC 9110, section 10.1.1).
        expects_continue=minor == "1" and fields.get("expect", "").lower() == "100-continue",
    )


def write(
    status: int,
    body: bytes,
    content_type: str = "application/json",
    *,
    keep_alive: bool = True,
    has_body: bool = True,
) -> bytes:
    """The bytes of an answer. One to HEAD has no body: it only says the length (RFC 9110, section 9.3.2)."""
    kept = "" if keep_alive else "connection: close\r\n"
    head = f"{_REASONS[status]}content-type: {content_type}\r\ncontent-length: {len(body)}\r\n{kept}\r\n"
    return head.encode() + body if has_body else head.encode()
