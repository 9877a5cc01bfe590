"""A chat's webhook over https, whose certificate can expire and be renewed."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "valid.pem")

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that breaks off a connection is what the certificate is for."""

    with Server(("127.0.0.1", 0), Handler) as server:
        # The handshake is left to each connection's own thread: one that a client breaks off is no end of the server.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{server.server_address[1]}/hook"
        yield Chat(url=url, authority=folder / "authority.pem", _context=context, _folder=folder)
        server.shutdown()
        thread.join()


def write_certificates(folder: Path) -> None:
    """An authority, and two certificates of 127.0.0.1 that it signed: one that is valid and one that has expired."""
    now, authority = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    root = _signed(issuer, issuer, authority, authority, begins=now - 3 * DAY, ends=now + DAY, is_authority=True)
    (folder / "authority.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    for name, ends in {"valid": now + DAY, "expired": now - DAY}.items():
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        certificate = _signed(subject, issuer, key, authority, begins=now - 2 * DAY, ends=ends, is_authority=False)
        written = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.pem").write_bytes(written + certificate.public_bytes(serialization.Encoding.PEM))


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    *,
    begins: datetime,
    ends: datetime,
    is_authority: bool,
) -> x509.Certificate:
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(address, critical=False)
        .sign(by, hashes.SHA256())
    )
