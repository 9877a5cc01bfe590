"""The loopback interface of a container that is cut off from the network; the containers import a copy of this file."""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP, _IFF_UP_RUNNING = 0x8913, 0x8914, 0x1, 0x41
NAME = "lo"


def switch_on() -> None:
    """A new network has it, switched off; in the host's own it is on already."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        found = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _request(0))
        if not struct.unpack("16sh14s", found)[1] & _IFF_UP:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _request(_IFF_UP_RUNNING))


def _request(flags: int) -> bytes:
    return struct.pack("16sh14s", NAME.encode(), flags, b"")
