"""Switches on the loopback interface of a container that is cut off from the network.

Each image has a copy of this file, which its `sitecustomize.py` imports."""

from __future__ import annotations

import fcntl
import socket
import struct

# From Linux's <linux/sockios.h> and <linux/if.h>: get flags, set flags, IFF_UP, and IFF_UP with IFF_RUNNING.
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP, _IFF_UP_RUNNING = 0x8913, 0x8914, 0x1, 0x41
NAME = "lo"


def switch_on() -> None:
    """Switch the interface on if it is off. In a new network it is off; in the host's own network it is on already."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        found = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _request(0))
        if not struct.unpack("16sh14s", found)[1] & _IFF_UP:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _request(_IFF_UP_RUNNING))


def _request(flags: int) -> bytes:
    """The start of a `struct ifreq`: the name in 16 bytes, the flags as a short number, zeros."""
    return struct.pack("16sh14s", NAME.encode(), flags, b"")
