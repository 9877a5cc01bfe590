"""A chat's webhook over https, whose certificate can expire and be renewed."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.posts import answering_posts

DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A server that listens on loopback."""

    url: str
    authority: Path
    """The certificate that a client must trust, as a PEM file."""
    _context: ssl.SSLContext
    _folder: Path

    def expire(self) -> None:
        """New connections see a certificate that ended yesterday."""
        self._context.load_cert_chain(self._folder / "expired.pem")

    def renew(self) -> None:
        self._context.load_cert_chain(self._folder / "valid.pem")


@contextmanager
def chat(folder: Path) -> Iterator[Chat]:
    """The certificate is valid at the beginning."""
    write_certificates(folder)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "valid.pem")
    with answering_posts(lambda *_: (200, b"", {}), tls=context) as port:
        url = f"https://127.0.0.1:{port}/hook"
        yield Chat(url=url, authority=folder / "authority.pem", _context=context, _folder=folder)


def write_certificates(folder: Path) -> None:
    """An authority, and two certificates of 127.0.0.1 that it signed: one that is valid and one that has expired."""
    now, authority = datetime.now(UTC), trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    for name, ends in {"valid": now + DAY, "expired": now - DAY}.items():
        signed = authority.issue_cert("127.0.0.1", not_before=now - 2 * DAY, not_after=ends)
        signed.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
