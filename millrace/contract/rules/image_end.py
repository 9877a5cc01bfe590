"""Tells whether the bytes of an image end before the image does, as in a copy that was not finished."""

from __future__ import annotations

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
JPEG_SCAN, JPEG_END = b"\xff\xda", b"\xff\xd9"
CHUNK = 12
"""The bytes of a PNG's chunk beside its data: length, type and checksum, four each.
https://www.w3.org/TR/png-3/#5Chunk-layout"""


def is_cut_off(cell: bytes | memoryview) -> bool:
    """Whether the image is cut off: a JPEG without an end after its last scan, or a PNG without a whole chunk IEND.

    False for other bytes."""
    data = bytes(cell)
    if data.startswith(JPEG):
        # Within the data of a scan 00 follows each FF, so what looks like a marker is one.
        return data.rfind(JPEG_END) <= data.rfind(JPEG_SCAN)
    if not data.startswith(PNG):
        return False
    at = len(PNG)
    while at + CHUNK <= len(data):
        kind = data[at + 4 : at + 8]
        at += CHUNK + int.from_bytes(data[at : at + 4])
        if kind == b"IEND":
            return at > len(data)
    return True
