"""Images as pages and labelling tools take them."""

from __future__ import annotations

from base64 import b64encode

SIGNATURES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
"""How the bytes of an image begin that a browser can show."""


def data_uri(content: bytes) -> str | None:
    """The image as a `data:` URI; None for bytes that a browser cannot show, such as raw pixels."""
    kind = next((kind for start, kind in SIGNATURES.items() if content.startswith(start)), None)
    return None if kind is None else f"data:image/{kind};base64,{b64encode(content).decode()}"
