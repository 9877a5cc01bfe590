"""The address of a target on the internet: consumers reach nothing else, whatever a name resolves to."""

from __future__ import annotations

import ipaddress
import socket
import time
from contextlib import suppress

INNER = (".internal", ".local", ".localhost")
"""The ends of names that the internet does not resolve."""


def is_public(host: str) -> bool:
    """Whether the internet may resolve the host. A private address, in any form, and a name without a dot, it cannot.

    >>> [is_public(host) for host in ("db.example.com", "8.8.8.8", "10.0.0.5", "127.1", "0x7f.1", "2130706433", "db")]
    [True, True, False, False, False, False, False]"""
    name = host.lower().rstrip(".")
    with suppress(OSError):
        return _is_global(socket.inet_ntoa(socket.inet_aton(name)))  # as the resolver reads `127.1` and `0x7f.1`
    with suppress(ValueError):
        return _is_global(name)
    return "." in name and not name.endswith(INNER)


def connect(host: str, port: int, *, timeout_s: float, is_inner: bool = False) -> socket.socket:
    """A connection to the first address of the host that answers, within `timeout_s` for all of them.

    Raises OSError for an address that is not public, unless the target is declared `is_inner`: a name that anybody may
    choose can resolve to an address of the function's own network, and the next time to another one."""
    end, failure = time.monotonic() + timeout_s, OSError(f"{host}: expected an address, got none")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_inner and not _is_global(str(address[0])):
            raise OSError(f"{host}: expected a public address, got {address[0]}")
        found = socket.socket(family, kind, protocol)
        try:
            found.settimeout(max(0.001, end - time.monotonic()))
            found.connect(address)
        except OSError as error:
            found.close()
            failure = error
            continue
        found.settimeout(timeout_s)
        return found
    raise failure


def _is_global(address: str) -> bool:
    """Whether an address is of the internet. Raises ValueError for what is no address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global and not found.is_multicast
